package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func lines(t *testing.T, log func(*slog.Logger)) map[string]any {
	t.Helper()
	var out bytes.Buffer
	log(NewLogger(&out, slog.LevelInfo))
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
	return line
}

func TestNewLogger_replacesWhatIsNamedLikeASecret(t *testing.T) {
	for _, key := range []string{"password", "userPassword", "token", "access_token", "refreshToken", "Authorization", "Cookie", "X-OTP", "otp", "client_secret", "apiKey", "API-Key", "pepper", "seed", "privateKey", "proof"} {
		line := lines(t, func(l *slog.Logger) {
			l.Info("x", key, "hunter2")
		})
		require.Equal(t, Redacted, line[key], key)
	}
	line := lines(t, func(l *slog.Logger) {
		l.With("token", "hunter2").WithGroup("request").Info("x", slog.Group("user", "password", "hunter2", "name", "ada"), "tokenId", "tok_1")
	})
	require.Equal(t, Redacted, line["token"])
	require.Equal(t, map[string]any{"user": map[string]any{"password": Redacted, "name": "ada"}, "tokenId": "tok_1"}, line["request"])
}

func TestNewLogger_replacesWhatLooksLikeASecret(t *testing.T) {
	const apiKey, token = "fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8Pabcdefghijklmnopqrstuvwxyz0123456789", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl"
	address := &url.URL{Scheme: "postgres", User: url.UserPassword("fountain", "hunter2"), Host: "db"}
	line := lines(t, func(l *slog.Logger) {
		l.Info("called with "+token, "err", errors.New("dial postgres://fountain:hunter2@db:5432/kms: refused"), "detail", "key "+apiKey+" is unknown",
			"address", address, "raw", []byte("hunter2"), "plain", "https://example.org/a?b",
			"refresh", "rt_"+strings.Repeat("aB3_", 10)+"xyz", "enrol", "et_"+strings.Repeat("aB3-", 10)+"xyz", "part_of", "cert_chain_of_the_gateway_is_not_a_token_at_all_really", "took", time.Second, "count", 3)
	})
	require.Equal(t, "called with "+Redacted, line["msg"])
	require.Equal(t, "dial postgres://fountain"+Redacted+"db:5432/kms: refused", line["err"])
	require.Equal(t, "key "+Redacted+" is unknown", line["detail"])
	require.NotContains(t, line["address"], "hunter2")
	require.Equal(t, Redacted, line["raw"])
	require.Equal(t, "https://example.org/a?b", line["plain"])
	require.Equal(t, Redacted, line["refresh"])
	require.Equal(t, Redacted, line["enrol"])
	require.Equal(t, "cert_chain_of_the_gateway_is_not_a_token_at_all_really", line["part_of"])
	require.EqualValues(t, 3, line["count"])
	require.EqualValues(t, time.Second, line["took"])
}

func TestNewLogger_keepsItsLevel(t *testing.T) {
	var out bytes.Buffer
	l := NewLogger(&out, slog.LevelWarn)
	l.Info("quiet")
	require.Zero(t, out.Len())
	l.Warn("loud")
	require.NotZero(t, out.Len())
}
