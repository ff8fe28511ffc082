package upstream

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// MalformedError says that an answer is not valid HTTP/1.1, or is ambiguous.
type MalformedError struct{ what string }

func (e *MalformedError) Error() string { return "malformed answer: " + e.what }

func malformed(format string, args ...any) error {
	return &MalformedError{fmt.Sprintf(format, args...)}
}

// head is the head of an answer.
type head struct {
	status int
	minor  int // of HTTP/1.x
	header http.Header
	kind   bodyKind
	length int64 // from Content-Length; -1: there is none
	close  bool  // the connection is closed after this answer
}

// bodyKind is how the end of a body is determined (RFC 9112, section 6.3).
type bodyKind int

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyToClose
)

// parseHead parses an answer's head without its final empty line.
func parseHead(text, method string) (*head, error) {
	line, rest, _ := strings.Cut(text, "\r\n")
	h := &head{length: -1}
	if err := h.statusLine(line); err != nil {
		return nil, err
	}
	var err error
	if h.header, err = parseFields(rest); err != nil {
		return nil, err
	}
	return h, h.frame(method)
}

// statusLine parses a line like "HTTP/1.1 200 OK"; the reason may be missing.
func (h *head) statusLine(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	switch version {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
	default:
		return malformed("the version is not HTTP/1.1")
	}
	code, reason, _ := strings.Cut(rest, " ")
	if len(code) != 3 || code[0] < '1' || code[0] > '5' || !digits(code) {
		return malformed("the status is not a number from 100 to 599")
	}
	if !fieldText(reason) {
		return malformed("the reason has control characters")
	}
	h.status, _ = strconv.Atoi(code)
	return nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// parseFields parses field lines that are separated by CR LF. Names and values are substrings of text.
func parseFields(text string) (http.Header, error) {
	if text == "" {
		return http.Header{}, nil
	}
	count := strings.Count(text, "\r\n") + 1
	if count > maxFields {
		return nil, malformed("it has more than %d fields", maxFields)
	}
	header := make(http.Header, count)
	values := make([]string, count) // one allocation for all values
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !token(name) { // a folded line has a space in its name
			return nil, malformed("a field has an invalid name")
		}
		value = strings.Trim(value, " \t")
		if !fieldText(value) {
			return nil, malformed("a field's value has control characters")
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		if before := header[key]; before != nil {
			header[key] = append(before, value)
			continue
		}
		values[0] = value
		header[key], values = values[:1:1], values[1:]
	}
	return header, nil
}

// frame determines how the body is delimited. A length that two readers could interpret differently is an error.
func (h *head) frame(method string) error {
	coding, lengths := h.header["Transfer-Encoding"], h.header["Content-Length"]
	h.close = h.minor == 0 || saysClose(h.header["Connection"])
	switch {
	case len(coding) > 0 && len(lengths) > 0:
		return malformed("it has a length and a transfer coding")
	case len(coding) > 0 && (len(coding) != 1 || !strings.EqualFold(coding[0], "chunked") || h.minor == 0):
		return malformed("its transfer coding is not chunked alone")
	case len(lengths) > 1:
		return malformed("it has several lengths")
	case len(lengths) == 1:
		if len(lengths[0]) > 18 || !digits(lengths[0]) {
			return malformed("its length is not a number")
		}
		h.length, _ = strconv.ParseInt(lengths[0], 10, 64)
	}
	switch {
	case h.status < 200:
		if h.length > 0 || len(coding) > 0 {
			return malformed("an interim answer has a body")
		}
	case h.status == http.StatusNoContent && (h.length > 0 || len(coding) > 0):
		return malformed("it has status 204 and declares content")
	case method == http.MethodHead, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
	case len(coding) > 0:
		h.kind = bodyChunked
	case h.length >= 0:
		h.kind = bodyLength
	default:
		h.kind, h.close = bodyToClose, true
	}
	return nil
}

func saysClose(connection []string) bool {
	for _, value := range connection {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), "close") {
				return true
			}
		}
	}
	return false
}
