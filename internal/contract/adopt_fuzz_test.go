package contract

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// use sends some requests through every operation of an adopted contract.
func use(t testing.TB, c *Contract, bodies ...string) {
	for i, op := range c.Operations {
		if i == 50 {
			return
		}
		require.True(t, op.Public || len(op.Requirements) > 0, "%s is open", op.ID)
		require.True(t, strings.HasPrefix(op.Path, c.Mount+"/"), op.Path)
		_, _, _, _ = op.Parameters(), op.AnswerTypes(), op.RequestHeaders(), op.MemoryBound()
		path := strings.NewReplacer("{", "", "}", "", " ", "%20", "%", "", "<", "", ">", "").Replace(op.Path)
		for _, query := range []string{"", "page=1&filter[state]=open&filter[ids]=1&sort=name,-name&where=%7B%7D&code=7&a=b;c", "page=x&filter[=1&%zz"} {
			r := httptest.NewRequest(http.MethodGet, "http://gateway.test/", nil)
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.Method = path, "", query, op.Method
			r.Header = http.Header{"Cookie": {"session=a"}, "X-Trace": {"1,2"}}
			var m Match
			if c.Match(op.Method, r.URL.EscapedPath(), &m) == nil && m.Operation == op {
				_ = op.CheckParameters(r, &m)
				_ = op.DeclaredQuery(query)
			}
		}
		for _, contentType := range append(op.BodyTypes(), "multipart/form-data; boundary=b") {
			for _, body := range bodies {
				_ = op.CheckBody(contentType, []byte(body))
				if op.StreamsBodyOf(contentType) {
					if s, err := op.CheckStream(contentType, io.NopCloser(strings.NewReader(body))); err == nil {
						_, _ = io.Copy(io.Discard, s)
						_ = s.Close()
					}
				}
				_ = op.CheckResponse(200, http.Header{"Content-Type": {contentType}, "X-Total": {"1"}}, []byte(body))
			}
		}
	}
}

var someBodies = []string{`{}`, `[]`, `null`, `1`, `"a"`, `{"kind":"book","title":"x","pages":null}`, `{"kind":"toy","parts":[{"kind":"toy","parts":[]}]}`, `{"a":1,"pair":["x",0.5],"x-mode":"fast"}`,
	`name=a&count=1&tags=x,y`, "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"meta\"\r\n\r\n{\"a\":1}\r\n--b--\r\n"}

// within fails the test when do runs for far too long. It does not measure speed.
func within(t testing.TB, what string, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("no end: %s", what)
	}
}

func FuzzAdopt(f *testing.F) {
	everything, err := os.ReadFile("testdata/adopted.yaml")
	require.NoError(f, err)
	f.Add(everything)
	f.Add([]byte(plainPets))
	f.Add([]byte(`{"openapi":"3.0.0","paths":{"/a/{b}":{"get":{"parameters":[{"name":"b","in":"path","schema":{"type":"string"}}],"requestBody":{"content":{"*/*":{}}}}}}}`))
	f.Add([]byte("openapi: 3.1.0\npaths: &p {/a: {post: &o {requestBody: {content: {application/json: {schema: &s {anyOf: [{$ref: '#/paths/~1a'}, {not: {}}]}}}}}}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, _, err := Adopt(Adoption{Name: "shop", File: "shop.yaml", Files: map[string][]byte{"shop.yaml": text}})
		if err == nil {
			use(t, c, someBodies...)
		}
	})
}

func TestAdopt_survivesDocumentsThatAreDamaged(t *testing.T) {
	text, err := os.ReadFile("testdata/adopted.yaml")
	require.NoError(t, err)
	var whole any
	require.NoError(t, yaml.Unmarshal(text, &whole))
	plain, err := json.Marshal(whole)
	require.NoError(t, err)
	g := rand.New(rand.NewPCG(3, 5))
	adopted := 0
	for range 1500 {
		var document any
		require.NoError(t, json.Unmarshal(plain, &document))
		var all []any
		collect(document, &all)
		for range 1 + g.IntN(3) {
			damage(g, all[g.IntN(len(all))], all)
		}
		damaged, err := json.Marshal(document)
		if err != nil {
			continue // the value would contain itself
		}
		within(t, string(damaged), func() {
			c, _, err := Adopt(Adoption{Name: "shop", File: "shop.json", Files: map[string][]byte{"shop.json": damaged}})
			if err == nil {
				adopted++
				use(t, c, someBodies...)
			}
		})
	}
	require.Greater(t, adopted, 1000, "most damage costs an operation at most")
}

// collect adds every object and list of a value.
func collect(v any, all *[]any) {
	switch v := v.(type) {
	case map[string]any:
		*all = append(*all, v)
		for _, member := range v {
			collect(member, all)
		}
	case []any:
		if len(v) > 0 {
			*all = append(*all, v)
		}
		for _, item := range v {
			collect(item, all)
		}
	}
}

// damage replaces or removes a part of an object or list.
func damage(g *rand.Rand, v any, all []any) {
	odd := []any{nil, true, false, 0, -1, 1.5, 1e300, "", "x", "#/components/schemas/Base", "#/paths/~1items", "other.yaml#/x", "^(", []any{}, map[string]any{}, map[string]any{"$ref": "#/components/schemas/Closed"}, all[g.IntN(len(all))]}
	with := odd[g.IntN(len(odd))]
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		if len(keys) == 0 {
			return
		}
		key := keys[g.IntN(len(keys))]
		switch g.IntN(4) {
		case 0:
			delete(v, key)
		case 1:
			v[[]string{"$ref", "type", "allOf", "items", "schema", "pattern", "additionalProperties", "in", "style", "content", "$anchor", "discriminator"}[g.IntN(12)]] = with
		default:
			v[key] = with
		}
	case []any:
		v[g.IntN(len(v))] = with
	}
}

func TestAdopt_servesManyAtOnce(t *testing.T) {
	text, err := os.ReadFile("testdata/adopted.yaml")
	require.NoError(t, err)
	c, _, err := Adopt(Adoption{Name: "shop", File: "shop.yaml", Files: map[string][]byte{"shop.yaml": text}})
	require.NoError(t, err)
	for range 4 {
		t.Run("one of them", func(t *testing.T) {
			t.Parallel()
			use(t, c, someBodies...)
		})
	}
}
