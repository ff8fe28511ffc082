package contract

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// request returns a request to the sample: "METHOD /path?query", headers as "Name: value" lines, and a body or "".
func request(line, body string, headers ...string) *http.Request {
	method, target, _ := strings.Cut(line, " ")
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/sample/v1", reader)
	path, query, _ := strings.Cut("/sample/v1"+target, "?")
	r.URL.RawPath, r.URL.RawQuery = path, query
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// admit runs every check of the contract on a request, in the order of the services.
func admit(c *Contract, r *http.Request) error {
	m, err := match(c, r.Method, r.URL.RawPath)
	if err != nil {
		return err
	}
	if err := m.Operation.CheckMedia(r); err != nil {
		return err
	}
	if err := m.Operation.CheckParameters(r, m); err != nil {
		return err
	}
	var body []byte
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return err
		}
	}
	return m.Operation.CheckBody(r.Header.Get("Content-Type"), body)
}

const (
	asJSON = "Content-Type: application/json"
	asForm = "Content-Type: application/x-www-form-urlencoded"
	key    = "Idempotency-Key: 0123456789"
)

// thing returns a JSON body for createThing with the given members added.
func thing(members string) string { return `{"name":"hamlet"` + members + `}` }

// refusal is a request that is refused, with the expected code, keyword and place.
type refusal struct {
	name    string
	request *http.Request
	code    problem.Code
	in, at  string
	keyword string
}

func create(name, members string, code problem.Code, at, keyword string) refusal {
	return refusal{name, request("POST /things", thing(members), asJSON, key), code, "body", at, keyword}
}

func list(name, query, at string, keyword Rule) refusal {
	return refusal{name, request("GET /things?"+query, ""), problem.InvalidParameter, "query", at, string(keyword)}
}

func badQuery(name, query string, keyword Rule) refusal {
	return refusal{name, request("GET /things?"+query, ""), problem.MalformedQuery, "query", "", string(keyword)}
}

// badBody is a refused body that can't be read; at is the place of the fault unless it is the whole body.
func badBody(name, body string, keyword Rule, at ...string) refusal {
	return refusal{name, request("POST /anything", body, asJSON), problem.MalformedBody, "body", strings.Join(at, ""), string(keyword)}
}

func chunked(r *http.Request) *http.Request {
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(strings.NewReader("x")), -1, []string{"chunked"}
	return r
}

