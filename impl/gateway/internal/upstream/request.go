package upstream

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Request is a request to a service.
type Request struct {
	Method     string
	Target     string    // path and query, sent byte for byte
	Fields     []Field   // of the header, in this order, without Host and those that delimit the body
	Body       []byte    // a body in memory
	Stream     io.Reader // a body that is sent as it arrives; then Body is nil
	Length     int64     // of Stream; -1: unknown
	Operation  string    // the operation whose breaker applies
	Probe      bool      // a health check, which is also sent to a target that is not ready
	Repeatable bool      // processing it twice has the same effect as once; ignored with Stream
	Repeats    int       // how often a repeatable request may be sent again after its connection broke
}

// Field is one field line of a header. Its name is in canonical form.
type Field struct{ Name, Value string }

// FieldsOf returns the field lines of a header.
func FieldsOf(header http.Header) []Field {
	fields := make([]Field, 0, len(header))
	for name, values := range header {
		for _, value := range values {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}

// repeatable reports whether the request may be sent again although it may already have been processed.
func (r *Request) repeatable() bool { return r.Repeatable && r.Stream == nil }

// errUnsendable says that the request has text that would be interpreted differently on the wire.
var errUnsendable = errors.New("the request has a character that can't be sent")

// framing are the fields that delimit a message or route it. Only this package writes them.
var framing = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Trailer": true, "Upgrade": true}

// appendHead appends the request's head to b.
func (r *Request) appendHead(b []byte, host string) ([]byte, error) {
	if !token(r.Method) || !sendableTarget(r.Target) {
		return nil, errUnsendable
	}
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	for i := range r.Fields {
		f := &r.Fields[i]
		if framing[textproto.CanonicalMIMEHeaderKey(f.Name)] {
			continue
		}
		if !token(f.Name) || !fieldText(f.Value) {
			return nil, errUnsendable
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	b = r.appendLength(b)
	return append(b, "\r\n"...), nil
}

// appendLength appends the field that delimits the body.
func (r *Request) appendLength(b []byte) []byte {
	length := int64(len(r.Body))
	switch {
	case r.Stream != nil && r.Length < 0:
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.Stream != nil:
		length = r.Length
	case length == 0 && r.Method != http.MethodPost && r.Method != http.MethodPut && r.Method != http.MethodPatch:
		return b
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, length, 10)
	return append(b, "\r\n"...)
}

func sendableTarget(target string) bool {
	if !strings.HasPrefix(target, "/") {
		return false
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] == 0x7f {
			return false
		}
	}
	return true
}

// tokenBytes are the characters of a token (RFC 9110, section 5.6.2).
var tokenBytes = func() (set [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		set[c] = true
	}
	return set
}()

func token(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// fieldText reports whether s is valid as a field value (RFC 9110, section 5.5).
func fieldText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
