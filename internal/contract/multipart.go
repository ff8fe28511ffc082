package contract

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/internal/problem"
)

// Bounds of a multipart body. Parts that are files are not buffered.
const (
	maxParts = 256
	// maxPartsText is how many bytes of parts that are not files are buffered in total.
	maxPartsText = 1 << 20
)

// part is one part of a multipart/form-data body.
type part struct {
	name string
	text string // of a part that is no file
	json *tape  // of a part of JSON
	file bool
}

// multipart reads a multipart/form-data body to its end and checks its parts as the members of an object. It returns an error when the body cannot be
// parsed or the reader fails.
func (c *checker) multipart(m *mediaContract, boundary string, from io.Reader) error {
	if boundary == "" || len(boundary) > 70 {
		return malformedBody(RuleMultipart, "")
	}
	reader := multipart.NewReader(from, boundary)
	var parts []part
	held := 0
	for {
		next, err := reader.NextRawPart()
		if err == io.EOF { // not errors.Is: an error that wraps io.EOF means that the last boundary is missing
			break
		}
		if err != nil {
			return unreadable(err)
		}
		one, err := c.readPart(m, next, maxPartsText-held)
		if err != nil {
			return err
		}
		if held += len(one.text) + len(one.name); len(parts) >= maxParts || held > maxPartsText {
			return malformedBody(RuleMultipart, "")
		}
		parts = append(parts, one)
	}
	if m.schema != nil {
		c.checkParts(m, parts)
	}
	if len(c.found) > 0 {
		return nil // before anything after the parts is read: see checkedStream
	}
	if _, err := io.Copy(io.Discard, from); err != nil { // the epilogue has no meaning, but must be read to its end
		return unreadable(err)
	}
	return nil
}

// unreadable returns the error of a failed reader if it is meant for the client; otherwise the error says that the body cannot be parsed.
func unreadable(err error) error {
	if said := (*problem.Error)(nil); errors.As(err, &said) {
		return err
	}
	return malformedBody(RuleMultipart, "")
}

