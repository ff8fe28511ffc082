// Package telemetry makes what the operators look at: the JSON log without secrets, and the admin port's handler.
package telemetry

import (
	"io"
	"log/slog"
	"strings"
)

// Redacted replaces every value that must not be in a log.
const Redacted = "[redacted]"

// secretWords are the parts of a key's name that mark its value as secret, whatever the caller thought.
var secretWords = []string{
	"password", "passwd", "secret", "token", "authorization", "cookie", "otp", "credential", "apikey", "api_key", "api-key",
	"pepper", "seed", "private", "proof", "passphrase",
}

// harmless names contain a secret word but are ids or counts.
var harmless = map[string]bool{"tokenid": true, "token_id": true, "tokentype": true, "token_type": true, "secretname": true, "secret_name": true}

// NewLogger returns a JSON logger that writes records of at least level to w and replaces the value of every attribute
// whose key names a secret.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact}))
}

func redact(_ []string, a slog.Attr) slog.Attr {
	if Secret(a.Key) {
		return slog.String(a.Key, Redacted)
	}
	return a
}

// Secret reports whether a log key, header or field of this name holds a secret.
func Secret(name string) bool {
	name = strings.ToLower(name)
	if harmless[name] {
		return false
	}
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
