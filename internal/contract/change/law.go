package change

import (
	"strings"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/compat"
)

// places maps names of compat to places in the contract, in the words of contract.Operation.OriginOf.
var places = map[string]string{
	"security": "security", "principals": "x-fountain.principals", "roles": "x-fountain.roles", "api-key": "x-fountain.apiKey", "step-up": "x-fountain.stepUp",
	"rate": "x-fountain.rate", "concurrency": "x-fountain.concurrency", "concurrency-per-subject": "x-fountain.concurrencyPerSubject", "timeout": "x-fountain.timeout", "body-max": "x-fountain.body",
	"response-max": "x-fountain.response", "idempotency": "x-fountain.idempotency", "stream": "x-fountain.stream", "validate-request": "x-fountain.validate",
	"validate-response": "x-fountain.validate", "sensitive": "x-fountain.sensitive", "errors": "x-fountain.errors",
}

// law compares who may call and under which limits.
func (c *comparer) law(next *node) {
	for _, found := range compat.Compare(c.live, c.next) {
		kind := Breaking
		switch found.Severity {
		case compat.Harmless:
			continue
		case compat.Loosens:
			kind = Looser
		}
		change := Change{Name: "contract: " + found.ID, Kind: kind, Origin: or(next.get("servers"), next).origin(), Text: found.Text}
		if found.Old != nil {
			change.OperationID, change.Name = found.Old.ID, found.Old.ID+": "+found.ID
			if found.New.ID != found.Old.ID && compat.Route(c.next, found.New) != compat.Route(c.live, found.Old) {
				change.Name = found.Old.ID + " as " + found.New.ID + ": " + found.ID
			}
			change.Origin = found.New.OriginOf(places[found.ID[:strings.LastIndexByte(found.ID, '-')]])
			if change.Origin == (contract.Origin{}) {
				change.Origin = found.New.Origin
			}
		}
		c.note(change)
	}
}
