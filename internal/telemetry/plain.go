package telemetry

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
)

// plainHandler formats records that consist of plain texts and numbers itself, as access log lines do: the same bytes as slog's JSON handler, in
// about half of its time. All other records go to that handler.
type plainHandler struct {
	any  slog.Handler // formats every record, to the same writer
	w    *batch
	with []byte // the attributes of With, formatted
	odd  bool   // With has added attributes that are not plain, or a group: every record goes to any
}

// Enabled implements slog.Handler.
func (h *plainHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.any.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *plainHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := &plainHandler{any: h.any.WithAttrs(attrs), w: h.w, odd: h.odd, with: h.with[:len(h.with):len(h.with)]}
	for _, a := range attrs {
		plain := false
		if next.with, plain = appendPlain(next.with, a); !plain {
			next.odd = true
		}
	}
	return next
}

// WithGroup implements slog.Handler.
func (h *plainHandler) WithGroup(name string) slog.Handler {
	return &plainHandler{any: h.any.WithGroup(name), w: h.w, odd: true}
}

// texts pools the buffers of lines; a buffer that grew for a long line is not returned to it.
var texts = sync.Pool{New: func() any { b := make([]byte, 0, maxText); return &b }}

const maxText = 1024

// Handle implements slog.Handler.
func (h *plainHandler) Handle(ctx context.Context, r slog.Record) error {
	buffer := texts.Get().(*[]byte)
	text, plain := h.line((*buffer)[:0], r)
	var err error
	if plain {
		_, err = h.w.Write(text)
	} else {
		err = h.any.Handle(ctx, r)
	}
	if cap(text) <= maxText {
		*buffer = text
	}
	texts.Put(buffer)
	if r.Level >= slog.LevelWarn {
		h.w.flush()
	}
	return err
}

// line appends the line of a record. It returns false, after appending a part, when the record is not plain.
func (h *plainHandler) line(to []byte, r slog.Record) ([]byte, bool) {
	if year := r.Time.Year(); h.odd || year < 1 || year > 9999 || r.Time.IsZero() || !plainText(r.Message) {
		return to, false
	}
	to = r.Time.AppendFormat(append(to, `{"time":"`...), time.RFC3339Nano)
	to = append(append(append(to, `","level":"`...), r.Level.String()...), `","msg":"`...)
	to = append(append(append(to, r.Message...), '"'), h.with...)
	plain := true
	r.Attrs(func(a slog.Attr) bool {
		to, plain = appendPlain(to, a)
		return plain
	})
	return append(to, "}\n"...), plain
}

// appendPlain appends an attribute. It returns false when the attribute is not plain.
func appendPlain(to []byte, a slog.Attr) ([]byte, bool) {
	if a.Key == "" || secretKey(a.Key) || !plainText(a.Key) {
		return to, false
	}
	to = append(append(append(to, `,"`...), a.Key...), `":`...)
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		s := v.String()
		return append(append(append(to, '"'), s...), '"'), plainText(s)
	case slog.KindInt64:
		return strconv.AppendInt(to, v.Int64(), 10), true
	case slog.KindBool:
		return strconv.AppendBool(to, v.Bool()), true
	case slog.KindFloat64:
		f := v.Float64()
		return strconv.AppendFloat(to, f, 'f', -1, 64), f == 0 || math.Abs(f) >= 1e-6 && math.Abs(f) < 1e21 // others are written with an exponent
	}
	return to, false
}

// plainText reports whether a text needs no escaping in JSON and looks like no secret: texts that suspicious would find are recognised by their last
// byte, in the same pass.
func plainText(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c > '~' || c == '"' || c == '\\':
			return false
		case c == '_' || c == 'J' || c == '/':
			if suspicious(s[max(0, i-2) : i+1]) {
				return false
			}
		}
	}
	return true
}
