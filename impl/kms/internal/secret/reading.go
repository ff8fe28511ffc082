package secret

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

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
	do      opening
}

// opening is what is done in the transaction of a reading that is let: with the current version of its secret, nil when there is none.
type opening func(ctx context.Context, tx *store.Tx, current *current) error

// current is the current version of a secret, as a transaction of readings has found it.
type current struct {
	Sealed
	value func() (string, error) // opens it, once for all readings of the transaction; it is gone with the last of them
}

// maxReadings bounds a transaction of readings, in which nobody else writes on SQLite: each is a few short statements.
const maxReadings = 64

// enteredTogether is entered for readings. Those that come at the same time share a transaction, and so the wait until what is recorded of them is durable.
func (s *Secrets) enteredTogether(ctx context.Context, caller *auth.Principal, op policy.Operation, name string, do opening) error {
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
	results, err := s.admitAll(ctx, tx, batch, callers)
	if err != nil {
		return nil, err
	}
	versions, err := s.currentOf(ctx, tx, batch, results)
	if err != nil {
		return nil, err
	}
	for i, r := range batch {
		if results[i].Err != nil {
			continue
		}
		results[i].Err = r.do(inRequest{ctx, r.request}, tx, versions[r.name])
		if err := results[i].Err; err != nil && !isRefusal(err) {
			return nil, err
		}
	}
	return results, nil
}

// admitAll returns for every reading whether the caller may do it. What hangs on the same is asked once.
func (s *Secrets) admitAll(ctx context.Context, tx *store.Tx, batch []*reading, callers map[stand]heldCaller) ([]groupcommit.Result[struct{}], error) {
	results := make([]groupcommit.Result[struct{}], len(batch))
	entered := map[entry]error{}
	for i, r := range batch {
		err, known := entered[r.entry()]
		if !known {
			by := callers[r.stand()]
			if err = by.refused; err == nil {
				err = s.gate.Admit(inRequest{ctx, r.request}, tx, r.caller, by.Held, r.op, r.name)
			}
			if err != nil && !isRefusal(err) {
				return nil, err // the transaction may be no more; each is tried in one of its own
			}
			entered[r.entry()] = err
		}
		results[i].Err = err
	}
	return results, nil
}

// currentOf returns the current versions of the secrets that are let to be read, by one statement.
func (s *Secrets) currentOf(ctx context.Context, tx *store.Tx, batch []*reading, results []groupcommit.Result[struct{}]) (map[string]*current, error) {
	var names []string
	for i, r := range batch {
		if results[i].Err == nil && !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	found, err := s.rows.Current(ctx, tx, names)
	if err != nil {
		return nil, err
	}
	versions := make(map[string]*current, len(found))
	for name, sealed := range found {
		versions[name] = &current{sealed, sync.OnceValues(func() (string, error) { return s.open(sealed) })}
	}
	return versions, nil
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
