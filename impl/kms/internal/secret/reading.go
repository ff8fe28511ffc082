package secret

import (
	"cmp"
	"context"
	"errors"
	"slices"

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

// readTogether is one transaction of readings. Callers are held in one order, as everywhere: what one transaction holds of them another one may change.
func (s *Secrets) readTogether(ctx context.Context, tx *store.Tx, batch []*reading) ([]groupcommit.Result[struct{}], error) {
	order := make([]int, len(batch))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := batch[i].caller, batch[j].caller
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	results := make([]groupcommit.Result[struct{}], len(batch))
	entered := map[entry]error{}
	for _, i := range order {
		r := batch[i]
		within := inRequest{ctx, r.request}
		err, known := entered[r.entry()]
		if !known {
			err = s.gate.Enter(within, tx, r.caller, r.op, r.name)
			entered[r.entry()] = err
		}
		if err == nil {
			err = r.do(within, tx)
		}
		var refusal *domain.Refusal
		if err != nil && !errors.As(err, &refusal) {
			return nil, err // the transaction may be no more; each is tried in one of its own
		}
		results[i].Err = err
	}
	return results, nil
}

// entry is all that the gate's answer hangs on. In one transaction, which holds what it stands on, it is the same for the same entry.
type entry struct {
	kind, subject, session, client, token string
	epoch                                 int64
	op, name                              string
}

func (r *reading) entry() entry {
	c := r.caller
	return entry{c.Kind, c.Subject, c.SessionID, c.ClientID, c.TokenID, c.Epoch, r.op.ID, r.name}
}

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
