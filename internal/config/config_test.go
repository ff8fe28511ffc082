package config

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample has the form of a service's Config.
type sample struct {
	Service
	EngineURL string `env:"ENGINE_URL"`
	KeyFile   string `env:"KEY_FILE,required"`
	Workers   int    `env:"WORKERS" envDefault:"4"`
}

func TestLoadFrom_readsTheServicesOwnNames(t *testing.T) {
	var c sample
	require.NoError(t, LoadFrom("FOUNTAIN_SEARCH_", &c, []string{
		"FOUNTAIN_SEARCH_ADDR=127.0.0.1:1", "FOUNTAIN_SEARCH_DATA_DIR=/data", "FOUNTAIN_SEARCH_TLS_CERT_FILE=/c", "FOUNTAIN_SEARCH_TRUSTED_PROXIES=10.0.0.0/8,::1/128",
		"FOUNTAIN_SEARCH_DRAIN_DELAY=250ms", "FOUNTAIN_SEARCH_LOG_LEVEL=debug", "FOUNTAIN_SEARCH_ENGINE_URL=http://ts:8108", "FOUNTAIN_SEARCH_KEY_FILE=/k",
		"FOUNTAIN_KMS_ADDR=other", "HOME=/root", "ADDR=nobody's",
	}))
	require.Equal(t, "127.0.0.1:1", c.Addr)
	require.Equal(t, "/data", c.DataDir)
	require.Equal(t, "/c", c.TLS.CertFile)
	require.Equal(t, []string{"10.0.0.0/8", "::1/128"}, c.TrustedProxies)
	require.Equal(t, 250*time.Millisecond, c.DrainDelay)
	require.Equal(t, slog.LevelDebug, c.LogLevel)
	require.Equal(t, "http://ts:8108", c.EngineURL)
	require.Equal(t, 4, c.Workers)
}

func TestLoad_readsTheProcessEnvironment(t *testing.T) {
	t.Setenv("FOUNTAIN_CONFIGTEST_KEY_FILE", "/k")
	var c sample
	require.NoError(t, Load("FOUNTAIN_CONFIGTEST_", &c))
	require.Equal(t, "/k", c.KeyFile)
}

func TestLoadFrom_reportsEveryFaultAndNoValue(t *testing.T) {
	var c sample
	err := LoadFrom("FOUNTAIN_SEARCH_", &c, []string{
		"FOUNTAIN_SEARCH_ADR=hunter2", "FOUNTAIN_SEARCH_SECRET=hunter2", "FOUNTAIN_SEARCH_WORKERS=hunter2", "FOUNTAIN_SEARCH_DRAIN_DELAY=hunter2", "FOUNTAIN_SEARCH_LOG_LEVEL=hunter2",
		"FOUNTAIN_SEARCH_LISTENER=hunter2",
	})
	require.Error(t, err)
	for _, want := range []string{
		"FOUNTAIN_SEARCH_ADR: unknown setting; did you mean FOUNTAIN_SEARCH_ADDR?", "FOUNTAIN_SEARCH_SECRET: unknown setting", "FOUNTAIN_SEARCH_LISTENER: unknown setting",
		"FOUNTAIN_SEARCH_WORKERS: not a valid whole number", "FOUNTAIN_SEARCH_DRAIN_DELAY: not a valid duration, for example 5s",
		"FOUNTAIN_SEARCH_LOG_LEVEL: not a valid level: debug, info, warn or error", "FOUNTAIN_SEARCH_KEY_FILE: required setting is missing",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "hunter2")
}

func valid() Service {
	return Service{Addr: ":8001", DataDir: "/data", JWKSURL: "https://kms/kms/v1/.well-known/jwks.json", KMSURL: "http://kms:8003", TrustedProxies: []string{"10.0.0.0/8"}}
}

