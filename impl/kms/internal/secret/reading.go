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

// reading is a request to open a version of a secret for a caller. Its only write is its audit event, and that is its last action, so a reading that
// is refused has written nothing.
type reading struct {
	request context.Context // of the request: carries the caller, its address and the trace
	caller  *auth.Principal
	op      policy.Operation
	name    string
	do      opening
}

// opening is what an admitted reading does in its transaction. It gets the current version of the secret, or nil when there is none.
type opening func(ctx context.Context, tx *store.Tx, current *current) error

// current is the current version of a secret, as it was read in a transaction of readings.
type current struct {
	Sealed
	value func() (string, error) // decrypts the value, once for all readings of the transaction
}

// maxReadings bounds the number of readings in one transaction. On SQLite nothing else can write during such a transaction; each reading is a few
// short statements.
const maxReadings = 64

// company is how long a transaction waits for the callers whom the previous one answered (groupcommit.Options.Company). After a transaction with a
// single reading nothing waits.
const company = time.Millisecond

// enteredTogether is entered for readings. Readings that arrive at the same time share a transaction, and so they share the wait until their audit
// events are durable.
func (s *Secrets) enteredTogether(ctx context.Context, caller *auth.Principal, op policy.Operation, name string, do opening) error {
	_, err := s.readings.Do(ctx, &reading{ctx, caller, op, name, do})
	return s.gate.Recorded(ctx, err)
}

// maxHold is how long a shared transaction waits for the rows of its callers on PostgreSQL, since another transaction may hold one of them for long.
// After that, readings of the caller whose row is held wait in a lane of their own (groupcommit), and so do this caller's further readings until the
// lane has the row. Other callers do not wait for it.
const maxHold = time.Second

// errHeld is the error of a shared transaction that has waited for maxHold. Its readings are tried again in lanes.
var errHeld = fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrHeld)

// readTogether runs one transaction of readings. To prevent deadlocks, it locks the rows of all callers before any policy: whoever changes a policy
// locks the policy's subject first, too. Policies are the last rows that any transaction locks, and no transaction changes two of them.
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
		s.waiting.Delete(batch[0].lane()) // the lane has the row that it waited for, or has given up
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

// openAll runs the readings that are neither refused nor sent to a lane. After an error other than a refusal the transaction may be broken, so it
// returns that error, and each reading is tried again in a transaction of its own.
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

// enterAll locks the rows of the callers and asks the gate about each entry. It returns the refusals. On PostgreSQL, outside a lane, it takes at most
// maxHold; after that it returns as held the reading at which it was waiting, and the transaction can't be used any more.
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
			at, err = r, refusal // the transaction may be broken
		}
	}
	if err != nil && errors.Is(context.Cause(ctx), errHeld) {
		return nil, at, nil
	}
	return refused, nil, err
}

// currentOf reads the current versions of the secrets of all admitted readings with one statement.
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

// heldCaller is a caller whose rows are locked, or the refusal of a caller without valid standing: for example, its session or key has ended.
type heldCaller struct {
	authority.Held
	refused error
}

// holdAll locks the rows of the callers, once for each caller and in the order that all transactions use (authority.Standing.Hold). With an error it
// returns the reading of the caller for which it failed.
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

// firstOf returns the first reading of each kind, in the order of the batch. Readings of the same kind are often adjacent, so the previous kind is
// compared before the map is used.
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

// stand has all attributes of a caller that decide whether its standing is valid. While a transaction holds the caller's rows, the answer is the same
// for equal stands.
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

// lane returns the name of the lane in which a reading waits while another transaction holds its caller's row.
func (r *reading) lane() string { return r.caller.Kind + " " + r.caller.Subject }

// entry has everything that the gate's answer depends on.
type entry struct {
	stand
	op, name string
}

func (r *reading) entry() entry { return entry{r.stand(), r.op.ID, r.name} }

// inRequest is the context of a shared transaction, with the values of one request's context added: its caller, address and trace.
type inRequest struct {
	context.Context
	request context.Context
}

// Value returns the transaction's value for the key, or else the request's.
func (c inRequest) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.request.Value(key)
}

// Close waits for running readings. It must be called before the database is closed.
func (s *Secrets) Close() { s.readings.Close() }
