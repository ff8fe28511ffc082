package engine

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

func TestWithID_leavesADocumentAsItIsButForItsIDAndTenant(t *testing.T) {
	red := "red"
	for _, c := range []struct {
		id, document string
		tenant       *string
		line         string
	}{
		{"1", `{}`, nil, `{"id":"1"}`},
		{"1", ` {"n":9007199254740993,"o":{"id":"x","a":[1.50,"}"]}}`, nil, `{"id":"1","n":9007199254740993,"o":{"id":"x","a":[1.50,"}"]}}`},
		{"1", "{\r\n\"s\":\"a\\nb\"\n}", nil, `{"id":"1",  "s":"a\nb" }`},
		{"1", `{"s":"<&>","id":"1"}`, nil, `{"s":"<&>","id":"1"}`},
		{`a"<`, `{"s":1}`, nil, `{"id":"a\"\u003c","s":1}`},
		{`a\u0062`, `{"id":"a\\u0062"}`, nil, `{"id":"a\\u0062"}`},
		{"ab", `{"id":"a\u0062"}`, nil, `{"id":"ab"}`},
		{"ab", `{"\u0069d":"ab","s":1}`, nil, `{"id":"ab","s":1}`},
		{"1", `{"s":1}`, &red, `{"id":"` + owner.DocumentID(red, "1") + `","` + owner.TenantField + `":"` + owner.TenantKey(red) + `","s":1}`},
		{"1", `{"id":"1"}`, &red, `{"` + owner.TenantField + `":"` + owner.TenantKey(red) + `","id":"` + owner.DocumentID(red, "1") + `"}`},
	} {
		line, err := withID(Item{ID: c.id, Document: []byte(c.document), Tenant: c.tenant})
		require.NoError(t, err, c.document)
		if c.tenant != nil {
			require.JSONEq(t, c.line, string(line))
			continue
		}
		require.Equal(t, c.line, string(line))
	}
}

// A document can't set its own ID or the service's fields, in whatever spelling.
func TestWithID_refusesAnotherIDAndTheServicesFields(t *testing.T) {
	first, rest := owner.TenantField[:1], owner.TenantField[1:]
	escaped := `\u00` + map[string]string{"f": "66", "_": "5f"}[first] + rest
	for _, document := range []string{
		`{"id":"2"}`, `{"id":1}`, `{"id":null}`, `{"id":"1","id":"2"}`, `{"\u0069d":"2"}`, `{"id":"1 "}`, `{"id":["1"]}`, `[]`, `"1"`, `null`, ``, `{`,
		`{"` + owner.TenantField + `":"x"}`, `{"` + escaped + `":"x"}`, `{"a":1,"` + owner.TenantField + `":null,"` + owner.TenantField + `":"x"}`,
	} {
		for _, tenant := range []*string{nil, new(string)} {
			_, err := withID(Item{ID: "1", Document: []byte(document), Tenant: tenant})
			require.ErrorIs(t, err, problem.ValidationFailed, document)
		}
	}
}

// The engine reads a document that was copied unchanged in the same way as one that was decoded and encoded: it has the same members, of
// which one is the item's ID and one its tenant. What the engine can't read it refuses in both cases.
func TestWithID_isReadByTheEngineAsARewrittenOne(t *testing.T) {
	red := "red"
	for _, document := range []string{
		`{"id":"1","id":"1"}`, `{"id":"2","id":"1"}`, `{"\u0069d":"1","id":"1"}`, `{"i\u0064":"2","s":{"id":"2"},"id":"1"}`, `{"s":{"id":"2","fountain_tenant":"x"}}`, `{"s":[{"id":"2"},["id"]],"ID":"3","Id":4}`,
		`{"a":1,"a":"x","a":null}`, `{"a":{"b":1},"a":[2]}`, `{"":1,"\"id":2,"id\"":3}`, `{"a":"\\\"id\":\"2","b":"}{"}`, `{"n":1e400,"m":-0,"k":123456789012345678901234567890.000000000000000000001,"z":1E-999}`,
		"\t\n{\r\n \"a\" :\t1 ,\n\"id\"\n:\n\"1\"}\n ", `{"s":"\u2028\u0000\ud83d\ude00"}`, "{\"s\":\"\u2028\u2029\u0085\u007f\"}", `{"s":"\ud800"}`, `{"s":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`,
		`{"id.x":1,"` + owner.TenantField + `.x":2,"s.` + owner.TenantField + `":3}`,
	} {
		for _, tenant := range []*string{nil, &red} {
			item := Item{ID: "1", Document: []byte(document), Tenant: tenant}
			line, err := withID(item)
			require.NoError(t, err, document)
			slow, err := rewritten(item)
			require.NoError(t, err, document)
			read, refused := schema.ParseDocument(line)
			want, refusedToo := schema.ParseDocument(slow)
			require.Equal(t, refusedToo, refused, document)
			require.Equal(t, want, read, document)
			if refused == nil {
				require.Equal(t, item.Stored(), read["id"], document)
			}
			if tenant != nil && refused == nil {
				require.Equal(t, owner.TenantKey(red), read[owner.TenantField], document)
			}
			require.NotContains(t, string(line), "\n")
		}
	}
}