func refusals() []refusal {
	const nested = "["
	return []refusal{
		// The path.
		{"broken escape", request("GET /things/%zz", ""), problem.MalformedTarget, "path", "", string(RulePathEscape)},
		{"overlong UTF-8", request("GET /things/%c0%af", ""), problem.MalformedTarget, "path", "", string(RulePathUTF8)},
		{"NUL", request("GET /things/%00", ""), problem.MalformedTarget, "path", "", string(RulePathControl)},
		{"raw space", request("GET /things/a b", ""), problem.MalformedTarget, "path", "", string(RulePathCharacter)},
		{"pattern in path", request("GET /things/a!", ""), problem.InvalidParameter, "path", "thingId", "pattern"},
		{"length in path", request("GET /things/"+strings.Repeat("a", 33), ""), problem.InvalidParameter, "path", "thingId", "maxLength"},
		// The query.
		badQuery("broken escape in a declared parameter", "limit=%zz", RuleQueryEscape),
		badQuery("broken escape elsewhere", "limit=5&bad=%zz", RuleQueryEscape),
		badQuery("invalid UTF-8", "q=%ff", RuleQueryUTF8),
		badQuery("NUL", "q=%00", RuleQueryControl),
		badQuery("semicolon", "limit=5;limit=999", RuleQuerySemicolon),
		badQuery("empty pair", "limit=5&&q=a", RuleQueryEmpty),
		badQuery("pair without a name", "=5", RuleQueryEmpty),
		badQuery("too many pairs", strings.Repeat("tag=a&", 300)+"tag=a", RuleQueryEmpty),
		list("undeclared", "limt=5", "limt", RuleUndeclared),
		list("undeclared in another case", "Limit=5", "Limit", RuleUndeclared),
		list("repeated", "limit=5&limit=999", "limit", RuleRepeated),
		list("repeated, escaped", "limit=5&l%69mit=5", "limit", RuleRepeated),
		list("repeated, not exploded", "ids=1&ids=2", "ids", RuleRepeated),
		list("plus sign", "limit=%2B5", "limit", RuleNumberForm),
		list("plus that means a space", "limit=+5", "limit", RuleNumberForm),
		list("leading zero", "limit=05", "limit", RuleNumberForm),
		list("hexadecimal", "limit=0x5", "limit", RuleNumberForm),
		list("underscore", "limit=1_0", "limit", RuleNumberForm),
		list("empty number", "limit=", "limit", RuleNumberForm),
		list("no value", "limit", "limit", RuleNumberForm),
		list("NaN", "ratio=NaN", "ratio", RuleNumberForm),
		list("infinity", "ratio=1e999", "ratio", RuleNumberForm),
		list("fraction", "limit=5.5", "limit", "type"),
		list("integer with a fraction of zero", "limit=5.0", "limit", RuleIntegerExact),
		list("int64 overflow", "big=9223372036854775808", "big", RuleIntegerExact),
		list("int32 overflow", "ids=2147483648", "ids/0", RuleIntegerExact),
		list("too small", "limit=0", "limit", "minimum"),
		list("too large", "limit=101", "limit", "maximum"),
		list("exclusive minimum", "ratio=0", "ratio", "exclusiveMinimum"),
		list("not a boolean", "flag=yes", "flag", "type"),
		list("boolean in capitals", "flag=TRUE", "flag", "type"),
		list("not a time", "since=yesterday", "since", RuleFormat),
		list("too long", "q=123456789", "q", "maxLength"),
		list("too many items", "tag=a&tag=b&tag=c&tag=d", "tag", "maxItems"),
		list("item too long", "tag=a&tag=123456789", "tag/1", "maxLength"),
		list("item of another type", "ids=1,x", "ids", RuleNumberForm),
		list("empty item", "ids=1,,2", "ids", RuleNumberForm),
		list("empty list", "tag=", "tag", "allowEmptyValue"),
		list("list without a value", "tag", "tag", "allowEmptyValue"),
		// Headers and cookies.
		{"header repeated", request("GET /things", "", "X-N: 1", "X-N: 2"), problem.InvalidParameter, "header", "X-N", string(RuleRepeated)},
		{"header list repeated", request("GET /things", "", "X-List: a", "X-List: b"), problem.InvalidParameter, "header", "X-List", string(RuleRepeated)},
		{"header too large", request("GET /things", "", "X-N: 10"), problem.InvalidParameter, "header", "X-N", "maximum"},
		{"header with control character", request("GET /things", "", "X-N: 1\x01"), problem.InvalidParameter, "header", "X-N", string(RuleHeaderText)},
		{"header with Latin-1", request("GET /things", "", "X-List: \xe9"), problem.InvalidParameter, "header", "X-List", string(RuleHeaderText)},
		{"cookie repeated", request("GET /things", "", "Cookie: pref=a; pref=zz"), problem.InvalidParameter, "cookie", "pref", string(RuleRepeated)},
		{"cookie repeated in two headers", request("GET /things", "", "Cookie: pref=a", "Cookie: pref=b"), problem.InvalidParameter, "cookie", "pref", string(RuleRepeated)},
		{"cookie of another value", request("GET /things", "", "Cookie: pref=c"), problem.InvalidParameter, "cookie", "pref", "enum"},
		{"If-Match missing", request("PUT /things/1", thing(""), asJSON), problem.PreconditionMissing, "header", "If-Match", "required"},
		{"If-Match weak", request("PUT /things/1", thing(""), asJSON, `If-Match: W/"1"`), problem.InvalidParameter, "header", "If-Match", "pattern"},
		{"Idempotency-Key missing", request("POST /things", thing(""), asJSON), problem.IdempotencyMissing, "header", "Idempotency-Key", "required"},
		// Media.
		{"body on GET", request("GET /things", "x"), problem.UnexpectedBody, "body", "", string(RuleUnexpectedBody)},
		{"chunked body on GET", chunked(request("GET /things", "")), problem.UnexpectedBody, "body", "", string(RuleUnexpectedBody)},
		{"no body", request("POST /anything", ""), problem.MalformedBody, "body", "", string(RuleBodyRequired)},
		{"no media type", request("POST /anything", "{}"), problem.UnsupportedMedia, "header", "Content-Type", "required"},
		{"two media types", request("POST /anything", "{}", asJSON, asJSON), problem.UnsupportedMedia, "header", "Content-Type", "required"},
		{"another media type", request("POST /anything", "{}", "Content-Type: text/plain"), problem.UnsupportedMedia, "header", "Content-Type", "mediaType"},
		{"no media type at all", request("POST /anything", "{}", "Content-Type: json"), problem.UnsupportedMedia, "header", "Content-Type", "mediaType"},
		{"UTF-16", request("POST /anything", "{}", asJSON+"; charset=utf-16"), problem.UnsupportedMedia, "header", "Content-Type", string(RuleCharset)},
		{"other parameter", request("POST /anything", "{}", asJSON+"; profile=x"), problem.UnsupportedMedia, "header", "Content-Type", string(RuleMediaParameter)},
		{"gzip", request("POST /anything", "{}", asJSON, "Content-Encoding: gzip"), problem.UnsupportedEncoding, "header", "Content-Encoding", string(RuleContentEncoding)},
		{"gzip after identity", request("POST /anything", "{}", asJSON, "Content-Encoding: identity", "Content-Encoding: gzip"), problem.UnsupportedEncoding, "header", "Content-Encoding", string(RuleContentEncoding)},
		// The JSON text.
		badBody("not JSON", `{"n":1`, RuleJSONSyntax),
		badBody("nothing but space", ` `, RuleJSONSyntax),
		badBody("single quotes", `{'n':1}`, RuleJSONSyntax),
		badBody("trailing comma", `{"n":1,}`, RuleJSONSyntax),
		badBody("comment", `{"n":1/**/}`, RuleJSONSyntax),
		badBody("NaN", `{"n":NaN}`, RuleJSONSyntax, "/n"),
		badBody("plus", `{"n":+1}`, RuleJSONSyntax, "/n"),
		badBody("leading zero", `{"n":01}`, RuleJSONSyntax, "/n"),
		badBody("raw newline in string", "{\"a\":\"\n\"}", RuleJSONSyntax, "/a"),
		badBody("bad escape", `{"a":"\x"}`, RuleJSONSyntax, "/a"),
		badBody("raw NUL", "{\"a\":\"\x00\"}", RuleJSONSyntax, "/a"),
		badBody("capital literal", `{"a":True}`, RuleJSONSyntax, "/a"),
		badBody("second value", `{"n":1}{"n":2}`, RuleJSONTrailing),
		badBody("garbage after", `{"n":1} x`, RuleJSONTrailing),
		badBody("NUL after", "{\"n\":1}\x00", RuleJSONTrailing),
		badBody("duplicate key", `{"n":999,"n":1}`, RuleJSONDuplicateKey, "/n"),
		badBody("duplicate key, escaped", `{"n":999,"\u006e":1}`, RuleJSONDuplicateKey, "/n"),
		badBody("duplicate key, deeper", `{"a":[{"b":1,"b":1}]}`, RuleJSONDuplicateKey, "/a/0/b"),
		badBody("duplicate among many", "{"+manyKeys(40)+`,"k7":0}`, RuleJSONDuplicateKey, "/k7"),
		badBody("invalid UTF-8", "{\"a\":\"\xff\"}", RuleJSONUTF8, "/a"),
		badBody("invalid UTF-8 beside an escape", "{\"a\":\"\\n\xff\"}", RuleJSONUTF8, "/a"),
		badBody("invalid UTF-8 in a key", "{\"\xff\":1}", RuleJSONUTF8),
		badBody("encoded surrogate", "{\"a\":\"\xed\xa0\x80\"}", RuleJSONUTF8, "/a"),
		badBody("half a pair", `{"a":"\ud800"}`, RuleJSONUTF8, "/a"),
		badBody("pair the wrong way round", `{"a":"\udc00\ud800"}`, RuleJSONUTF8, "/a"),
		badBody("byte order mark", "\xef\xbb\xbf{}", RuleJSONUTF8),
		badBody("deep arrays", `{"a":`+strings.Repeat(nested, 9000)+strings.Repeat("]", 9000)+"}", RuleJSONDepth, "/a"+strings.Repeat("/0", 63)),
		badBody("deep objects", strings.Repeat(`{"a":`, 65)+"1"+strings.Repeat("}", 65), RuleJSONDepth, strings.Repeat("/a", 64)),
		badBody("number of absurd size", `{"a":1e400}`, RuleJSONNumber, "/a"),
		badBody("number of absurd length", `{"a":0.`+strings.Repeat("1", 200)+"}", RuleJSONNumber, "/a"),
		badBody("NUL in a string", `{"a":"\u0000"}`, RuleJSONNUL, "/a"),
		{"text of another charset", request("POST /texts", "\xff", "Content-Type: text/plain"), problem.MalformedBody, "body", "", string(RuleTextUTF8)},
		{"line that is not JSON", request("POST /lines", "{", "Content-Type: application/x-ndjson"), problem.MalformedBody, "body", "", string(RuleJSONSyntax)},
		{"line of another shape", request("POST /lines", "{}", "Content-Type: application/x-ndjson"), problem.InvalidBody, "body", "/name", "required"},
		// The JSON value.
		{"not an object", request("POST /things", "[]", asJSON, key), problem.InvalidBody, "body", "", "type"},
		{"null", request("POST /things", "null", asJSON, key), problem.InvalidBody, "body", "", "nullable"},
		{"required", request("POST /things", "{}", asJSON, key), problem.InvalidBody, "body", "/name", "required"},
		{"case variant", request("POST /anything", `{"n":1,"N":999}`, asJSON), problem.InvalidBody, "body", "/N", string(RuleCaseVariant)},
		{"case variant alone", request("POST /anything", `{"N":999}`, asJSON), problem.InvalidBody, "body", "/N", string(RuleCaseVariant)},
		create("case variant by folding", `,"\u212aind":"red"`, problem.InvalidBody, "", string(RuleCaseVariant)),
		create("additional property", `,"nmae":1`, problem.InvalidBody, "/nmae", "additionalProperties"),
		create("readOnly", `,"id":"1"`, problem.InvalidBody, "/id", "readOnly"),
		create("readOnly null", `,"id":null`, problem.InvalidBody, "/id", "readOnly"),
		create("int64 overflow", `,"big":9223372036854775808`, problem.InvalidBody, "/big", string(RuleIntegerExact)),
		create("int64 underflow", `,"big":-9223372036854775809`, problem.InvalidBody, "/big", string(RuleIntegerExact)),
		create("1e30 for int64", `,"big":1e30`, problem.InvalidBody, "/big", string(RuleIntegerExact)),
		create("integer with exponent", `,"big":1e2`, problem.InvalidBody, "/big", string(RuleIntegerExact)),
		create("integer with fraction of zero", `,"big":1.0`, problem.InvalidBody, "/big", string(RuleIntegerExact)),
		create("int32 overflow", `,"level":2147483648`, problem.InvalidBody, "/level", "enum"),
		create("integer", `,"big":1.5`, problem.InvalidBody, "/big", "type"),
		create("string for integer", `,"big":"1"`, problem.InvalidBody, "/big", "type"),
		create("null where not allowed", `,"big":null`, problem.InvalidBody, "/big", "nullable"),
		create("minimum", `,"count":-6`, problem.InvalidBody, "/count", "minimum"),
		create("exclusive maximum", `,"count":10`, problem.InvalidBody, "/count", "exclusiveMaximum"),
		create("exclusive minimum", `,"price":0.0`, problem.InvalidBody, "/price", "exclusiveMinimum"),
		create("underflow to the exclusive minimum", `,"price":1e-400`, problem.InvalidBody, "/price", "exclusiveMinimum"),
		create("maximum by the last digit", `,"price":1000.00000000000000000001`, problem.InvalidBody, "/price", "maximum"),
		create("multiple", `,"plain":4`, problem.InvalidBody, "/plain", "multipleOf"),
		create("decimal multiple", `,"price":0.015`, problem.InvalidBody, "/price", "multipleOf"),
		create("enum", `,"kind":"blue"`, problem.InvalidBody, "/kind", "enum"),
		create("number enum", `,"level":4`, problem.InvalidBody, "/level", "enum"),
		create("uuid", `,"uuid":"zzz"`, problem.InvalidBody, "/uuid", string(RuleFormat)),
		create("uuid in braces", `,"uuid":"{5f1f6ca4-6d2a-4f0e-9e3b-2f0f0f0f0f0f}"`, problem.InvalidBody, "/uuid", string(RuleFormat)),
		create("email", `,"mail":"not an address"`, problem.InvalidBody, "/mail", string(RuleFormat)),
		create("email with a name", `,"mail":"A <a@b.de>"`, problem.InvalidBody, "/mail", string(RuleFormat)),
		create("email with two", `,"mail":"a@b.de,c@d.de"`, problem.InvalidBody, "/mail", string(RuleFormat)),
		create("email to a header", `,"mail":"a@b.de\r\nBcc: x@y.z"`, problem.InvalidBody, "/mail", string(RuleFormat)),
		create("day that is not", `,"day":"2026-02-30"`, problem.InvalidBody, "/day", string(RuleFormat)),
		create("time without zone", `,"at":"2026-11-23T10:00:00"`, problem.InvalidBody, "/at", string(RuleFormat)),
		create("leap second", `,"at":"2016-12-31T23:59:60Z"`, problem.InvalidBody, "/at", string(RuleFormat)),
		create("zone of a day", `,"at":"2026-11-23T10:00:00+24:00"`, problem.InvalidBody, "/at", string(RuleFormat)),
		create("base64 without padding", `,"bytes":"YQ"`, problem.InvalidBody, "/bytes", string(RuleFormat)),
		create("base64 with loose bits", `,"bytes":"YR=="`, problem.InvalidBody, "/bytes", string(RuleFormat)),
		create("base64 with a line end", `,"bytes":"YWFh\nYWFh"`, problem.InvalidBody, "/bytes", string(RuleFormat)),
		create("relative URI", `,"site":"/a"`, problem.InvalidBody, "/site", string(RuleFormat)),
		create("URI with a space", `,"site":"https://a b/"`, problem.InvalidBody, "/site", string(RuleFormat)),
		create("host name", `,"host":"-a.de"`, problem.InvalidBody, "/host", string(RuleFormat)),
		create("ipv4", `,"ip":"1.2.3"`, problem.InvalidBody, "/ip", string(RuleFormat)),
		create("ipv4 with zeros", `,"ip":"01.2.3.4"`, problem.InvalidBody, "/ip", string(RuleFormat)),
		create("ipv6 with zone", `,"ip6":"fe80::1%eth0"`, problem.InvalidBody, "/ip6", string(RuleFormat)),
		create("length in characters", `,"note":"äöüäöüäöü"`, problem.InvalidBody, "/note", "maxLength"),
		create("too few items", `,"tags":[]`, problem.InvalidBody, "/tags", "minItems"),
		create("too many items", `,"tags":["a","b","c","d"]`, problem.InvalidBody, "/tags", "maxItems"),
		create("same item twice", `,"tags":["a","a"]`, problem.InvalidBody, "/tags", "uniqueItems"),
		create("same number twice", `,"scores":[1,1.0]`, problem.InvalidBody, "/scores", "uniqueItems"),
		create("item of another type", `,"tags":["a",1]`, problem.InvalidBody, "/tags/1", "type"),
		create("nested", `,"part":{"parts":[{"name":"a"},{"name":"abcde"}]}`, problem.InvalidBody, "/part/parts/1/name", "maxLength"),
		create("too few properties", `,"part":{}`, problem.InvalidBody, "/part", "minProperties"),
		create("too many properties", `,"labels":{"a":"","b":"","c":"","d":""}`, problem.InvalidBody, "/labels", "maxProperties"),
		create("value of a map", `,"labels":{"a":"abcde"}`, problem.InvalidBody, "/labels/a", "maxLength"),
		create("value of a map under an odd key", `,"labels":{"<script>":"abcde"}`, problem.InvalidBody, "/labels", "maxLength"),
		create("none of any", `,"either":-1`, problem.InvalidBody, "/either", "anyOf"),
		create("one of all", `,"both":"abcde"`, problem.InvalidBody, "/both", "maxLength"),
		create("not", `,"no":"never"`, problem.InvalidBody, "/no", "not"),
		create("none of one", `,"one":5`, problem.InvalidBody, "/one", "oneOf"),
		create("two of one", `,"one":6`, problem.InvalidBody, "/one", "oneOf"),
		{"discriminator missing", request("POST /shapes", `{"radius":1}`, asJSON), problem.InvalidBody, "body", "/shape", "discriminator"},
		{"discriminator unknown", request("POST /shapes", `{"shape":"star"}`, asJSON), problem.InvalidBody, "body", "/shape", "discriminator"},
		{"discriminator of another type", request("POST /shapes", `{"shape":1}`, asJSON), problem.InvalidBody, "body", "/shape", "discriminator"},
		{"the chosen alternative", request("POST /shapes", `{"shape":"circle","side":1}`, asJSON), problem.InvalidBody, "body", "/side", "additionalProperties"},
		// Forms.
		{"form escape", request("POST /forms", "name=%zz", asForm), problem.MalformedBody, "body", "", string(RuleFormSyntax)},
		{"form semicolon", request("POST /forms", "name=a;count=1", asForm), problem.MalformedBody, "body", "", string(RuleFormSyntax)},
		{"form field repeated", request("POST /forms", "name=a&name=b", asForm), problem.MalformedBody, "body", "/name", string(RuleRepeated)},
		{"form field undeclared", request("POST /forms", "name=a&nmae=b", asForm), problem.InvalidBody, "body", "/nmae", string(RuleUndeclared)},
		{"form field of another type", request("POST /forms", "name=a&count=x", asForm), problem.InvalidBody, "body", "/count", string(RuleNumberForm)},
		{"form list too long", request("POST /forms", "name=a&tags=1&tags=2&tags=3&tags=4", asForm), problem.InvalidBody, "body", "/tags", "maxItems"},
		{"form field missing", request("POST /forms", "count=1", asForm), problem.InvalidBody, "body", "/name", "required"},
		{"OAuth field repeated", request("POST /tokens", "grant_type=client_credentials&grant_type=client_credentials", asForm), problem.MalformedBody, "body", "/grant_type", string(RuleRepeated)},
		{"OAuth field empty counts as absent", request("POST /tokens", "grant_type=", asForm), problem.InvalidBody, "body", "/grant_type", "required"},
	}
}

