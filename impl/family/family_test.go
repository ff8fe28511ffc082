package family_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/impl/family"
	"github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/internal/config"
)

// start runs a family and returns its addresses and a function that stops it.
func start(t *testing.T, dir string) (family.Info, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan family.Info, 1), make(chan error, 1)
	go func() {
		ended <- family.Run(ctx, family.Config{DataDir: dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", OnReady: func(i family.Info) { ready <- i }})
	}()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() }) // tests that need its error call stop themselves
	select {
	case info := <-ready:
		return info, stop
	case err := <-ended:
		ended <- err
		t.Fatalf("the family did not start: %v", err)
	case <-time.After(5 * time.Minute):
		t.Fatal("the family was not ready in time")
	}
	panic("unreachable")
}

func TestRun_isReadyWhenEveryServiceIs(t *testing.T) {
	info, stop := start(t, filepath.Join(t.TempDir(), "data"))
	c, err := fountain.New(info.GatewayURL)
	require.NoError(t, err)
	list, err := c.Gateway.ListGatewayServices(t.Context())
	require.NoError(t, err)
	require.Len(t, list.Items, 4)
	for _, s := range list.Items {
		require.Equal(t, "ready", string(s.Status), s.Name)
	}
	require.Len(t, info.Services, 5)
	for word, address := range info.Services {
		resp, err := http.Get(address + "/" + word + "/v1/ready")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, word)
	}
	require.FileExists(t, info.BootstrapTokenFile)
	require.NoError(t, stop())
	_, err = http.Get(info.GatewayURL + "/gateway/v1/health")
	require.Error(t, err)
}

// Users are told the name localhost. To whichever address a browser resolves it, the family is reached.
func TestRun_isReachedAtEveryAddressOfItsName(t *testing.T) {
	info, stop := start(t, filepath.Join(t.TempDir(), "data"))
	for _, told := range []string{info.GatewayURL + "/gateway/v1/health", info.AdminURL + "/ready"} {
		require.True(t, strings.HasPrefix(told, "http://localhost:"), told)
		for _, address := range []string{"localhost", "127.0.0.1", "[::1]"} {
			resp, err := http.Get(strings.Replace(told, "localhost", address, 1))
			require.NoError(t, err, address)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode, address)
		}
	}
	require.NoError(t, stop())
}

func TestRun_answersEveryRequestThatItTookBeforeItEnds(t *testing.T) {
	info, stop := start(t, filepath.Join(t.TempDir(), "data"))
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var answered, ended atomic.Int64
	var wg sync.WaitGroup
	begun := make(chan struct{}, 1000)
	for range 8 {
		wg.Go(func() {
			for {
				resp, err := once.Get(info.GatewayURL + "/kms/v1/.well-known/jwks.json")
				if err != nil { // a refused connection was never accepted
					ended.Add(1)
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("status %d while it drained", resp.StatusCode)
				}
				answered.Add(1)
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 50 {
		<-begun
	}
	require.NoError(t, stop())
	wg.Wait()
	require.Equal(t, int64(8), ended.Load())
	require.GreaterOrEqual(t, answered.Load(), int64(50))
}

func TestRun_onALockedDirectoryIsErrLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	locked, err := family.Locked(dir)
	require.NoError(t, err)
	require.False(t, locked)
	_, stop := start(t, dir)
	locked, err = family.Locked(dir)
	require.NoError(t, err)
	require.True(t, locked)
	err = family.Run(t.Context(), family.Config{DataDir: dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"})
	require.ErrorIs(t, err, family.ErrLocked)
	require.NoError(t, stop())
	locked, err = family.Locked(dir)
	require.NoError(t, err)
	require.False(t, locked)
}

func TestRun_stopsAllWhenOneServiceFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, stop := start(t, dir)
	require.NoError(t, stop())
	rooms := filepath.Join(dir, "sequence")
	require.NoError(t, os.RemoveAll(rooms))
	require.NoError(t, os.WriteFile(rooms, nil, 0o600)) // a file where its directory should be
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := family.Run(ctx, family.Config{DataDir: dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", OnReady: func(family.Info) { t.Error("it was ready") }})
	require.ErrorContains(t, err, "sequence: ")
	require.NoError(t, ctx.Err())
}

func TestRun_thatEndsBeforeItIsReadyIsNoError(t *testing.T) {
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 150 * time.Millisecond} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			dir := filepath.Join(t.TempDir(), "data")
			require.NoError(t, family.Run(ctx, family.Config{DataDir: dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"}))
			_, stop := start(t, dir)
			require.NoError(t, stop(), "what was begun does no harm to the next start")
		})
	}
}

// An invalid setting is reported before any key, database or directory exists, so nothing has to be removed before the next attempt.
func TestRun_makesNothingWhereASettingIsWrong(t *testing.T) {
	for setting, c := range map[string]family.Config{
		"CORS_ORIGINS":     {CORSOrigins: []string{"app.example.org"}},
		"ISSUER":           {Issuer: "example.org"},
		"TRUSTED_PROXIES":  {TrustedProxies: []string{"everybody"}},
		"STEP_UP_CHANNELS": {StepUpChannels: []string{"pigeon"}},
		"SMS_COUNTRIES":    {Delivery: twofactor.Delivery{SMSCountries: []string{"nowhere"}}},
		"WEBAUTHN":         {Passkeys: twofactor.Passkeys{Origins: []string{"nonsense"}}},
		"REDIS_":           {Redis: config.Redis{PasswordFile: "file"}},
	} {
		c.DataDir = filepath.Join(t.TempDir(), "data")
		c.Addr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
		require.ErrorContains(t, family.Run(t.Context(), c), setting)
		require.NoDirExists(t, c.DataDir)
	}
}