// The contract lets only valid JSON through. Even without that, invalid text would not become two lines or two documents, and the engine
// would refuse it.
func TestWithID_makesNoDocumentOfWhatIsNoObject(t *testing.T) {
	for _, document := range []string{`{} `, ` {"id":"1"}`} {
		_, err := withID(Item{ID: "1", Document: []byte(document)})
		require.NoError(t, err, document)
	}
	for _, document := range []string{`{}{}`, `{} {"id":"2"}`, `{"id":"1"},`, `{"id":"1"}}`, `{"id":"1"`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{"a":01}`, `{"a":+1}`, `{"a":"\x"}`, "\xef\xbb\xbf{}", `{"a":NaN}`, `{"a":tru}`} {
		line, err := withID(Item{ID: "1", Document: []byte(document)})
		if err == nil {
			require.NotContains(t, string(line), "\n", document)
			_, err = schema.ParseDocument(line)
			require.Error(t, err, document)
			continue
		}
		require.ErrorIs(t, err, problem.ValidationFailed, document)
	}
	for _, document := range []string{`{}{}`, `{} {"id":"2"}`, `{"id":"1"},`, `{"id":"1"}}`, "{\"id\":\"1\"}\n{\"id\":\"2\"}"} {
		_, err := withID(Item{ID: "1", Document: []byte(document)})
		require.ErrorIs(t, err, problem.ValidationFailed, document)
	}
}

// The result is one line with the members of the document, and no others except the ID and the tenant.
func FuzzWithID(f *testing.F) {
	for _, document := range []string{`{}`, `{"id":"1"}`, `{"a":"\n","\u0069d":"1"}`, "{\"a\":[{}, \r\n 1e9]}", `{"` + owner.TenantField + `":1}`, `{"a":{"id":"2"}}`} {
		f.Add("1", document, "red")
		f.Add(`x"\`, document, "")
	}
	f.Fuzz(func(t *testing.T, id, document, tenant string) {
		item := Item{ID: id, Document: []byte(document)}
		if tenant != "" {
			item.Tenant = &tenant
		}
		if !json.Valid(item.Document) || strings.ToValidUTF8(id, "") != id {
			t.Skip() // the contract lets none through
		}
		line, err := withID(item)
		slow, refused := rewritten(item)
		require.Equal(t, refused == nil, err == nil, "%v %v", err, refused)
		if err != nil {
			return
		}
		require.False(t, bytes.ContainsAny(line, "\r\n"))
		require.Equal(t, read(t, slow), read(t, line))
		if utf8.ValidString(document) {
			want, refusedToo := schema.ParseDocument(slow)
			is, refused := schema.ParseDocument(line)
			require.Equal(t, refusedToo, refused)
			require.Equal(t, want, is, "as the engine reads it")
		}
		require.Equal(t, document, string(item.Document), "the caller's document is not changed")
	})
}

func read(t *testing.T, line []byte) (doc map[string]any) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	require.NoError(t, d.Decode(&doc), "%s", line)
	require.False(t, d.More())
	return doc
}