// readPart reads one part. Only the beginning of a file is buffered. room is how many bytes may still be buffered.
func (c *checker) readPart(m *mediaContract, from *multipart.Part, room int) (part, error) {
	one := part{name: from.FormName()}
	if one.name == "" || !utf8.ValidString(one.name) || len(one.name) > 256 || ambiguous(from.Header) {
		return one, malformedBody(RuleMultipart, "")
	}
	if m.schema != nil {
		var brackets string
		one.name, brackets = m.schema.bracketed(one.name)
		if brackets != "" && (brackets != "[]" || textTypes(memberOf(m.schema, one.name))&typeArray == 0) {
			return one, malformedBody(RuleMultipart, "")
		}
	}
	s, encoding := memberOf(m.schema, one.name), m.encoding[one.name]
	mediaType, _, err := mime.ParseMediaType(from.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	if mediaType != "" && len(encoding.types) > 0 && !slices.ContainsFunc(encoding.types, func(t string) bool { return covers(t, mediaType) }) {
		c.reset("")
		c.name = ""
		c.fail(0, "contentType", "must be "+strings.Join(encoding.types, " or "), one.name)
	}
	kind, _ := kindOf(mediaType)
	if s.bytes() || encoding.bytes() || textTypes(s) == anyText && (from.FileName() != "" || mediaType != "" && kind != mediaJSON && kind != mediaText) {
		one.file = true // not by what the sender claims: otherwise an unchecked text could pass for a file
		_, err := io.Copy(io.Discard, from)
		if err != nil {
			return one, unreadable(err)
		}
		return one, nil
	}
	text, err := io.ReadAll(io.LimitReader(from, int64(room)+1))
	if err != nil {
		return one, unreadable(err)
	}
	if !utf8.Valid(text) {
		return one, malformedBody(RuleTextUTF8, joinPointer([]string{one.name}))
	}
	one.text = string(text)
	if kind == mediaJSON && textTypes(s) != typeString || mediaType == "" && s.structured() {
		one.json = &tape{}
		if fault := one.json.read([]byte(one.text)); fault != nil {
			if kind != mediaJSON {
				one.json = nil // perhaps one item of a list
				return one, nil
			}
			return one, malformedBody(fault.rule, joinPointer([]string{one.name}))
		}
		if kind != mediaJSON && one.json.tokens[0].kind < kindArray {
			one.json = nil // one item of a list, as text
		}
	}
	return one, nil
}

var extendedName = regexp.MustCompile(`(?i);\s*name\*`)

// ambiguous reports whether parsers may differ about the name of a part or about its text.
func ambiguous(header textproto.MIMEHeader) bool {
	for _, coding := range header["Content-Transfer-Encoding"] {
		if coding = strings.ToLower(coding); coding != "binary" && coding != "8bit" && coding != "7bit" {
			return true // RFC 7578, section 4.7, deprecates it, and some parsers decode it
		}
	}
	dispositions := header["Content-Disposition"]
	return len(dispositions) != 1 || extendedName.MatchString(dispositions[0]) || len(header["Content-Type"]) > 1
}

// bytes reports whether the parts are files according to their declared media types: none of them is text or JSON.
func (e partEncoding) bytes() bool {
	return len(e.types) > 0 && !slices.ContainsFunc(e.types, func(name string) bool {
		kind, _ := kindOf(name)
		return kind == mediaJSON || kind == mediaText
	})
}

// covers reports whether a media type or range covers a media type: text/plain, image/*, application/*+json, */*.
func covers(declared, mediaType string) bool {
	declared, _, _ = strings.Cut(declared, ";")
	declared = strings.TrimSpace(declared)
	before, after, ranged := strings.Cut(declared, "*")
	return declared == mediaType || declared == "*/*" ||
		ranged && len(mediaType) > len(before)+len(after) && strings.HasPrefix(mediaType, before) && strings.HasSuffix(mediaType, after)
}

// bytes reports whether a part with this schema is a file: the schema says that it is bytes.
func (s *schema) bytes() bool {
	if s == nil {
		return false
	}
	return slices.ContainsFunc(s.flat(), func(part *schema) bool { return part.adopted.binary || part.items != nil && part.items.adopted.binary })
}

// structured reports whether s admits only objects and lists.
func (s *schema) structured() bool {
	types := textTypes(s)
	return types&(typeObject|typeArray) != 0 && types&^(typeObject|typeArray|typeNull) == 0
}

// checkParts checks the parts as the members of an object. Parts with the same name are a list.
func (c *checker) checkParts(m *mediaContract, parts []part) {
	c.checkReadings("", m.schema, func(b *values) bool {
		object, count := b.open(kindObject), 0
		for i, one := range parts {
			same := func(other part) bool { return other.name == one.name }
			if slices.ContainsFunc(parts[:i], same) {
				continue
			}
			count++
			b.add(kindString, one.name)
			s := memberOf(m.schema, one.name)
			all := []part{one}
			for _, other := range parts[i+1:] {
				if same(other) {
					all = append(all, other)
				}
			}
			if !b.parts(s, all) {
				return false
			}
		}
		b.close(object, count)
		return true
	})
}

// parts adds the parts sent under one name.
func (b *values) parts(s *schema, all []part) bool {
	types := textTypes(s)
	listed := types&typeArray != 0 && (len(all) > 1 || all[0].json == nil || all[0].json.tokens[0].kind != kindArray)
	if listed && len(all) == 1 && types&^(typeArray|typeNull) != 0 {
		b.listChoice = true
		listed = b.asList
	}
	if !listed && len(all) > 1 {
		return b.failAt(b.name, string(RuleRepeated), "has a part twice that must be sent once")
	}
	if !listed {
		b.onePart(s, all[0])
		return true
	}
	list := b.open(kindArray)
	for i, one := range all {
		b.onePart(itemOf(s, i), one)
	}
	b.close(list, len(all))
	return true
}

func (b *values) onePart(s *schema, one part) {
	switch {
	case one.json != nil:
		b.graft(one.json)
	case one.file:
		b.add(kindString, "")
		b.tokens[len(b.tokens)-1].opaque = true
	default:
		b.scalar(s, one.text)
	}
}

// StreamsBodyOf reports whether a body of this Content-Type is forwarded while CheckStream checks it, instead of being buffered for CheckBody: lines
// of JSON and, in adopted documents, bytes and multipart/form-data.
func (op *Operation) StreamsBodyOf(contentType string) bool {
	if !op.adopted {
		if !op.StreamsBody() {
			return false
		}
		m, err := op.mediaType([]string{contentType})
		return err == nil && m.kind == mediaLines
	}
	if !op.body.uploads() && op.body != nil {
		return false
	}
	header := []string{contentType}
	if op = op.withBody(header); op.body == nil {
		return false
	}
	m, _, err := op.adoptedMedia(header)
	return err == nil && m.streams()
}

// CheckStream returns a reader that checks a body for which StreamsBodyOf is true while it is read. It buffers at most one line (stream.lineMax
// bytes) or the parts that are not files (1 MiB in total). An invalid line is not returned, nor anything after it. When the body is invalid, reading
// fails with the problem before the last bytes, so that the service never gets it whole; the error is one of CheckBody. Close ends the check and
// closes body.
func (op *Operation) CheckStream(contentType string, body io.ReadCloser) (io.ReadCloser, error) {
	m, parameters, err := op.passing(contentType)
	switch {
	case err != nil:
		return nil, err
	case m.kind == mediaLines:
		return op.lines(m, body), nil
	case m.kind != mediaMultipart:
		return body, nil
	}
	checked, passed := io.Pipe()
	s := &checkedStream{body: body, passed: passed, verdict: make(chan error, 1)}
	go func() {
		c := newChecker(inbound, "body")
		defer c.release()
		err := c.multipart(m, parameters["boundary"], checked)
		if err == nil {
			err = c.problem(problem.InvalidBody, "The body does not match the contract.")
		}
		s.verdict <- err
		_ = checked.CloseWithError(errChecked)
	}()
	return s, nil
}

// passing returns the media type of a body that is checked while it is forwarded.
func (op *Operation) passing(contentType string) (*mediaContract, map[string]string, error) {
	header := []string{contentType}
	if op.adopted {
		return op.withBody(header).adoptedMedia(header)
	}
	m, err := op.mediaType(header)
	return m, nil, err
}

var errChecked = errors.New("the check has ended")

// checkedStream returns bytes with a delay behind the check, so that the final boundary is returned only after the verdict: until then the check has
// read no more than multipart.Reader's buffer beyond the boundary, which is less than holdBack.
type checkedStream struct {
	body    io.ReadCloser
	passed  *io.PipeWriter
	verdict chan error
	held    []byte // given to the check, but not returned yet; in buffer
	buffer  [2 * holdBack]byte
	ended   bool
	err     error
}

// holdBack is how many bytes are held back until the verdict.
const holdBack = 16 << 10

// Read implements io.Reader.
func (s *checkedStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	for !s.ended && len(s.held) <= holdBack {
		n, err := s.body.Read(s.buffer[len(s.held):])
		if _, refused := s.passed.Write(s.buffer[len(s.held) : len(s.held)+n]); refused != nil {
			return 0, s.end(<-s.verdict)
		}
		s.held = s.buffer[:len(s.held)+n]
		switch {
		case errors.Is(err, io.EOF):
			s.ended = true
			_ = s.passed.Close()
			if verdict := <-s.verdict; verdict != nil {
				return 0, s.end(verdict)
			}
		case err != nil:
			return 0, s.end(err)
		}
	}
	switch {
	case !s.ended:
		return s.give(p, len(s.held)-holdBack), nil
	case len(s.held) == 0:
		return 0, s.end(io.EOF)
	}
	return s.give(p, len(s.held)), nil
}

// give returns the first buffered bytes.
func (s *checkedStream) give(p []byte, most int) int {
	n := copy(p, s.held[:most])
	s.held = s.buffer[:copy(s.buffer[:], s.held[n:])]
	return n
}

func (s *checkedStream) end(err error) error {
	s.err = err
	_ = s.passed.CloseWithError(err)
	return err
}

// Close implements io.Closer.
func (s *checkedStream) Close() error {
	_ = s.passed.CloseWithError(errChecked)
	return s.body.Close()
}
