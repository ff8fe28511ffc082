package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/openapi"
)

// many is a contract of 500 operations on 250 paths.
func many(b *testing.B) *Contract {
	var text strings.Builder
	text.WriteString("openapi: 3.0.3\ninfo: {title: Many, version: 1.0.0}\nservers: [{url: /many/v1}]\npaths:\n")
	for i := range 250 {
		fmt.Fprintf(&text, "  /group%d/things%d/{thingId}:\n    parameters: [{name: thingId, in: path, required: true, schema: {type: string, maxLength: 64}}]\n", i%10, i)
		for _, method := range []string{"get", "put"} {
			fmt.Fprintf(&text, "    %s: {operationId: %s%d, security: [], responses: {'204': {description: Done.}}}\n", method, method, i)
		}
	}
	c, err := LoadFS(fstest.MapFS{"many.yaml": {Data: []byte(text.String())}}, "many")
	require.NoError(b, err)
	return c
}

func BenchmarkMatch_of500Operations(b *testing.B) {
	c := many(b)
	for _, path := range []struct{ name, path string }{
		{"found", "/many/v1/group7/things197/abc"},
		{"escaped", "/many/v1/group7/things197/caf%C3%A9"},
		{"not found", "/many/v1/group7/things198/abc"},
	} {
		b.Run(path.name, func(b *testing.B) {
			var m Match
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Match(http.MethodPut, path.path, &m); (err == nil) == (path.name == "not found") {
					b.Fatal(err)
				}
			}
		})
	}
}

// family returns sequence's contract, with its most frequent bodies.
func family(b *testing.B) *Contract {
	c, err := Load("sequence")
	require.NoError(b, err)
	return c
}

// adopted returns the same contract, adopted as a document from outside the family.
func adopted(t testing.TB) *Contract {
	files := map[string][]byte{}
	for _, name := range []string{"sequence", "common"} {
		text, err := openapi.Read(name)
		require.NoError(t, err)
		files[name+".yaml"] = bytes.ReplaceAll(text, []byte("{max: 4GiB}"), []byte("{max: 16MiB}")) // the most that a document of others may say
	}
	c, _, err := Adopt(Adoption{Name: "lines", File: "sequence.yaml", Files: files})
	require.NoError(t, err)
	return c
}

func BenchmarkCheckParameters_ofAList(b *testing.B) {
	for name, c := range map[string]*Contract{"family": family(b), "adopted": adopted(b)} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, c.BasePath+"/scopes/hamlet/line/elements?limit=50&cursor=abcdefghijklmnop", nil)
			m, err := match(c, r.Method, r.URL.EscapedPath())
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Operation.CheckParameters(r, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckBody_of300Bytes(b *testing.B) {
	body := []byte(fmt.Sprintf(`{"id":"line-1","data":{"text":%q,"scene":"ACT I, SCENE 1","speaker":"BERNARDO"},"comment":"as it was"}`, strings.Repeat("Who's there? ", 15)))
	b.Run("ours", func(b *testing.B) {
		op := family(b).Operation("createElement")
		b.ReportAllocs()
		for b.Loop() {
			if err := op.CheckBody("application/json", body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("adopted", func(b *testing.B) {
		op := adopted(b).Operation("createElement")
		b.ReportAllocs()
		for b.Loop() {
			if err := op.CheckBody("application/json", body); err != nil {
				b.Fatal(err)
			}
		}
	})
	// The same schema by kin-openapi, which is given the decoded value.
	b.Run("kin", func(b *testing.B) {
		doc, _, err := LoadModel(openapi.Files, "sequence")
		require.NoError(b, err)
		var schema *openapi3.Schema
		for _, item := range doc.Paths.Map() {
			if item.Post != nil && item.Post.OperationID == "createElement" {
				schema = item.Post.RequestBody.Value.Content["application/json"].Schema.Value
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			var value any
			if err := json.Unmarshal(body, &value); err != nil {
				b.Fatal(err)
			}
			if err := schema.VisitJSON(value); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCheckResponse(b *testing.B) {
	const element = `{"id":"line-1","scope":"hamlet","elementType":"line","number":1,"status":"active","version":1,"data":{"text":"Who's there?"},"createdAt":"2026-11-23T10:00:00Z","updatedAt":"2026-11-23T10:00:00Z"}`
	header := http.Header{"Content-Type": {"application/json"}, "Etag": {`"1"`}}
	for _, c := range []struct {
		name, operation, body string
	}{
		{"one element", "getElement", element},
		{"200 elements", "listElements", `{"items":[` + strings.Repeat(element+",", 199) + element + `]}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			for name, from := range map[string]*Contract{"family": family(b), "adopted": adopted(b)} {
				b.Run(name, func(b *testing.B) {
					op, body := from.Operation(c.operation), []byte(c.body)
					b.SetBytes(int64(len(body)))
					b.ReportAllocs()
					for b.Loop() {
						if err := op.CheckResponse(200, header, body); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

func BenchmarkLoadAll(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LoadAll(); err != nil {
			b.Fatal(err)
		}
	}
}
