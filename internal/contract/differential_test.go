package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/openapi"
)

// oracle is kin-openapi with all its checks switched on.
type oracle struct {
	contract *Contract
	doc      *openapi3.T
}

func newOracle(t testing.TB, files fs.FS, word string) *oracle {
	t.Helper()
	doc, _, err := LoadModel(files, word)
	require.NoError(t, err)
	c, err := LoadFS(files, word)
	require.NoError(t, err)
	return &oracle{c, doc}
}

func oracles(t testing.TB) []*oracle {
	all := []*oracle{newOracle(t, sampleFiles, "sample")}
	for _, word := range openapi.Words() {
		all = append(all, newOracle(t, openapi.Files, word))
	}
	return all
}

// rejects returns kin's verdict on a matched request.
func (o *oracle) rejects(r *http.Request, m *Match, body []byte) error {
	item := o.doc.Paths.Value(m.Operation.template)
	operation := item.GetOperation(m.Operation.Method)
	params := map[string]string{}
	for _, name := range m.names {
		params[name], _ = m.Param(name)
	}
	copied := r.Clone(context.Background())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	return openapi3filter.ValidateRequest(context.Background(), &openapi3filter.RequestValidationInput{
		Request: copied, PathParams: params, Route: &routers.Route{Spec: o.doc, PathItem: item, Method: r.Method, Operation: operation},
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, RejectWhenRequestBodyNotSpecified: true,
		},
	})
}

// bodies draws JSON values for a schema: mostly valid ones, sometimes any.
type bodies struct{ depth int }

