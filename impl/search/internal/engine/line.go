package engine

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/rawjson"
	"github.com/fountainai/fountain/internal/problem"
)

// withID returns the line that appendLine appends.
func withID(item Item) ([]byte, error) { return appendLine(nil, item) }

// appendLine appends the document, which is valid JSON, as one line that includes the item's ID and tenant. The other members are copied
// unchanged. On an error out is unchanged. Problem: validation_failed.
func appendLine(out []byte, item Item) ([]byte, error) {
	n, hasID, plain := members(item)
	if !plain {
		line, err := rewritten(item)
		return append(out, line...), err
	}
	begin := len(out)
	if hasID {
		out = append(out, item.Document...)
	} else {
		out = rawjson.AppendString(append(out, `{"id":`...), item.Stored())
		if item.Tenant != nil {
			out = append(append(append(out, `,"`+owner.TenantField+`":"`...), owner.TenantKey(*item.Tenant)...), '"')
		}
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, item.Document[bytes.IndexByte(item.Document, '{')+1:]...)
	}
	spaced(out[begin:], '\n')
	spaced(out[begin:], '\r')
	return out, nil
}

// spaced replaces a character that occurs in valid JSON only between values, such as a newline, by spaces.
func spaced(line []byte, sign byte) {
	for {
		at := bytes.IndexByte(line, sign)
		if at < 0 {
			return
		}
		line[at] = ' '
		line = line[at+1:]
	}
}

// members counts the members of an item's document, and reports whether the ID is among them. plain reports whether they can be copied
// unchanged: no name is escaped or reserved, and the ID is already in the form that the engine gets.
func members(item Item) (n int, hasID, plain bool) {
	plain = true
	err := rawjson.Members(item.Document, func(name, value []byte) error {
		n++
		switch {
		case bytes.IndexByte(name, '\\') >= 0, string(name) == owner.TenantField:
			plain = false
		case string(name) == "id":
			same := item.Tenant == nil && !strings.Contains(item.ID, `\`) && string(value) == `"`+item.ID+`"`
			plain, hasID = plain && same && !hasID, true
		}
		return nil
	})
	return n, hasID, plain && err == nil
}

// rewritten is withID for any document. It decodes and encodes the document.
func rewritten(item Item) ([]byte, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(item.Document, &doc); err != nil || doc == nil {
		return nil, problem.New(problem.ValidationFailed, "The document is not a JSON object.")
	}
	id, err := json.Marshal(item.Stored())
	if err != nil {
		return nil, err
	}
	if own, ok := doc["id"]; ok {
		var text string
		if json.Unmarshal(own, &text) != nil || text != item.ID {
			return nil, problem.New(problem.ValidationFailed, "The document's id differs from the item's id.")
		}
	}
	if doc[owner.TenantField] != nil {
		return nil, problem.New(problem.ValidationFailed, "The document has a field with a reserved name.")
	}
	if item.Tenant != nil {
		doc[owner.TenantField] = json.RawMessage(`"` + owner.TenantKey(*item.Tenant) + `"`)
	}
	doc["id"] = id
	return json.Marshal(doc) // compacts the raw values, so that no line breaks are left
}
