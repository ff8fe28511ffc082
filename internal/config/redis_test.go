package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRedis_isTakenApart(t *testing.T) {
	for url, want := range map[string]RedisTarget{
		"redis://127.0.0.1:7000":               {Addr: "127.0.0.1:7000", Host: "127.0.0.1"},
		"redis://cache/3":                      {Addr: "cache:6379", Host: "cache", Database: 3},
		"rediss://ada:hunter2@cache:7000/":     {Addr: "cache:7000", Host: "cache", Username: "ada", Password: "hunter2", TLS: true},
		"redis://:hunter%402@[2001:db8::1]:70": {Addr: "[2001:db8::1]:70", Host: "2001:db8::1", Password: "hunter@2"},
	} {
		r := Redis{URL: url}
		require.NoError(t, r.Validate(), url)
		got, err := r.Target()
		require.NoError(t, err, url)
		require.Equal(t, want, got, url)
	}
}

func TestRedis_readsThePasswordsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(path, []byte("hunter2\n"), 0o600))
	got, err := Redis{URL: "rediss://ada@cache", PasswordFile: path}.Target()
	require.NoError(t, err)
	require.Equal(t, "hunter2", got.Password)
	_, err = Redis{URL: "rediss://ada@cache", PasswordFile: path + ".none"}.Target()
	require.Error(t, err)
}

// Options of other client libraries, such as skip_verify, are not supported, and no error contains a password.
func TestRedis_refusesWhatItDoesNotKnow(t *testing.T) {
	require.NoError(t, Redis{}.Validate())
	for _, r := range []Redis{
		{URL: "http://:hunter2@cache"}, {URL: "redis://:hunter2@"}, {URL: "rediss://:hunter2@cache?skip_verify=true"}, {URL: "redis://:hunter2@cache/x"}, {URL: "redis://:hunter2@cache/-1"},
		{URL: "redis://:hunter2@cache:hunter2"}, {URL: "redis://:hunter2@cache#x"}, {URL: "unix:///run/redis"}, {PasswordFile: "/hunter2"}, {URL: "redis://:hunter2@cache", PasswordFile: "/p"},
	} {
		err := r.Validate()
		require.ErrorContains(t, err, "FOUNTAIN_REDIS_", "%+v", r)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestLoadFrom_readsRedis(t *testing.T) {
	var r Redis
	require.NoError(t, LoadFrom(RedisPrefix, &r, []string{"FOUNTAIN_REDIS_URL=redis://cache", "FOUNTAIN_REDIS_PASSWORD_FILE=/p", "FOUNTAIN_GATEWAY_ADDR=x"}))
	require.Equal(t, Redis{URL: "redis://cache", PasswordFile: "/p"}, r)
	require.ErrorContains(t, LoadFrom(RedisPrefix, &r, []string{"FOUNTAIN_REDIS_URI=redis://cache"}), "did you mean FOUNTAIN_REDIS_URL?")
}