func anything() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return json.Number(rapid.SampledFrom([]string{"0", "-1", "1.5", "1e2", "1.0", "9223372036854775808", "1e30", "-0", "0.015", "2147483648", "3", "6"}).Draw(t, "number"))
		case 3:
			return json.Number(rapid.StringMatching(`-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "literal"))
		case 4:
			return []any{}
		case 5:
			return []any{"a", json.Number("1"), json.Number("1"), "a"}
		case 6:
			return map[string]any{}
		case 7:
			return map[string]any{rapid.SampledFrom([]string{"name", "x", "shape", "n", "items"}).Draw(t, "key"): "x"}
		case 8:
			return rapid.SampledFrom([]string{"", "a", "äöü", "red", "never", "2026-02-30", "2026-11-23T10:00:00Z", "a@b.de", "::1", "YQ==", "circle", "aal2"}).Draw(t, "text")
		}
		return rapid.StringN(0, 20, 80).Draw(t, "string")
	})
}

func (b bodies) draw(t *rapid.T, ref *openapi3.SchemaRef) any {
	s := ref.Value
	if b.depth > 6 || rapid.IntRange(0, 19).Draw(t, "odd") == 0 {
		return anything().Draw(t, "anything")
	}
	inner := bodies{b.depth + 1}
	if alternatives := slices.Concat(s.OneOf, s.AnyOf, s.AllOf); len(alternatives) > 0 {
		return inner.draw(t, rapid.SampledFrom(alternatives).Draw(t, "alternative"))
	}
	if len(s.Enum) > 0 {
		return rapid.SampledFrom(s.Enum).Draw(t, "enum")
	}
	switch {
	case s.Type.Is("object"):
		return inner.object(t, s)
	case s.Type.Is("array"):
		n := rapid.IntRange(int(min(s.MinItems, 5)), int(s.MinItems)+3).Draw(t, "items")
		list := []any{}
		for range n {
			list = append(list, inner.draw(t, s.Items))
		}
		return list
	case s.Type.Is("string"):
		return text(t, s)
	case s.Type.Is("integer"):
		low, high := -100, 100
		if s.Min != nil {
			low = int(*s.Min) - 1
		}
		if s.Max != nil && *s.Max < 1e15 {
			high = int(*s.Max) + 1
		}
		return rapid.IntRange(min(low, high), max(low, high)).Draw(t, "integer")
	case s.Type.Is("number"):
		return rapid.SampledFrom([]float64{0, 0.01, 0.5, 1, 10, 999.99, 1000, -1}).Draw(t, "number")
	case s.Type.Is("boolean"):
		return rapid.Bool().Draw(t, "boolean")
	}
	return anything().Draw(t, "untyped")
}

func text(t *rapid.T, s *openapi3.Schema) string {
	switch s.Format {
	case "date-time":
		return rapid.SampledFrom([]string{"2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000001+02:00", "2026-13-01T00:00:00Z", "2026-11-23 10:00:00Z"}).Draw(t, "time")
	case "uuid":
		return rapid.SampledFrom([]string{"5f1f6ca4-6d2a-4f0e-9e3b-2f0f0f0f0f0f", "x"}).Draw(t, "uuid")
	case "byte":
		return rapid.SampledFrom([]string{"", "YQ==", "YQ", "-_==", "?"}).Draw(t, "bytes")
	case "":
	default:
		return rapid.SampledFrom([]string{"a@b.de", "https://a.de/x", "2026-02-28", "2026-02-30", "1.2.3.4", "::1", "a.de"}).Draw(t, "formatted")
	}
	if s.Pattern != "" && rapid.IntRange(0, 9).Draw(t, "off") > 0 {
		return rapid.StringMatching(s.Pattern).Draw(t, "pattern")
	}
	low := int(s.MinLength)
	high := low + 12
	if s.MaxLength != nil {
		high = min(high, int(*s.MaxLength)) + 1
	}
	return rapid.StringN(low, high, 4*high).Draw(t, "string")
}

func (b bodies) object(t *rapid.T, s *openapi3.Schema) any {
	out := map[string]any{}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := s.Properties[name]
		wanted := slices.Contains(s.Required, name)
		switch {
		case p.Value.ReadOnly:
			wanted = rapid.IntRange(0, 19).Draw(t, "readOnly") == 0
		case wanted:
			wanted = rapid.IntRange(0, 19).Draw(t, "required") > 0
		default:
			wanted = rapid.IntRange(0, 4).Draw(t, "optional") == 0
		}
		if wanted {
			out[name] = b.draw(t, p)
		}
	}
	if s.AdditionalProperties.Schema != nil || rapid.IntRange(0, 19).Draw(t, "extra") == 0 {
		ref := s.AdditionalProperties.Schema
		name := rapid.SampledFrom([]string{"extra", "Name", "x y", "N"}).Draw(t, "extra name")
		if ref != nil {
			out[name] = b.draw(t, ref)
		} else {
			out[name] = "x"
		}
	}
	return out
}

// named reports whether every violation of a refusal is one of our rules.
func named(err error) bool {
	for _, f := range problem.From(err).Fields {
		if !isRule(f.Keyword) {
			return false
		}
	}
	return true
}

func isRule(keyword string) bool {
	return slices.Contains([]Rule{RuleIntegerExact, RuleFormat, RuleCaseVariant, RuleUndeclared, RuleRepeated, RuleNumberForm,
		RuleHeaderText, RuleJSONNUL, RuleJSONNumber, RuleJSONUTF8, RuleJSONDuplicateKey, RuleJSONDepth, RuleJSONTrailing, RuleQueryEmpty,
		RuleQueryControl, RuleQueryEscape, RuleQuerySemicolon, RuleQueryUTF8, RuleCharset, RuleMediaParameter, RuleContentEncoding, RuleUnexpectedBody}, Rule(keyword))
}

func TestCheckBody_neverAcceptsWhatTheOracleRejects(t *testing.T) {
	accepted, rejected := 0, 0 // over all operations: of a demanding one, few random bodies are allowed
	for _, o := range oracles(t) {
		for _, op := range o.contract.Operations {
			model := o.doc.Paths.Value(op.template).GetOperation(op.Method)
			if op.body == nil || op.body.media["application/json"] == nil {
				continue
			}
			t.Run(op.ID, func(t *testing.T) {
				ref := model.RequestBody.Value.Content["application/json"].Schema
				rapid.Check(t, func(t *rapid.T) {
					value := bodies{}.draw(t, ref)
					text, err := json.Marshal(value)
					require.NoError(t, err)
					ours := op.CheckBody("application/json", text)
					theirs := kinBody(ref, text)
					if ours == nil {
						accepted++
						require.NoError(t, theirs, "ours accepts, kin rejects %s", text)
						return
					}
					rejected++
					if theirs == nil {
						require.True(t, named(ours) || looseNumber(ours, text), "ours alone rejects %s: %+v", text, problem.From(ours).Fields)
					}
				})
			})
		}
	}
	require.Positive(t, accepted, "the generator makes what is allowed")
	require.Positive(t, rejected, "the generator makes what is not")
}

// looseNumber reports whether we compared numbers exactly where kin rounds them to floats.
func looseNumber(err error, body []byte) bool {
	rounds := slices.ContainsFunc(literal.FindAll(body, -1), roundsToInteger)
	return !slices.ContainsFunc(problem.From(err).Fields, func(f problem.Field) bool {
		if f.Keyword == "type" && f.Message == "must be of type integer" && rounds {
			return false
		}
		return !isRule(f.Keyword) && !slices.Contains([]string{"uniqueItems", "multipleOf", "minimum", "maximum", "enum", "readOnly", "oneOf", "anyOf"}, f.Keyword)
	})
}

var literal = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?`)

// roundsToInteger reports whether a number is not an integer but its nearest float64 is, such as 1000000000000000.01.
func roundsToInteger(number []byte) bool {
	exact, ok := new(big.Rat).SetString(string(number))
	if !ok || exact.IsInt() {
		return false
	}
	nearest, _ := exact.Float64()
	return nearest == math.Trunc(nearest)
}

func kinBody(ref *openapi3.SchemaRef, text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return err
	}
	return ref.Value.VisitJSON(value, openapi3.VisitAsRequest(), openapi3.MultiErrors())
}

