package kms_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/servicetest"
)

const childVariable = "FOUNTAIN_KMS_TEST_CHILD"

func TestMain(m *testing.M) {
	if raw := os.Getenv(childVariable); raw != "" {
		child(raw)
	}
	os.Exit(servicetest.Main(m, "kms"))
}

// childConfig is the configuration of a child process.
type childConfig struct {
	DataDir, DatabaseURLFile, RootKeyFile string
	Rotators                              kms.Rotators
	At                                    time.Time // the fixed time of its clock; zero: the machine's clock
}

// child runs a kms until it is killed, and prints its address when it is ready.
func child(raw string) {
	var told childConfig
	if err := json.Unmarshal([]byte(raw), &told); err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c := kms.Config{Service: config.Service{
		DataDir: told.DataDir, DatabaseURLFile: told.DatabaseURLFile, Issuer: issuer, Listener: listener, Log: slog.New(slog.DiscardHandler),
	}, RootKeyFile: told.RootKeyFile, Rotators: told.Rotators}
	if !told.At.IsZero() {
		c.Clock = clock.NewFake(told.At)
	}
	c.OnReady = func() { fmt.Println("http://" + listener.Addr().String()) }
	panic(kms.Run(context.Background(), c))
}

// spawn starts a child for the house and directs its client to it.
func (h *house) spawn() (kill func()) {
	h.t.Helper()
	return h.spawnAt(time.Time{})
}

// spawnAt starts a child whose clock is fixed.
func (h *house) spawnAt(at time.Time) (kill func()) {
	h.t.Helper()
	raw, err := json.Marshal(childConfig{h.config.DataDir, h.config.DatabaseURLFile, h.config.RootKeyFile, h.config.Rotators, at})
	require.NoError(h.t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+string(raw))
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	require.NoError(h.t, err)
	require.NoError(h.t, command.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(h.t, err, "the child died before it was ready")
	h.use(strings.TrimSpace(line))
	once := sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	h.t.Cleanup(once)
	return once
}

// A client that repeats unanswered requests keeps its session through kill -9, and its old token never stays valid beside the
// new one.
func TestRefresh_sessionSurvivesKill(t *testing.T) {
	eachInTurn(t, func(h *house) {
		t := h.t
		h.bootstrap()
		require.NoError(t, h.stop())
		at := h.clock.Now() // otherwise, on a slow machine, starting a child could take longer than the grace of a lost answer
		kill := h.spawnAt(at)
		token := *h.login(adminName, adminPassword).RefreshToken
		for round := range 5 {
			timer := time.AfterFunc(time.Duration(5+17*round)*time.Millisecond, kill)
			for {
				got, err := h.client.RefreshTokenWithResponse(context.Background(), api.Refresh{RefreshToken: token})
				if err != nil {
					break // killed: the answer is lost, and the change may have been committed or not
				}
				require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
				token = *got.JSON200.RefreshToken
			}
			timer.Stop()
			kill = h.spawnAt(at)
			got := h.refresh(token)
			require.Equal(t, http.StatusOK, got.StatusCode(), "round %d: %s", round, got.Body)
			token = *got.JSON200.RefreshToken
		}
		kill()
		h.run()
		require.NotEmpty(t, h.records(), "the chain holds")
	})
}

// An enrolment token that was in use when the kms was killed yields one key or none, never two.
func TestEnrolService_oneKeyThroughKill(t *testing.T) {
	eachInTurn(t, func(h *house) {
		t := h.t
		require.NoError(t, h.stop())
		for round := range 4 {
			kill := h.spawn()
			token := h.enrolToken("search")
			timer := time.AfterFunc(time.Duration(3*round)*time.Millisecond, kill)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					_, _ = h.client.EnrolServiceWithResponse(context.Background(), api.Enrol{Token: token}) // many answers are lost
				})
			}
			all.Wait()
			timer.Stop()
			kill()
			db := h.database()
			var keys, used int64
			require.NoError(t, db.Read(context.Background()).Get(context.Background(), &keys, "SELECT COUNT(*) FROM api_keys"))
			require.NoError(t, db.Read(context.Background()).Get(context.Background(), &used, "SELECT COUNT(*) FROM enrolment_tokens WHERE used_at IS NOT NULL"))
			_, firstBreak, err := audit.Verify(context.Background(), db.Read(context.Background()))
			require.NoError(t, err)
			require.Zero(t, firstBreak)
			require.NoError(t, db.Close())
			require.Equal(t, used, keys, "round %d", round)
			if keys > 0 {
				break // enrolled: there is no further token
			}
		}
		h.run()
	})
}

// After a kill during the completion of a sign-in, either it is complete and the proof is used, or it waits and the proof is unused.
func TestCompleteSignIn_isWholeThroughKill(t *testing.T) {
	eachInTurn(t, func(h *house) {
		t, s := h.t, newSigning(h)
		require.NoError(t, h.stop())
		done := 0
		for round := range 5 {
			kill := h.spawn()
			h.clock.Advance(time.Since(h.clock.Now())) // the child has the real one
			token := s.waits().MfaToken
			proofs := make([]string, 4)
			for i := range proofs {
				proofs[i] = s.p.proofOf(token, auth.FactorTOTP)
			}
			timer := time.AfterFunc(time.Duration(3*round)*time.Millisecond, kill)
			var all sync.WaitGroup
			for _, proof := range proofs {
				all.Go(func() {
					_, _ = h.client.CompleteSignInWithResponse(context.Background(), nil, api.SignInProof{Proof: proof}, bearer(token)) // many answers are lost
				})
			}
			all.Wait()
			timer.Stop()
			kill()
			db := h.database()
			count := func(query string, args ...any) (n int) {
				require.NoError(t, db.Read(context.Background()).Get(context.Background(), &n, query, args...))
				return n
			}
			complete := count("SELECT COUNT(*) FROM refresh_families WHERE sid = ? AND waiting = 0 AND acr = 'aal2'", claims(t, token).SessionID)
			require.Equal(t, complete, count("SELECT COUNT(*) FROM refresh_tokens WHERE sid = ?", claims(t, token).SessionID), "round %d", round)
			done += complete
			require.Equal(t, done+1, count("SELECT COUNT(*) FROM proofs"), "round %d: and the administrator's", round)
			_, firstBreak, err := audit.Verify(context.Background(), db.Read(context.Background()))
			require.NoError(t, err)
			require.Zero(t, firstBreak)
			require.NoError(t, db.Close())
		}
		h.run()
	})
}
