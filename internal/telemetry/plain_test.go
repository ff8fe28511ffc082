package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"
)

// both passes one record to the logger and to slog's own handler, and returns the output of each.
func both(t *testing.T, r slog.Record, with func(slog.Handler) slog.Handler) (ours, slogs string) {
	t.Helper()
	var a, b bytes.Buffer
	require.NoError(t, with(NewLogger(&a, slog.LevelInfo).Handler()).Handle(t.Context(), r))
	require.NoError(t, with(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: redact})).Handle(t.Context(), r))
	return a.String(), b.String()
}

func as(h slog.Handler) slog.Handler { return h }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func TestLogger_writesTheBytesOfSlog(t *testing.T) {
	texts := []string{"", "request", "POST", `a "quote"`, `back\slash`, "line\nend", "tab\t", "é", "\x7f", "\xff", "<a&b>", "\u2028", "part_of", "https://u:p@h", "fk_live_abc"}
	values := []slog.Value{
		slog.IntValue(0), slog.Int64Value(math.MinInt64), slog.Uint64Value(7), slog.BoolValue(true), slog.DurationValue(time.Second), slog.TimeValue(noon),
		slog.AnyValue(nil), slog.AnyValue(errors.New("lost")), slog.AnyValue([]byte("x")), slog.AnyValue(slog.LevelWarn), slog.GroupValue(slog.Int("n", 1)),
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 0.912, 1, 123456.789, 1e-6, 9e-7, 1e20, 1e21, -0.5, math.NaN(), math.Inf(1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		values = append(values, slog.Float64Value(f))
	}
	for _, text := range texts {
		values = append(values, slog.StringValue(text))
	}
	for _, at := range []time.Time{noon, {}, time.Now(), noon.In(time.FixedZone("there", 3600)), noon.AddDate(9000, 0, 0)} {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelError + 2} {
			for _, text := range texts {
				ours, slogs := both(t, slog.NewRecord(at, level, text, 0), as)
				require.Equal(t, slogs, ours)
			}
		}
	}
	for _, key := range append(texts, "status", "token", "tokenId") {
		for _, value := range values {
			r := slog.NewRecord(noon, slog.LevelInfo, "request", 0)
			attr := slog.Attr{Key: key, Value: value}
			r.AddAttrs(slog.String("first", "1"), attr, slog.Int("last", 3))
			plain := slog.NewRecord(noon, slog.LevelInfo, "request", 0)
			plain.AddAttrs(slog.Int("last", 3))
			for name, with := range map[string]func(slog.Handler) slog.Handler{
				"alone": as,
				"with": func(h slog.Handler) slog.Handler {
					return h.WithAttrs([]slog.Attr{slog.String("service", "kms")}).WithAttrs([]slog.Attr{attr, slog.Bool("more", true)})
				},
				"group":       func(h slog.Handler) slog.Handler { return h.WithGroup("in").WithAttrs([]slog.Attr{attr}) },
				"empty group": func(h slog.Handler) slog.Handler { return h.WithAttrs([]slog.Attr{attr}).WithGroup("") },
			} {
				for _, record := range []slog.Record{r, plain} {
					ours, slogs := both(t, record, with)
					require.Equal(t, slogs, ours, "%s %q %v", name, key, value)
				}
			}
		}
	}
}

// Loggers derived from the same one do not write into each other's lines.
func TestLogger_keepsWhatWithAddedApart(t *testing.T) {
	var out bytes.Buffer
	base := NewLogger(&out, slog.LevelInfo).With("service", "kms", "a", 1)
	first, second := base.With("b", "first"), base.With("b", "other")
	first.Info("x")
	second.Info("x")
	base.Info("x")
	var got []any
	for _, line := range bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")) {
		var m map[string]any
		require.NoError(t, json.Unmarshal(line, &m))
		got = append(got, m["b"])
	}
	require.Equal(t, []any{"first", "other", nil}, got)
}

func TestLogger_isASlogHandler(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return NewLogger(&out, slog.LevelInfo).Handler()
	}, func(t *testing.T) map[string]any {
		var line map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		return line
	})
}

// The single pass of plainText finds everything that suspicious finds.
func TestPlainText_isNeverSuspicious(t *testing.T) {
	parts := []string{"f", "k", "_", "t", "e", "y", "J", ":", "/", "a", ""}
	for _, a := range parts {
		for _, b := range parts {
			for _, c := range parts {
				for _, d := range parts {
					text := a + b + c + d
					require.Equal(t, !suspicious(text), plainText(text), text)
				}
			}
		}
	}
}
