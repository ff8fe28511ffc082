package engine

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// withID writes the document, which is valid JSON, on one line with the item's id and tenant in it; the document's other members stay as they are. Problem: validation_failed.
func withID(item Item) ([]byte, error) {
	n, hasID, plain := members(item)
	if !plain {
		return rewritten(item)
	}
	out := make([]byte, 0, len(item.Document)+len(item.ID)+128)
	if hasID {
		out = append(out, item.Document...)
	} else {
		id, err := json.Marshal(item.Stored())
		if err != nil {
			return nil, err
		}
		out = append(append(out, `{"id":`...), id...)
		if item.Tenant != nil {
			out = append(append(append(out, `,"`+owner.TenantField+`":"`...), owner.TenantKey(*item.Tenant)...), '"')
		}
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, item.Document[bytes.IndexByte(item.Document, '{')+1:]...)
	}
	for i, c := range out { // in valid JSON these stand between its values alone
		if c == '\n' || c == '\r' {
			out[i] = ' '
		}
	}
	return out, nil
}

// members counts the members of an item's document, and reports whether its id is among them, and whether they can stay as they are: each name is what it looks like, none is the service's own, and the id
// is written as the engine gets it.
func members(item Item) (n int, hasID, plain bool) {
	plain = true
	err := tsclient.Members(item.Document, func(name, value []byte) error {
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

// rewritten is withID for any document.
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
			return nil, problem.New(problem.ValidationFailed, "The document's id is not the item's.")
		}
	}
	if doc[owner.TenantField] != nil {
		return nil, problem.New(problem.ValidationFailed, "The document has a field of a name that the service keeps for itself.")
	}
	if item.Tenant != nil {
		doc[owner.TenantField] = json.RawMessage(`"` + owner.TenantKey(*item.Tenant) + `"`)
	}
	doc["id"] = id
	return json.Marshal(doc) // compacts the raw values: no line breaks are left
}