func TestValidate_findsFaults(t *testing.T) {
	s := valid()
	require.NoError(t, s.Validate())
	for want, change := range map[string]func(*Service){
		"ADDR":                 func(s *Service) { s.Addr = "8001" },
		"DATA_DIR":             func(s *Service) { s.DataDir = "" },
		"JWKS_URL":             func(s *Service) { s.JWKSURL = "kms/jwks" },
		"JWKS_URL: must be":    func(s *Service) { s.JWKSURL = "https://a/jwks,https://b/other" },
		"KMS_URL: must be":     func(s *Service) { s.KMSURL = "http://a,http://a" },
		"KMS_URL: must be an":  func(s *Service) { s.KMSURL = "http://a," },
		"KMS_URL":              func(s *Service) { s.KMSURL = "https://user:hunter2@kms" },
		"TLS_CERT_FILE":        func(s *Service) { s.TLS.KeyFile = "/k" },
		"TRUSTED_PROXIES":      func(s *Service) { s.TrustedProxies = []string{"10.0.0.1"} },
		"DRAIN_DELAY":          func(s *Service) { s.DrainDelay = -1 },
		"ADDR: must be host:p": func(s *Service) { *s = Service{} },
	} {
		s := valid()
		change(&s)
		err := s.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	given := valid()
	given.Addr, given.Listener = "", l
	require.NoError(t, given.Validate(), "a listener needs no address")
}

func TestComplete_fillsWhatIsEmpty(t *testing.T) {
	for word, port := range map[string]string{"kms": ":8003", "gateway": ":8002", "twofactor": ":8004", "search": ":8001", "sequence": ":8000"} {
		var s Service
		s.Complete(word)
		require.Equal(t, port, s.Addr)
		require.NotNil(t, s.Log)
		require.NotNil(t, s.Clock)
		require.NotNil(t, s.Registerer)
		require.Equal(t, 5*time.Second, s.DrainDelay)
		require.Equal(t, 30*time.Second, s.Grace)
		s.OnReady()
	}
	s := Service{Addr: "127.0.0.1:9", Grace: time.Second}
	s.Complete("kms")
	require.Equal(t, "127.0.0.1:9", s.Addr)
	require.Equal(t, time.Second, s.Grace)
}

func TestNames_haveTheWordTheAliasAndTheHosts(t *testing.T) {
	s := Service{Hosts: []string{"kms.example"}}
	require.Equal(t, []string{"kms", "key_management_service", "kms.example"}, s.Names("kms"))
	compose, err := os.ReadFile(filepath.Join("..", "..", "docker-compose.yml"))
	require.NoError(t, err)
	for word, alias := range aliases {
		require.Contains(t, string(compose), "aliases: ["+alias+"]", word)
	}
}

func TestProxyPrefixes_areMasked(t *testing.T) {
	s := Service{TrustedProxies: []string{"10.1.2.3/8", "nonsense"}}
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, s.ProxyPrefixes())
}

func TestReadSecret_readsOneLineOfAFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	value, err := ReadSecret(write("good", " hunter2 \r\n"))
	require.NoError(t, err)
	require.Equal(t, " hunter2 ", value, "only the line end is not part of it")
	for name, path := range map[string]string{"empty": write("empty", "\n"), "too long": write("long", strings.Repeat("x", MaxSecretFile+1)), "directory": dir, "missing": filepath.Join(dir, "none")} {
		_, err := ReadSecret(path)
		require.Error(t, err, name)
	}
	s := Service{}
	url, err := s.DatabaseURL()
	require.NoError(t, err)
	require.Empty(t, url)
	s.DatabaseURLFile = write("url", "postgres://x\n")
	url, err = s.DatabaseURL()
	require.NoError(t, err)
	require.Equal(t, "postgres://x", url)
}

func TestAddresses_readsOneOrSeveral(t *testing.T) {
	list, err := Addresses(" http://a:1/ , https://b")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []string{"a:1", "b", ""}, []string{list[0].Host, list[1].Host, list[0].Path})
	require.Equal(t, "http://a:1", First(" http://a:1/ , https://b"))
	require.Equal(t, "http://a:1", First("http://a:1"))
	_, err = Addresses(strings.TrimSuffix(strings.Repeat("http://h,", maxAddresses+1), ","))
	require.Error(t, err)
}
