package secret

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
)

// reading opens a version of a secret for a caller. It writes nothing but that it was done, as the last of what it does: one that is refused has written nothing.
type reading struct {
	request context.Context // who asks, and from where
	caller  *auth.Principal
	op      policy.Operation
	name    string
	do      func(ctx context.Context, tx *store.Tx) error
}

// maxReadings bounds a transaction of readings, in which nobody else writes on SQLite: each is a few short statements.
const maxReadings = 64

// enteredTogether is entered for readings. Those that come at the same time share a transaction, and so the wait until what is recorded of them is durable.
func (s *Secrets) enteredTogether(ctx context.Context, caller *auth.Principal, op policy.Operation, name string, do func(ctx context.Context, tx *store.Tx) error) error {
	_, err := s.readings.Do(ctx, &reading{ctx, caller, op, name, do})
	return s.gate.Recorded(ctx, err)
}

// readTogether is one transaction of readings. Every caller is held before any policy is: whoever changes a policy holds its subject first, too. Policies are the last that
// anybody locks, and nobody changes two of them in one transaction.
func (s *Secrets) readTogether(ctx context.Context, tx *store.Tx, batch []*reading) ([]groupcommit.Result[struct{}], error) {
	callers, err := s.holdAll(ctx, tx, batch)
	if err != nil {
		return nil, err
	}
	results := make([]groupcommit.Result[struct{}], len(batch))
	entered := map[entry]error{}
	for i, r := range batch {
		within := inRequest{ctx, r.request}
		err, known := entered[r.entry()]
		if !known {
			by := callers[r.stand()]
			if err = by.refused; err == nil {
				err = s.gate.Admit(within, tx, r.caller, by.Held, r.op, r.name)
			}
			entered[r.entry()] = err
		}
		if err == nil {
			err = r.do(within, tx)
		}
		if results[i].Err = err; err != nil && !isRefusal(err) {
			return nil, err // the transaction may be no more; each is tried in one of its own
		}
	}
	return results, nil
}

// heldCaller is a caller who is held, or has nothing to stand on.
type heldCaller struct {
	authority.Held
	refused error
}

// holdAll holds the callers of readings in the order of all (authority.Standing.Hold), each once.
func (s *Secrets) holdAll(ctx context.Context, tx *store.Tx, batch []*reading) (map[stand]heldCaller, error) {
	callers := map[stand]heldCaller{}
	for _, r := range slices.SortedFunc(slices.Values(batch), func(a, b *reading) int { return a.stand().compare(b.stand()) }) {
		if _, known := callers[r.stand()]; known {
			continue
		}
		held, err := s.gate.Standing.Hold(inRequest{ctx, r.request}, tx, r.caller)
		if err != nil && !isRefusal(err) {
			return nil, err
		}
		callers[r.stand()] = heldCaller{held, err}
	}
	return callers, nil
}

func isRefusal(err error) bool {
	var refusal *domain.Refusal
	return errors.As(err, &refusal)
}

// stand is all that it hangs on whether a caller has something to stand on. In one transaction, which holds that, the answer is the same for the same stand.
type stand struct {
	kind, subject, session, client, token string
	epoch                                 int64
}

func (r *reading) stand() stand {
	c := r.caller
	return stand{c.Kind, c.Subject, c.SessionID, c.ClientID, c.TokenID, c.Epoch}
}

func (a stand) compare(b stand) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject), cmp.Compare(a.session, b.session), cmp.Compare(a.client, b.client))
}

// entry is all that the gate's answer hangs on.
type entry struct {
	stand
	op, name string
}

func (r *reading) entry() entry { return entry{r.stand(), r.op.ID, r.name} }

// inRequest is the context of a shared transaction with what a request's says of the caller.
type inRequest struct {
	context.Context
	request context.Context
}

// Value returns the transaction's value, or else the request's.
func (c inRequest) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.request.Value(key)
}

// Close waits for the readings that go on; call it before the database is closed.
func (s *Secrets) Close() { s.readings.Close() }
