package contract

import (
	"cmp"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/internal/problem"
)

// mediaKind is how a body of a media type is parsed.
type mediaKind int

const (
	mediaJSON mediaKind = iota + 1
	mediaForm
	mediaText
	mediaBinary
	mediaLines     // application/x-ndjson
	mediaEvents    // text/event-stream
	mediaMultipart // multipart/form-data, of documents of others
)

func kindOf(mediaType string) (mediaKind, bool) {
	switch {
	case mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"):
		return mediaJSON, true
	case mediaType == "application/x-www-form-urlencoded":
		return mediaForm, true
	case mediaType == "application/x-ndjson":
		return mediaLines, true
	case mediaType == "text/event-stream":
		return mediaEvents, true
	case strings.HasPrefix(mediaType, "text/"), mediaType == "application/yaml", mediaType == "application/javascript":
		return mediaText, true
	case mediaType == "application/octet-stream", mediaType == "application/pdf", strings.HasPrefix(mediaType, "image/"),
		mediaType == "application/gzip", mediaType == "application/x-tar", strings.HasPrefix(mediaType, "font/"):
		return mediaBinary, true
	}
	return 0, false
}

// CheckMedia checks, by headers alone, that there is an answer of a type which the client accepts, and that the body has a type, a charset and a
// coding that the contract declares. Errors: not_acceptable (406), unexpected_body or malformed_body (400), unsupported_media_type (415),
// unsupported_encoding (415).
func (op *Operation) CheckMedia(r *http.Request) error {
	if err := op.CheckAccept(r.Header); err != nil {
		return err
	}
	declared := op.body
	if op.variants != nil {
		declared = op.anyBody()
	}
	hasBody := r.ContentLength != 0 || len(r.TransferEncoding) > 0
	if r.Body == http.NoBody && r.ContentLength <= 0 && len(r.TransferEncoding) == 0 {
		hasBody = false
	}
	switch {
	case declared == nil && hasBody:
		return problem.New(problem.UnexpectedBody, "This operation takes no body.").WithField("body", "", string(RuleUnexpectedBody), "must not be sent")
	case declared == nil:
		return nil
	case !hasBody && declared.required:
		return errBodyRequired
	case !hasBody:
		return nil
	}
	for _, coding := range r.Header.Values("Content-Encoding") {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return problem.New(problem.UnsupportedEncoding, "The body must be sent without a content coding.").
				WithHeader("Accept-Encoding", "identity").WithField("header", "Content-Encoding", string(RuleContentEncoding), "must be identity or absent")
		}
	}
	if op.adopted {
		header := r.Header.Values("Content-Type")
		_, _, err := op.withBody(header).adoptedMedia(header)
		return err
	}
	_, err := op.mediaType(r.Header.Values("Content-Type"))
	return err
}

var errBodyRequired = problem.New(problem.MalformedBody, "This operation needs a body.").WithField("body", "", string(RuleBodyRequired), "is required")

// mediaType resolves the Content-Type of a request to one that the contract declares.
func (op *Operation) mediaType(header []string) (*mediaContract, error) {
	refuse := func(rule, message string) error {
		return problem.New(problem.UnsupportedMedia, "This operation does not accept the body's media type.").
			WithHeader("Accept", strings.Join(op.body.types(), ", ")).WithField("header", "Content-Type", rule, message)
	}
	if len(header) != 1 {
		return nil, refuse("required", "must be sent once")
	}
	if m := op.body.media[header[0]]; m != nil { // fast path for the usual spelling
		return m, nil
	}
	name, parameters, err := mime.ParseMediaType(header[0])
	if err != nil {
		return nil, refuse("mediaType", "is not a media type")
	}
	m := op.body.media[name]
	if m == nil {
		return nil, refuse("mediaType", "must be "+strings.Join(op.body.types(), " or "))
	}
	for key, value := range parameters {
		switch {
		case key == "charset" && m.kind != mediaBinary && strings.EqualFold(value, "utf-8"):
		case key == "charset":
			return nil, refuse(string(RuleCharset), "must have the charset utf-8 or none")
		default:
			return nil, refuse(string(RuleMediaParameter), "must have no parameter but charset")
		}
	}
	return m, nil
}

// CheckAccept checks that the Accept header leaves at least one media type of the operation's successful answers. Its error
// is not_acceptable (406).
func (op *Operation) CheckAccept(h http.Header) error {
	accept := strings.Join(h.Values("Accept"), ",")
	if op.adopted {
		return nil // the service negotiates, also with types that the document does not declare
	}
	if strings.TrimSpace(accept) == "" || len(op.accepts) == 0 {
		return nil
	}
	if slices.ContainsFunc(op.accepts, func(t string) bool { return accepts(accept, t) }) {
		return nil
	}
	return problem.New(problem.NotAcceptable, "No response of this operation has a media type that Accept allows.")
}

// Preferred returns the type that an Accept header prefers (RFC 9110, section 12.5.1), the first one among equals. It returns the first type when the
// header admits none or is missing.
func Preferred(h http.Header, types ...string) string {
	accept := strings.Join(h.Values("Accept"), ",")
	return slices.MaxFunc(types, func(a, b string) int { return cmp.Compare(weight(accept, a), weight(accept, b)) })
}

// accepts reports whether an Accept header admits a media type.
func accepts(header, mediaType string) bool { return weight(header, mediaType) > 0 }

// weight returns the quality that an Accept header (RFC 9110, section 12.5.1) gives a media type, from 0 to 1: the most specific range decides, and
// q=0 excludes.
func weight(header, mediaType string) float64 {
	major, _, _ := strings.Cut(mediaType, "/")
	best, weight := -1, 0.0
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		specificity := -1
		switch strings.ToLower(strings.TrimSpace(name)) {
		case mediaType:
			specificity = 2
		case major + "/*":
			specificity = 1
		case "*/*", "*":
			specificity = 0
		}
		if specificity < 0 || specificity < best {
			continue
		}
		q := quality(parameters)
		if specificity == best {
			q = max(q, weight)
		}
		best, weight = specificity, q
	}
	return weight
}

// quality returns the q of a range's parameters, at most 1, or 0 when it is not a number.
func quality(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(key), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q > 0) {
				return 0
			}
			return min(q, 1)
		}
	}
	return 1
}
