package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// GateRows is what the gate asks of the database.
type GateRows interface {
	// Granted returns the policies of the subjects on the paths, and keeps them as they are until the transaction ends. Without paths it returns all of the subjects'.
	Granted(ctx context.Context, tx *store.Tx, subjects []Subject, paths []string) ([]Policy, error)
}

// Gate is what every operation on secrets goes through. It remembers nothing: a policy that was changed or deleted holds for the next request at every
// replica, and a change waits for the transactions that stand on what was before.
type Gate struct {
	DB       *store.DB
	Rows     GateRows
	Standing *authority.Standing
	Refusals *auditlog.Refusals
}

// Grants holds what the caller stands on, and returns what policies grant to the caller.
func (g *Gate) Grants(ctx context.Context, tx *store.Tx, caller *auth.Principal) (_ Grants, err error) {
	defer tried.To(&err, "read policies of secrets")
	held, err := g.Standing.Hold(ctx, tx, caller)
	if err != nil {
		return Grants{}, err
	}
	return g.of(ctx, tx, askerOf(held.Caller), nil)
}

// of returns the grants of an asker; with names those that are about one of them.
func (g *Gate) of(ctx context.Context, tx *store.Tx, a asker, names []string) (Grants, error) {
	var paths []string
	for _, name := range names {
		paths = append(paths, above(name)...)
	}
	if paths != nil {
		paths = append(paths, Everything, Own)
	}
	found, err := g.Rows.Granted(ctx, tx, a.subjects(), paths)
	if err != nil {
		return Grants{}, fmt.Errorf("read policies: %w", err)
	}
	return Grants{a, found}, nil
}

// Enter holds what the caller stands on, and is Admit then.
func (g *Gate) Enter(ctx context.Context, tx *store.Tx, caller *auth.Principal, op Operation, name string) error {
	held, err := g.Standing.Hold(ctx, tx, caller)
	if err != nil {
		return err
	}
	return g.Admit(ctx, tx, caller, held, op, name)
}

// Admit refuses an operation on a secret that no policy lets the caller do, who is held. Who may do nothing with the secret is told what would be told
// if there were none (not_found), or, where something is to be made, that it is forbidden; who may do something else with it, too. It has not looked whether there is one.
func (g *Gate) Admit(ctx context.Context, tx *store.Tx, caller *auth.Principal, held authority.Held, op Operation, name string) error {
	grants, err := g.of(ctx, tx, askerOf(held.Caller), []string{name})
	if err != nil {
		return err
	}
	may := grants.Of(name)
	if slices.Contains(may, op.Needs) {
		return nil
	}
	refusal := domain.Refuse(domain.NotFound, op.Absent)
	if len(may) > 0 || op.Makes {
		refusal = domain.Refuse(domain.Forbidden, "No policy gives you the capability "+string(op.Needs)+" for secrets of this path; explainSecretAccess tells which it gives.")
	}
	return &denied{refusal, auditlog.Event{Action: op.ID, Target: name, Detail: map[string]string{"needs": string(op.Needs), "credential": caller.ClientID}}}
}

// denied is a refusal of Admit that is yet to be recorded.
type denied struct {
	*domain.Refusal
	event auditlog.Event
}

// Unwrap gives errors.As the refusal.
func (d *denied) Unwrap() error { return d.Refusal }

// Recorded returns the outcome of a transaction, and records before that it was refused by Admit: the transaction has left no trace. What can't be recorded is another error.
func (g *Gate) Recorded(ctx context.Context, outcome error) error {
	if outcome == nil {
		return nil
	}
	var d *denied
	if !errors.As(outcome, &d) {
		return outcome
	}
	err := g.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return g.Refusals.Append(ctx, tx, d.event) })
	if err != nil {
		return fmt.Errorf("record that a secret was refused: %w", err)
	}
	return outcome
}