func TestAdmit_neverAcceptsAParameterTheOracleRejects(t *testing.T) {
	values := []string{"", "1", "0", "100", "101", "-1", "05", "1.5", "1e2", "true", "TRUE", "a", "a%20b", "%C3%A4", "2026-11-23T10:00:00Z", "9223372036854775808", "1,2", "b", "%zz",
		"123456789", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "fac_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}
	for _, o := range oracles(t) {
		for _, op := range o.contract.Operations {
			t.Run(op.ID, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					path := op.Path
					for strings.Contains(path, "{") {
						before, rest, _ := strings.Cut(path, "{")
						_, after, _ := strings.Cut(rest, "}")
						path = before + rapid.SampledFrom(values[1:]).Draw(t, "path value") + after
					}
					var pairs []string
					headers := http.Header{}
					for _, p := range op.parameters {
						for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 1, 2}).Draw(t, "times") {
							value := rapid.SampledFrom(values).Draw(t, "value")
							switch p.in {
							case "query":
								pairs = append(pairs, p.name+"="+value)
							case "header":
								headers.Add(p.name, value)
							case "cookie":
								headers.Add("Cookie", p.name+"="+value)
							}
						}
					}
					if rapid.IntRange(0, 19).Draw(t, "undeclared") == 0 {
						pairs = append(pairs, "undeclared=1")
					}
					r := httptest.NewRequest(op.Method, "/", nil)
					decoded, err := url.PathUnescape(path)
					if err != nil {
						decoded = path
					}
					r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.Header = decoded, path, strings.Join(pairs, "&"), headers
					m, err := match(o.contract, op.Method, path)
					if err != nil || m.Operation != op {
						return
					}
					if err := op.CheckParameters(r, m); err != nil {
						return
					}
					if op.body != nil && op.body.required {
						return // kin checks all at once
					}
					require.NoError(t, o.rejects(r, m, nil), "ours accepts, kin rejects %s ?%s %v", path, r.URL.RawQuery, headers)
				})
			})
		}
	}
}

// kin accepts all these requests. The test keeps the table of the study correct.
func TestAdmit_rejectsTheCorpusThatKinAccepts(t *testing.T) {
	o := newOracle(t, sampleFiles, "sample")
	for name, c := range map[string]struct {
		request *http.Request
		rule    Rule
	}{
		"second JSON value":      {request("POST /anything", `{"n":1}{"n":2}`, asJSON), RuleJSONTrailing},
		"garbage after":          {request("POST /anything", `{"n":1}garbage`, asJSON), RuleJSONTrailing},
		"duplicate key":          {request("POST /anything", `{"n":999,"n":1}`, asJSON), RuleJSONDuplicateKey},
		"case variant":           {request("POST /anything", `{"n":1,"N":999}`, asJSON), RuleCaseVariant},
		"uuid":                   {request("POST /things", thing(`,"uuid":"x"`), asJSON, key), RuleFormat},
		"email":                  {request("POST /things", thing(`,"mail":"x"`), asJSON, key), RuleFormat},
		"int64":                  {request("POST /things", thing(`,"big":9223372036854775808`), asJSON, key), RuleIntegerExact},
		"charset":                {request("POST /anything", `{}`, asJSON+"; charset=utf-16"), RuleCharset},
		"UTF-8":                  {request("POST /anything", "{\"a\":\"\xff\"}", asJSON), RuleJSONUTF8},
		"content coding":         {request("POST /anything", `{}`, asJSON, "Content-Encoding: gzip"), RuleContentEncoding},
		"depth":                  {request("POST /anything", `{"a":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}`, asJSON), RuleJSONDepth},
		"undeclared parameter":   {request("GET /things?x=1", ""), RuleUndeclared},
		"repeated parameter":     {request("GET /things?limit=5&limit=999", ""), RuleRepeated},
		"repeated header":        {request("GET /things", "", "X-N: 1", "X-N: zzz"), RuleRepeated},
		"repeated cookie":        {request("GET /things", "", "Cookie: pref=a; pref=zz"), RuleRepeated},
		"undecodable query":      {request("GET /things?limit=5&bad=%zz", ""), RuleQueryEscape},
		"semicolon":              {request("GET /things?limit=5;limit=999", ""), RuleQuerySemicolon},
		"plus":                   {request("GET /things?limit=%2B5", ""), RuleNumberForm},
		"integer as a float":     {request("POST /things", thing(`,"big":1.0`), asJSON, key), RuleIntegerExact},
		"half a surrogate pair":  {request("POST /anything", `{"a":"\ud800"}`, asJSON), RuleJSONUTF8},
		"NUL in a string":        {request("POST /anything", `{"a":"\u0000"}`, asJSON), RuleJSONNUL},
		"header of control text": {request("GET /things", "", "X-List: a\x01"), RuleHeaderText},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := match(o.contract, c.request.Method, c.request.URL.RawPath)
			require.NoError(t, err)
			var body []byte
			if c.request.Body != nil {
				body, err = io.ReadAll(c.request.Body)
				require.NoError(t, err)
				c.request.Body = io.NopCloser(bytes.NewReader(body))
			}
			require.NoError(t, o.rejects(c.request, m, body), "kin rejects this now too: drop it from the corpus")
			err = admit(o.contract, c.request)
			require.Error(t, err)
			require.Equal(t, string(c.rule), problem.From(err).Fields[0].Keyword)
		})
	}
}
