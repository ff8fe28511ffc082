package httpserver

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/url"

	"github.com/fountainai/fountain/internal/problem"
)

// framing is the length of the body after a head (RFC 9112, section 6.3).
type framing struct {
	chunked bool
	length  int64 // of the body in bytes, where it is not chunked
}

// CheckHead checks the head of a request as a server's connection does. Its error is the problem that the server answers.
func CheckHead(head []byte) error {
	if _, fault := checkHead(head); fault != nil {
		return fault
	}
	return nil
}

// checkHead checks the head of a request, from its request line to the empty line, before net/http parses it. It refuses what net/http would silently
// repair or ignore, so that no proxy or service before or behind us can have read the request differently; and it refuses, as a problem, what
// net/http would answer by itself. All lines end with CRLF.
func checkHead(head []byte) (framing, *problem.Error) {
	line, rest := cutLine(head)
	minor, authority, fault := checkRequestLine(line)
	if fault != nil {
		return framing{}, fault
	}
	f := fields{authority: authority}
	for {
		if line, rest = cutLine(rest); len(line) == 0 {
			break
		}
		if fault := f.add(line); fault != nil {
			return framing{}, fault
		}
	}
	return f.framing(minor)
}

func cutLine(text []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(text, []byte("\r\n"))
	return line, rest
}

func malformed(detail string) *problem.Error { return problem.New(problem.MalformedRequest, detail) }

// checkRequestLine checks "METHOD SP target SP HTTP/1.x". It returns x, and the authority of a target in absolute form.
func checkRequestLine(line []byte) (minor byte, authority []byte, fault *problem.Error) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	if !isToken(method) || len(target) == 0 || bytes.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return 0, nil, malformed("The request line is not METHOD TARGET VERSION.")
	}
	if len(version) != len("HTTP/1.1") || !bytes.HasPrefix(version, []byte("HTTP/")) || !isDigit(version[5]) || version[6] != '.' || !isDigit(version[7]) {
		return 0, nil, malformed("The request line does not end with a version of HTTP.")
	}
	if version[5] != '1' || version[7] > '1' {
		return 0, nil, problem.New(problem.VersionUnsupported, "This server supports HTTP/1.0 and HTTP/1.1.")
	}
	return version[7], authorityOf(target), checkTarget(method, target)
}

// authorityOf returns the authority of a target in absolute form (RFC 9112, section 3.2.2), or nil for another form.
func authorityOf(target []byte) []byte {
	if target[0] == '/' {
		return nil
	}
	_, behind, found := bytes.Cut(target, []byte("://"))
	if !found {
		return nil
	}
	if end := bytes.IndexAny(behind, "/?"); end >= 0 {
		behind = behind[:end]
	}
	return behind
}

// checkTarget refuses targets that net/http cannot parse and would answer by itself.
func checkTarget(method, target []byte) *problem.Error {
	path, _, _ := bytes.Cut(target, []byte("?"))
	if target[0] == '/' && bytes.IndexByte(path, '%') < 0 || string(method) == http.MethodConnect {
		return nil
	}
	if _, err := url.ParseRequestURI(string(target)); err != nil {
		return problem.New(problem.MalformedTarget, "The request target cannot be read.") // the error contains the target
	}
	return nil
}

// fields are the header fields that frame the message or that net/http handles itself.
type fields struct {
	authority               []byte // of the target; nil: it has none
	hosts, lengths, codings int
	length                  int64
	chunked                 bool
}

// add adds one header line.
func (f *fields) add(line []byte) *problem.Error {
	if line[0] == ' ' || line[0] == '\t' {
		return malformed("A header field is folded over two lines.")
	}
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found || !isToken(name) {
		return malformed("A header line is not NAME: VALUE.")
	}
	value = bytes.Trim(value, " \t")
	if hasControl(value) {
		return malformed("A header field has control characters.")
	}
	switch {
	case named(name, "host"):
		f.hosts++
		if !isHost(value) {
			return malformed("The Host header is not a host.")
		}
		if f.authority != nil && !bytes.EqualFold(f.authority, value) { // the target's authority applies, and a proxy before us may have used the other
			return malformed("The Host header is not that of the request target.")
		}
	case named(name, "content-length"):
		f.lengths++
		n, ok := number(value)
		if !ok {
			return malformed("The Content-Length header is not a number.")
		}
		f.length = n
	case named(name, "transfer-encoding"):
		f.codings++
		f.chunked = named(value, "chunked")
	case named(name, "expect"):
		if !named(value, "100-continue") {
			return problem.New(problem.ExpectationFailed, "The only expectation that can be met is 100-continue.")
		}
	}
	return nil
}

// framing decides how the body is delimited. minor is x of HTTP/1.x.
func (f *fields) framing(minor byte) (framing, *problem.Error) {
	switch {
	case f.hosts > 1 || f.hosts == 0 && minor == '1':
		return framing{}, malformed("There must be one Host header.")
	case f.lengths > 1 || f.codings > 1:
		return framing{}, malformed("The length of the body is declared twice.")
	case f.lengths > 0 && f.codings > 0:
		return framing{}, malformed("Content-Length and Transfer-Encoding must not both be sent.")
	case f.codings > 0 && minor == '0':
		return framing{}, malformed("HTTP/1.0 has no Transfer-Encoding.")
	case f.codings > 0 && !f.chunked:
		return framing{}, problem.New(problem.CodingUnsupported, "The only transfer coding here is chunked.")
	}
	return framing{chunked: f.chunked, length: f.length}, nil
}

// hasControl reports whether a field value contains a control character other than tab (RFC 9110, section 5.5). Most values, tokens above all, are
// long and contain none: eight bytes are tested at once, and singly only where one of them may be a control character.
func hasControl(value []byte) bool {
	const ones = 0x0101010101010101
	for ; len(value) >= 8; value = value[8:] {
		eight := binary.LittleEndian.Uint64(value)
		deleted := eight ^ 0x7f*ones // a byte of it is 0 where the value's byte is 0x7f
		if ((eight-' '*ones)&^eight|(deleted-ones)&^deleted)&(0x80*ones) != 0 && anyControl(value[:8]) {
			return true
		}
	}
	return anyControl(value)
}

func anyControl(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// named compares names ignoring case; lower must be in lower case.
func named(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// maxDigits is the number of digits of a length that certainly fits in an int64.
const maxDigits = 18

func number(text []byte) (n int64, ok bool) {
	if len(text) == 0 || len(text) > maxDigits {
		return 0, false
	}
	for _, c := range text {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// class says in which elements a byte may occur.
type class uint8

const (
	tokenByte class = 1 << iota // RFC 9110, section 5.6.2
	hostByte                    // RFC 3986, section 3.2.2, and the port
)

var classes = func() (table [256]class) {
	for c := range table {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if letter || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0 {
			table[c] |= tokenByte
		}
		if letter || bytes.IndexByte([]byte("-._~!$&'()*+,;=:[]%"), byte(c)) >= 0 {
			table[c] |= hostByte
		}
	}
	return table
}()

func isToken(text []byte) bool { return len(text) > 0 && all(text, tokenByte) }
func isHost(text []byte) bool  { return all(text, hostByte) }

func all(text []byte, want class) bool {
	for _, c := range text {
		if classes[c]&want == 0 {
			return false
		}
	}
	return true
}