func manyKeys(n int) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf(`"k%d":0`, i))
	}
	return strings.Join(keys, ",")
}

func TestChecks_refuseByName(t *testing.T) {
	c := sample(t)
	for _, r := range refusals() {
		t.Run(r.name, func(t *testing.T) {
			err := admit(c, r.request)
			require.Error(t, err)
			e := problem.From(err)
			require.Equal(t, r.code, e.Code, err)
			require.NotEmpty(t, e.Fields)
			require.Equal(t, problem.Field{In: r.in, Pointer: r.at, Keyword: r.keyword, Message: e.Fields[0].Message}, e.Fields[0])
			require.NotEmpty(t, e.Fields[0].Message)
		})
	}
}

func TestRules_eachHasARequestThatBreaksIt(t *testing.T) {
	broken := map[string]bool{}
	for _, r := range refusals() {
		broken[r.keyword] = true
	}
	for _, r := range responseFaults() {
		broken[r.keyword] = true
	}
	for rule := range adoptedFaults(t) {
		broken[string(rule)] = true
	}
	source, err := os.ReadFile("rules.go")
	require.NoError(t, err)
	rules := regexp.MustCompile(`Rule = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(rules), 30)
	for _, rule := range rules {
		require.True(t, broken[rule[1]], "no request breaks the rule %s", rule[1])
	}
}

func TestChecks_acceptWhatTheContractAllows(t *testing.T) {
	c := sample(t)
	for name, r := range map[string]*http.Request{
		"nothing":               request("GET /things", ""),
		"all parameters":        request("GET /things?limit=5&big=-9223372036854775808&ratio=0.5&flag=false&since=2026-11-23T10:00:00.123456%2B01:00&q=a%20b%2Bc&tag=a&tag=b&ids=1,2", "", "X-N: -3", "X-List: a, b", "Cookie: pref=a; other=1"),
		"empty text":            request("GET /things?q=", ""),
		"plus in text":          request("GET /things?q=a+b", ""),
		"escaped id":            request("GET /things/%C3%A4%20x", ""),
		"empty body on GET":     request("GET /things", ""),
		"accepting anything":    request("GET /things", "", "Accept: */*"),
		"accepting by kind":     request("GET /things", "", "Accept: text/html;q=0.9, application/*;q=0.1"),
		"smallest thing":        request("POST /things", thing(""), asJSON, key),
		"charset":               request("POST /things", thing(""), asJSON+"; charset=UTF-8", key),
		"identity":              request("POST /things", thing(""), asJSON, key, "Content-Encoding: identity"),
		"whole thing":           request("POST /things", thing(`,"secret":"x","count":9,"big":9223372036854775807,"plain":-3,"price":999.99,"on":true,"note":null,"kind":"red","level":2,"uuid":"5F1f6ca4-6d2a-4f0e-9e3b-2f0f0f0f0f0f","mail":"ada.lovelace+x@example.org","day":"2024-02-29","at":"2026-11-23T10:00:00Z","bytes":"YQ==","site":"https://example.org/a?b#c","host":"a.example","ip":"1.2.3.4","ip6":"::1","tags":["a","b"],"scores":[1,2.5],"part":{"name":"a","parts":[{"name":"b"}]},"labels":{"x":"y"},"either":7,"both":"abc","no":"yes","one":4`), asJSON, key),
		"white space":           request("POST /things", " \t\r\n"+thing("")+"\n", asJSON, key),
		"escapes":               request("POST /anything", `{"a":"\"\\\/\b\f\n\r\tä😀\u00e4\ud83d\ude00"}`, asJSON),
		"many keys":             request("POST /anything", "{"+manyKeys(100)+"}", asJSON),
		"depth at the limit":    request("POST /anything", `{"a":`+strings.Repeat("[", MaxDepth-1)+strings.Repeat("]", MaxDepth-1)+"}", asJSON),
		"optional body missing": request("PUT /things/1", "", `If-Match: "1"`),
		"circle":                request("POST /shapes", `{"shape":"circle","radius":1}`, asJSON),
		"text":                  request("POST /texts", "häm", "Content-Type: text/plain; charset=utf-8"),
		"bytes":                 request("POST /texts", "\xff\x00", "Content-Type: application/octet-stream"),
		"line":                  request("POST /lines", thing(""), "Content-Type: application/x-ndjson"),
		"form":                  request("POST /forms", "name=a+b&count=-1&tags=x&tags=y", asForm),
		"token":                 request("POST /tokens", "grant_type=client_credentials&scope=&unknown=ignored", asForm+"; charset=utf-8"),
	} {
		err := admit(c, r)
		if err != nil {
			t.Log(problem.From(err).Fields)
		}
		require.NoError(t, err, name)
	}
}

func TestCheckAccept_refusesWhatNoAnswerHas(t *testing.T) {
	op := sample(t).Operation("listThings")
	for accept, ok := range map[string]bool{
		"": true, "application/json": true, "*/*": true, "application/*": true, "text/html, */*;q=0.1": true, "APPLICATION/JSON": true,
		"application/json;q=0, */*": false, "text/html": false, "application/json;q=0": false, "*/*;q=0": false, "text/*": false, "application/json;q=x": false,
	} {
		err := op.CheckAccept(http.Header{"Accept": {accept}})
		if ok {
			require.NoError(t, err, accept)
		} else {
			require.ErrorIs(t, err, problem.NotAcceptable, accept)
		}
	}
	require.NoError(t, sample(t).Operation("getHealth").CheckAccept(http.Header{"Accept": {"text/html"}}), "an empty answer has no type")
}

func TestCheckMedia_namesWhatWouldDo(t *testing.T) {
	c := sample(t)
	err := admit(c, request("POST /texts", "x", asJSON))
	require.Equal(t, "application/octet-stream, text/plain", problem.From(err).Header.Get("Accept"))
	err = admit(c, request("POST /texts", "x", "Content-Type: text/plain", "Content-Encoding: br"))
	require.Equal(t, "identity", problem.From(err).Header.Get("Accept-Encoding"))
}

func TestChecks_listManyViolationsButNotAll(t *testing.T) {
	c := sample(t)
	var members strings.Builder
	for i := range 6 {
		fmt.Fprintf(&members, `,"x%d":1`, i)
	}
	err := admit(c, request("POST /things", `{"name":"A","count":-9`+members.String()+`}`, asJSON, key))
	e := problem.From(err)
	require.Len(t, e.Fields, 8, "the faults are reported together")
	require.False(t, e.Truncated)

	var query strings.Builder
	for i := range 30 {
		fmt.Fprintf(&query, "x%d=1&", i)
	}
	e = problem.From(admit(c, request("GET /things?"+query.String()+"q=a", "")))
	require.Len(t, e.Fields, problem.MaxFields)
	require.True(t, e.Truncated)
}

func TestChecks_neverRepeatWhatWasSent(t *testing.T) {
	c := sample(t)
	const marker = "hunter2secret"
	for _, r := range []*http.Request{
		request("POST /things", thing(`,"kind":"`+marker+`","uuid":"`+marker+`","mail":"`+marker+`","at":"`+marker+`","big":"`+marker+`"`), asJSON, key),
		request("POST /things", thing(`,"labels":{"`+marker+` with spaces":"abcdef"},"`+marker+`!":1`), asJSON, key),
		request("POST /things", `{"name":"`+marker+`"`, asJSON, key),
		request("POST /things", `"`+marker+`"`, asJSON, key),
		request("GET /things?limit="+marker+"&kind="+marker, "", "X-N: "+marker, "Cookie: pref="+marker),
		request("GET /things?q=%zz"+marker, ""),
		request("GET /things/"+marker+"!", ""),
		request("POST /forms", "name="+marker+"&count="+marker, asForm),
		request("POST /texts", strings.Repeat(marker, 5), "Content-Type: text/plain"),
		request("POST /anything", "{}", "Content-Type: "+marker+"/x"),
		request("GET /"+marker, ""),
	} {
		err := admit(c, r)
		require.Error(t, err)
		e := problem.From(err)
		require.NotContains(t, string(problem.Encode(e, "req_1")), marker)
		require.NotContains(t, e.Error(), marker, "nor in the log")
	}
}

// fault is an answer that violates the contract.
type fault struct {
	name, operation string
	status          int
	header          http.Header
	body            string
	in, at, keyword string
}

func responseFaults() []fault {
	js := http.Header{"Content-Type": {"application/json"}}
	with := http.Header{"Content-Type": {"application/json"}, "Etag": {`"1"`}}
	const ok = `{"name":"hamlet","id":"1"}`
	return []fault{
		{"undeclared success", "createThing", 200, with, ok, "header", "", string(RuleResponseStatus)},
		{"undeclared redirect", "listThings", 301, http.Header{}, "", "header", "", string(RuleResponseStatus)},
		{"undeclared 204", "listThings", 204, http.Header{}, "", "header", "", string(RuleResponseStatus)},
		{"body on 204", "getHealth", 204, js, "x", "body", "", string(RuleResponseBody)},
		{"another media type", "listThings", 200, http.Header{"Content-Type": {"text/html"}}, "[]", "header", "Content-Type", string(RuleResponseMedia)},
		{"no media type", "listThings", 200, http.Header{}, "[]", "header", "Content-Type", string(RuleResponseMedia)},
		{"error as text", "listThings", 500, http.Header{"Content-Type": {"text/plain"}}, "oops", "header", "Content-Type", string(RuleResponseError)},
		{"error of another shape", "listThings", 503, http.Header{"Content-Type": {"application/problem+json"}}, `{"title":"x","status":503}`, "body", "/type", "required"},
		{"switching protocols", "listThings", 101, js, "", "header", "", string(RuleResponseStatus)},
		{"compressed", "listThings", 200, http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, "[]", "header", "Content-Encoding", string(RuleContentEncoding)},
		{"a cookie", "listThings", 200, http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"a=b"}}, "[]", "header", "Set-Cookie", string(RuleUndeclared)},
		{"a property more", "listThings", 200, js, `[{"name":"hamlet","id":"1","password":"x"}]`, "body", "/0/password", "additionalProperties"},
		{"a property more where none is forbidden", "listThings", 503, http.Header{"Content-Type": {"application/problem+json"}}, `{"type":"t","title":"x","status":503,"password":"x"}`, "body", "/password", string(RuleUndeclared)},
		{"a property that no part lists", "sendAnything", 200, js, `{"left":{"deep":1},"up":1,"password":1}`, "body", "/password", string(RuleUndeclared)},
		{"a property more within a part", "sendAnything", 200, js, `{"left":{"password":1},"down":1}`, "body", "/left/password", string(RuleUndeclared)},
		{"required header missing", "createThing", 201, js, ok, "header", "ETag", string(RuleResponseHeader)},
		{"header too long", "createThing", 201, http.Header{"Content-Type": {"application/json"}, "Etag": {strings.Repeat("x", 65)}}, ok, "header", "ETag", "maxLength"},
		{"header twice", "createThing", 201, http.Header{"Content-Type": {"application/json"}, "Etag": {"1", "2"}}, ok, "header", "ETag", string(RuleRepeated)},
		{"text after JSON", "listThings", 200, js, "[]<html>", "body", "", string(RuleJSONTrailing)},
		{"schema", "listThings", 200, js, `[{"name":"hamlet"}]`, "body", "/0/id", "required"},
		{"writeOnly", "getThing", 200, js, `{"name":"hamlet","id":"1","secret":"x"}`, "body", "/secret", "writeOnly"},
		{"text too long", "exportThing", 200, http.Header{"Content-Type": {"text/csv"}}, "123456789", "body", "", "maxLength"},
		{"empty body", "listThings", 200, js, "", "body", "", string(RuleJSONSyntax)},
	}
}

func TestCheckResponse_findsWhatTheContractDoesNotKnow(t *testing.T) {
	c := sample(t)
	for _, f := range responseFaults() {
		t.Run(f.name, func(t *testing.T) {
			err := c.Operation(f.operation).CheckResponse(f.status, f.header, []byte(f.body))
			require.ErrorIs(t, err, problem.BadUpstream)
			e := problem.From(err)
			require.Equal(t, problem.Field{In: f.in, Pointer: f.at, Keyword: f.keyword, Message: e.Fields[0].Message}, e.Fields[0])
		})
	}
}

func TestCheckResponse_acceptsDeclaredAnswers(t *testing.T) {
	c := sample(t)
	js := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Etag": {`"1"`}}
	refused := http.Header{"Content-Type": {"application/problem+json"}}
	const thing, why = `{"name":"hamlet","id":"1"}`, `{"type":"t","title":"x","status":404}`
	require.NoError(t, c.Operation("createThing").CheckResponse(201, js, []byte(thing)))
	require.NoError(t, c.Operation("createThing").CheckResponse(409, refused, []byte(why)), "by its class")
	require.NoError(t, c.Operation("createThing").CheckResponse(503, refused, []byte(why)), "by default")
	require.NoError(t, c.Operation("listThings").CheckResponse(200, js, []byte("["+thing+"]")))
	require.NoError(t, c.Operation("listThings").CheckResponseHead(200, js))
	require.NoError(t, c.Operation("getHealth").CheckResponse(204, http.Header{}, nil))
	require.NoError(t, c.Operation("followEvents").CheckResponse(200, http.Header{"Content-Type": {"text/event-stream"}}, []byte("data: x\n\n")))
	require.NoError(t, c.Operation("issueToken").CheckResponse(200, js, []byte(`{"anything":1}`)), "an object that lists nothing may have anything")
	require.NoError(t, c.Operation("sendAnything").CheckResponse(200, js, []byte(`{"left":{"deep":1},"down":1,"free":{"known":1,"other":2}}`)), "each part lists its own")
	require.ElementsMatch(t, []int{201}, c.Operation("createThing").Statuses())
}

// Browsers get a page if there is one. Programs, which send */* or nothing, get the first media type.
func TestPreferred_takesWhatIsLikedBest(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                "application/json",
		"*/*":                             "application/json",
		"image/png":                       "application/json",
		"text/html":                       "text/html",
		"text/*":                          "text/html",
		"text/html,*/*;q=0.8":             "text/html",
		"text/html;q=0.5, */*;q=0.4":      "text/html",
		"text/html;q=0.5, */*":            "application/json",
		"application/json;q=0, text/html": "text/html",
		"application/json, text/html":     "application/json",
		"text/html;q=x":                   "application/json",
		"text/html;q=nan, */*;q=0.1":      "application/json",
	} {
		require.Equal(t, want, Preferred(http.Header{"Accept": {accept}}, "application/json", "text/html"), accept)
	}
}

func TestMust_countsInWords(t *testing.T) {
	for want, got := range map[string]string{
		"must have at least 1 character":   must("at least", 1, "character"),
		"must have at most 2 items":        must("at most", 2, "item"),
		"must have at least 1 property":    must("at least", 1, "property"),
		"must have at most 0 properties":   must("at most", 0, "property"),
		"must have at least 12 characters": must("at least", 12, "character"),
	} {
		require.Equal(t, want, got)
	}
}
