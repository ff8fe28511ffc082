package engine

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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

// A document says nothing of its own id and of the service's fields, in whatever letters.
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

// What is written is one line with the members of the document, and no others but the id and the tenant.
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
