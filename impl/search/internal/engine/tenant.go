package engine

import (
	"encoding/json"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

// Restore returns a document of a tenant-scoped collection with its original ID, and its tenant.
func Restore(stored json.RawMessage) (tenant string, document json.RawMessage, err error) {
	var doc map[string]json.RawMessage
	var id string
	if err := decode(stored, &doc); err != nil {
		return "", nil, err
	}
	if err := decode(doc["id"], &id); err != nil {
		return "", nil, err
	}
	tenant, id = owner.SplitID(id)
	delete(doc, owner.TenantField)
	if doc["id"], err = json.Marshal(id); err == nil {
		document, err = json.Marshal(doc)
	}
	if err != nil {
		return "", nil, problem.New(problem.BadUpstream, "The search engine's answer can't be read.").Wrap(err)
	}
	return tenant, document, nil
}

// Only returns the filter for the documents of one tenant.
func Only(tenant string) string { return owner.TenantField + ":=`" + owner.TenantKey(tenant) + "`" }

// Scoped reports whether the collection is tenant-scoped, judging by its schema.
func (c Collection) Scoped() bool {
	for _, f := range c.Fields {
		if f.Name == owner.TenantField {
			return true
		}
	}
	return false
}
