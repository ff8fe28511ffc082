// Package telemetry provides what operators observe: the JSON log without secrets, and the admin port's handler.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

// Redacted replaces every value that must not be logged.
const Redacted = "[redacted]"

// secretWords are parts of a key's name that mark its value as secret.
var secretWords = []string{
	"password", "passwd", "secret", "token", "authorization", "cookie", "otp", "credential", "apikey", "api_key", "api-key",
	"pepper", "seed", "private", "proof", "passphrase",
}

// harmless names contain a secret word but are ids or counts.
var harmless = map[string]bool{
	"tokenid": true, "token_id": true, "tokentype": true, "token_type": true, "secretname": true, "secret_name": true, "proofkeyid": true, "proofid": true,
}

// secretText matches our secrets by their form, anywhere in a text: API keys, tokens, and passwords in URLs.
var secretText = regexp.MustCompile(`fk_[a-z]+_[0-9A-Za-z_]{20,}|\b[re]t_[0-9A-Za-z_-]{40,}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|(://[^/\s:@]*):[^/\s@]+@`)

// NewLogger returns a JSON logger that writes records of at least level to w. It replaces the value of every attribute whose key names a secret, and
// texts that look like a secret anywhere else.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return newLogger(&batch{w: w}, level)
}

// NewBatchedLogger returns a logger like NewLogger's that writes up to 64 KiB of lines with one call of w, none of them more than 100 ms late. A line
// of level warn or above is written at once, together with pending lines. The program calls end when it ends: it writes the pending lines, and later
// lines are written at once. A killed process loses the lines of its last 100 ms.
func NewBatchedLogger(w io.Writer, level slog.Leveler) (log *slog.Logger, end func()) {
	b := &batch{w: w, batches: true, text: make([]byte, 0, maxBatch)}
	return newLogger(b, level), b.end
}

func newLogger(b *batch, level slog.Leveler) *slog.Logger {
	return slog.New(&plainHandler{any: slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level, ReplaceAttr: redact}), w: b})
}

func redact(_ []string, a slog.Attr) slog.Attr {
	if secretKey(a.Key) {
		return slog.String(a.Key, Redacted)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); Scrub(s) != s {
			return slog.String(a.Key, Scrub(s))
		}
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			return slog.String(a.Key, Scrub(v.Error()))
		case []byte:
			return slog.String(a.Key, Redacted) // bytes are never a message
		case fmt.Stringer:
			return slog.String(a.Key, Scrub(v.String()))
		}
	}
	return a
}

// maxKeys bounds the keys whose result is cached; a program has a few dozen.
const maxKeys = 1000

// known caches the results of Secret. Each new key creates a new map, so that reading takes no lock.
var known struct {
	mu   sync.Mutex
	keys atomic.Pointer[map[string]bool]
}

// secretKey is Secret with a cache.
func secretKey(key string) bool {
	if keys := known.keys.Load(); keys != nil {
		if secret, met := (*keys)[key]; met {
			return secret
		}
	}
	return meet(key)
}

func meet(key string) bool {
	secret := Secret(key)
	known.mu.Lock()
	defer known.mu.Unlock()
	next := map[string]bool{}
	if keys := known.keys.Load(); keys != nil {
		if len(*keys) >= maxKeys {
			return secret
		}
		next = maps.Clone(*keys)
	}
	next[strings.Clone(key)] = secret
	known.keys.Store(&next)
	return secret
}

// Scrub replaces texts that have the form of a secret: an error of another library may contain one.
func Scrub(s string) string {
	if !suspicious(s) {
		return s
	}
	return secretText.ReplaceAllString(s, "${1}"+Redacted)
}

// suspicious reports whether secretText must be matched against a text. It may have false positives, and no false negatives.
func suspicious(s string) bool {
	return strings.Contains(s, "fk_") || strings.Contains(s, "t_") || strings.Contains(s, "eyJ") || strings.Contains(s, "://")
}

// Secret reports whether a log key, header or field of this name contains a secret.
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
