package contract

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// target is an operation for which requests are generated.
type target struct {
	*oracle
	op         *Operation
	parameters []*openapi3.Parameter
	body       *openapi3.SchemaRef // of application/json; nil: no body
}

// targets returns the operations of all contracts without a body or with a JSON body: forms have rules of our own (RFC 6749).
func targets(t testing.TB) []target {
	var out []target
	for _, o := range oracles(t) {
		for _, op := range o.contract.Operations {
			item := o.doc.Paths.Value(op.template)
			one := target{oracle: o, op: op}
			for _, ref := range slices.Concat(item.Parameters, item.GetOperation(op.Method).Parameters) {
				one.parameters = append(one.parameters, ref.Value)
			}
			if op.body != nil {
				if op.body.media["application/json"] == nil {
					continue
				}
				one.body = item.GetOperation(op.Method).RequestBody.Value.Content["application/json"].Schema
			}
			out = append(out, one)
		}
	}
	return out
}

var oddTexts = []string{"", "1", "0", "100", "101", "-1", "05", "1.5", "1e2", "+5", "true", "TRUE", "a", "a b", "ä", "2026-11-23T10:00:00Z", "9223372036854775808", "1,2", ",", "null", "1_0"}

// parameterText returns an unescaped value for a parameter.
func (g generator) parameterText(s *openapi3.Schema) string {
	if g.once(8) {
		return pick(g, oddTexts)
	}
	if s.Type.Is("array") {
		s = s.Items.Value
	}
	text := string(g.value(nil, s, 0))
	if unquoted, err := strconv.Unquote(text); err == nil {
		return unquoted
	}
	return text
}

// request returns a request of the target and its body.
func (g generator) request(to target) (*http.Request, []byte) {
	r := &http.Request{Method: to.op.Method, URL: &url.URL{}, Header: http.Header{}, Host: "127.0.0.1", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	path, query := to.op.Path, []string{}
	for _, p := range to.parameters {
		text := g.parameterText(p.Schema.Value)
		times := 1
		if p.In != "path" && !p.Required && !g.once(3) || g.once(48) {
			times = g.IntN(3)
		}
		if p.In == "path" {
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(text), 1)
			continue
		}
		for range times {
			switch p.In {
			case "query":
				query = append(query, p.Name+"="+pick(g, []func(string) string{url.QueryEscape, url.QueryEscape, url.PathEscape, func(s string) string { return s }})(text))
			case "header":
				r.Header.Add(p.Name, strings.TrimSpace(text)) // as net/http gives it
			case "cookie":
				r.Header.Add("Cookie", p.Name+"="+text)
			}
		}
	}
	if g.once(48) {
		query = append(query, pick(g, []string{"undeclared=1", "a=%zz", "b;c", "&", "limit", "=", "x=%ff"}))
	}
	r.URL.RawPath, r.URL.RawQuery = path, strings.Join(query, "&")
	r.URL.Path, _ = url.PathUnescape(path)
	var body []byte
	if to.body != nil && (to.op.body.required || !g.once(4)) && !g.once(48) {
		body = g.text(to.body)
		r.Header.Set("Content-Type", pick(g, []string{asJSON[14:], asJSON[14:], asJSON[14:], "application/json; charset=utf-8", "application/json; charset=latin1", "text/plain"}))
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	return r, body
}

// extra classifies a refusal that kin does not make: a rule of our own, an exact comparison of numbers, or a boolean that is not written as true or
// false. It returns "" for others.
func extra(err error, body []byte) string {
	e := *problem.From(err)
	e.Fields = slices.DeleteFunc(slices.Clone(e.Fields), func(f problem.Field) bool {
		return f.In != "body" && f.Keyword == "type" && f.Message == "must be of type boolean"
	})
	if len(e.Fields) == 0 {
		return "exact booleans"
	}
	if len(body) == 0 && e.Fields[0].Keyword == string(RuleJSONSyntax) {
		return e.Fields[0].Keyword // a media type is sent, but there is no body
	}
	if !named(&e) && !looseNumber(&e, body) {
		return ""
	}
	for _, f := range e.Fields {
		if isRule(f.Keyword) {
			return f.Keyword
		}
	}
	return "exact numbers"
}

// Generated requests are sent to both. With FOUNTAIN_PROVE=1 there are a million; FOUNTAIN_SEED repeats a run.
func TestAdmit_neverAcceptsWhatTheOracleRejectsAtScale(t *testing.T) {
	requests, seed := 6000, uint64(1)
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		requests, seed = 1_200_000, uint64(time.Now().UnixNano())
	}
	if text := os.Getenv("FOUNTAIN_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	g, all, extras, outcomes := newGenerator(seed), targets(t), map[string]int{}, map[string]int{}
	for i, sent := 0, 0; sent < requests; i++ {
		to := all[i%len(all)]
		r, body := g.request(to)
		m, err := match(to.contract, r.Method, r.URL.RawPath)
		if m.Operation != to.op {
			continue // by what stands for a parameter
		}
		sent++
		ours := admitted(to.op, r, m, body, err)
		theirs := to.rejects(r, m, body)
		switch {
		case ours == nil && theirs != nil:
			t.Fatalf("seed %d: ours accepts, kin rejects %s %s?%s %v %s: %v", seed, r.Method, r.URL.RawPath, r.URL.RawQuery, r.Header, body, theirs)
		case ours == nil:
			outcomes["both accept"]++
		case theirs != nil:
			outcomes["both reject"]++
		default:
			name := extra(ours, body)
			if name == "" {
				t.Fatalf("seed %d: ours alone rejects %s %s?%s %v %s: %+v", seed, r.Method, r.URL.RawPath, r.URL.RawQuery, r.Header, body, problem.From(ours).Fields)
			}
			outcomes["ours alone rejects"]++
			extras[name]++
		}
	}
	t.Logf("seed %d: %d requests to %d operations: %v", seed, requests, len(all), outcomes)
	for _, name := range slices.Sorted(maps.Keys(extras)) {
		t.Logf("ours alone by %s: %d", name, extras[name])
	}
	require.Greater(t, outcomes["both accept"], requests/50)
	require.Greater(t, outcomes["both reject"], requests/50)
}

// admitted runs the checks on a matched request.
func admitted(op *Operation, r *http.Request, m *Match, body []byte, err error) error {
	if err != nil {
		return err
	}
	if err := op.CheckMedia(r); err != nil {
		return err
	}
	if err := op.CheckParameters(r, m); err != nil {
		return err
	}
	return op.CheckBody(r.Header.Get("Content-Type"), body)
}
