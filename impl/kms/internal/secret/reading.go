package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

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

// company is how long a transaction of readings waits for the callers of the one before. One that is alone does not wait.
const company = time.Millisecond

// enteredTogether is entered for readings. Those that come at the same time share a transaction, and so the wait until what is recorded of them is durable.
func (s *Secrets) enteredTogether(ctx context.Context, caller *auth.Principal, op policy.Operation, name string, do opening) error {
	_, err := s.readings.Do(ctx, &reading{ctx, caller, op, name, do})
	return s.gate.Recorded(ctx, err)
}

// maxHold is how long readings that share a transaction wait for the rows of their callers, on PostgreSQL: another transaction may hold one for long. Whoever's row that is waits
// for it in a lane, beside everybody else (groupcommit), and so do their further readings until it is had.
const maxHold = time.Second

// errHeld is of a shared transaction that has waited for maxHold. Its readings are tried again in lanes.
var errHeld = fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrHeld)

// readTogether is one transaction of readings. Every caller is held before any policy is: whoever changes a policy holds its subject first, too. Policies are the last that
// anybody locks, and nobody changes two of them in one transaction.
func (s *Secrets) readTogether(ctx context.Context, tx *store.Tx, batch []*reading) ([]groupcommit.Result[struct{}], error) {
	results := make([]groupcommit.Result[struct{}], len(batch))
	inLane := groupcommit.MayWait(ctx) > 0
	here := batch
	if tx.Dialect() == store.PostgreSQL && !inLane {
		here = nil
		for i, r := range batch {
			if _, waits := s.waiting.Load(r.lane()); waits {
				results[i].Lane = r.lane()
				continue
			}
			here = append(here, r)
		}
	}
	if waits := len(batch) - len(here); waits > 0 {
		s.Held(ctx, waits, nil)
	}
	refused, held, err := s.enterAll(ctx, tx, here, inLane)
	if inLane {
		s.waiting.Delete(batch[0].lane()) // it has got what it waited for, or given up
	}
	if held != nil {
		s.waiting.Store(held.lane(), true)
		s.Held(ctx, len(here), held.caller)
		for i, r := range batch {
			results[i].Lane = r.lane()
		}
		return results, errHeld
	}
	if err != nil {
		return nil, err
	}
	for i, r := range batch {
		if results[i].Lane == "" {
			results[i].Err = refused[r.entry()]
		}
	}
	if err := s.openAll(ctx, tx, batch, results); err != nil {
		return nil, err
	}
	return results, nil
}

// openAll does the readings that are let and wait in no lane. After an error the transaction may be no more; each is tried in one of its own.
func (s *Secrets) openAll(ctx context.Context, tx *store.Tx, batch []*reading, results []groupcommit.Result[struct{}]) error {
	let := func(i int) bool { return results[i].Err == nil && results[i].Lane == "" }
	versions, err := s.currentOf(ctx, tx, batch, let)
	if err != nil {
		return err
	}
	for i, r := range batch {
		if !let(i) {
			continue
		}
		err := r.do(inRequest{ctx, r.request}, tx, versions[r.name])
		if err != nil && !isRefusal(err) {
			return err
		}
		results[i].Err = err
	}
	return nil
}

// enterAll holds the callers of readings and asks the gate for each entry, and returns whom it refuses. On PostgreSQL that takes maxHold at the most, but in a lane: held is then the
// reading that was being entered, and the transaction is no more.
func (s *Secrets) enterAll(ctx context.Context, tx *store.Tx, batch []*reading, inLane bool) (refused map[entry]error, held *reading, err error) {
	if tx.Dialect() == store.PostgreSQL && !inLane {
		bounded, cancel := context.WithTimeoutCause(ctx, maxHold, errHeld)
		defer cancel()
		ctx = bounded
	}
	callers, at, err := s.holdAll(ctx, tx, batch)
	refused = map[entry]error{}
	for _, r := range firstOf(batch, (*reading).entry) {
		if err != nil {
			break
		}
		by := callers[r.stand()]
		refusal := by.refused
		if refusal == nil {
			refusal = s.gate.Admit(inRequest{ctx, r.request}, tx, r.caller, by.Held, r.op, r.name)
		}
		switch {
		case isRefusal(refusal):
			refused[r.entry()] = refusal
		case refusal != nil:
			at, err = r, refusal // the transaction may be no more
		}
	}
	if err != nil && errors.Is(context.Cause(ctx), errHeld) {
		return nil, at, nil
	}
	return refused, nil, err
}

// currentOf returns the current versions of the secrets that are let to be read, by one statement.
func (s *Secrets) currentOf(ctx context.Context, tx *store.Tx, batch []*reading, let func(i int) bool) (map[string]*current, error) {
	var names []string
	for i, r := range batch {
		if let(i) && !slices.Contains(names, r.name) {
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

// holdAll holds the callers of readings in the order of all (authority.Standing.Hold), each once. at is the reading whose caller an error is of.
func (s *Secrets) holdAll(ctx context.Context, tx *store.Tx, batch []*reading) (_ map[stand]heldCaller, at *reading, err error) {
	callers := map[stand]heldCaller{}
	firsts := firstOf(batch, (*reading).stand)
	slices.SortFunc(firsts, func(a, b *reading) int { return a.stand().compare(b.stand()) })
	for _, r := range firsts {
		held, err := s.gate.Standing.Hold(inRequest{ctx, r.request}, tx, r.caller)
		if err != nil && !isRefusal(err) {
			return nil, r, err
		}
		callers[r.stand()] = heldCaller{held, err}
	}
	return callers, nil, nil
}

// firstOf returns the first reading of each kind, in their order. Those of one kind often come in a row.
func firstOf[K comparable](batch []*reading, kind func(*reading) K) (firsts []*reading) {
	seen := map[K]bool{}
	var last K
	for i, r := range batch {
		k := kind(r)
		if i > 0 && k == last {
			continue
		}
		last = k
		if !seen[k] {
			seen[k] = true
			firsts = append(firsts, r)
		}
	}
	return firsts
}

func isRefusal(err error) bool {
	if err == nil {
		return false
	}
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

// lane is where a reading waits whose caller's row another transaction holds.
func (r *reading) lane() string { return r.caller.Kind + " " + r.caller.Subject }

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
