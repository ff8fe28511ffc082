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

// GateRows are the queries of the gate.
type GateRows interface {
	// Granted returns the policies of the subjects for the paths, and locks them (shared) until the transaction ends. Without paths it returns all of the subjects'.
	Granted(ctx context.Context, tx *store.Tx, subjects []Subject, paths []string) ([]Policy, error)
}

// Gate authorizes every operation on secrets. It caches nothing: a policy that was changed or deleted applies to the next request at every replica. The change
// waits for transactions that have already decided by the old policy.
type Gate struct {
	DB       *store.DB
	Rows     GateRows
	Standing *authority.Standing
	Refusals *auditlog.Refusals
}

// Grants locks the caller's rows, and returns the policies that apply to the caller.
func (g *Gate) Grants(ctx context.Context, tx *store.Tx, caller *auth.Principal) (_ Grants, err error) {
	defer tried.To(&err, "read policies of secrets")
	held, err := g.Standing.Hold(ctx, tx, caller)
	if err != nil {
		return Grants{}, err
	}
	return g.of(ctx, tx, askerOf(held.Caller), nil)
}

// of returns the grants of an asker; with names, only those for one of the names.
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

// Enter locks the caller's rows and then calls Admit.
func (g *Gate) Enter(ctx context.Context, tx *store.Tx, caller *auth.Principal, op Operation, name string) error {
	held, err := g.Standing.Hold(ctx, tx, caller)
	if err != nil {
		return err
	}
	return g.Admit(ctx, tx, caller, held, op, name)
}

// Admit refuses an operation on a secret unless a policy grants it to the caller, whose rows are locked (held). A caller without any capability for the secret gets
// the answer for a missing secret (domain.NotFound). It is domain.Forbidden if the operation could create the secret, or if the caller has another capability for
// it. Admit does not check whether the secret exists.
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
		refusal = domain.Refuse(domain.Forbidden, "No policy gives you the capability "+string(op.Needs)+" for secrets of this path; explainSecretAccess shows which capabilities you have.")
	}
	return &denied{refusal, auditlog.Event{Action: op.ID, Target: name, Detail: map[string]string{"needs": string(op.Needs), "credential": caller.ClientID}}}
}

// denied is a refusal of Admit that is not recorded yet.
type denied struct {
	*domain.Refusal
	event auditlog.Event
}

// Unwrap returns the refusal, for errors.As.
func (d *denied) Unwrap() error { return d.Refusal }

// Recorded returns the outcome of a transaction. If Admit refused it, Recorded first records the refusal in a transaction of its own, since the refused one was
// rolled back. It returns another error if that fails.
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
