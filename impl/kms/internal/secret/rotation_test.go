package secret_test

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// If a replica dies with the lease of any step, other replicas wait until the lease ends; then another one continues and completes the rotation.
func TestWorkOnRotations_goesOnWhereADeadReplicaStopped(t *testing.T) {
	for _, at := range []secret.Step{secret.Create, secret.Set, secret.Test, secret.Finish} {
		h := newHouse(t)
		_, err := h.put(h.admin, "app.db", "first", secret.Precondition{})
		require.NoError(t, err)
		_, err = h.secrets.PutRotation(t.Context(), h.admin, secret.Rotation{Name: "app.db", Driver: secret.Random, Length: 43}, nil)
		require.NoError(t, err)
		_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.ErrorIs(t, err, domain.StateConflict)
		rows := kmsdb.Secrets{}
		h.Write(func(ctx context.Context, tx *store.Tx) error { // the dead one, at a step that was reached before
			mine, err := rows.ClaimRotations(ctx, tx, "dead", h.Clock.Now(), h.Clock.Now().Add(30*time.Second), 10)
			require.Len(t, mine, 1)
			return err
		})
		if at != secret.Create {
			h.Write(func(ctx context.Context, tx *store.Tx) error {
				r, held, err := rows.LeasedRotation(ctx, tx, "app.db", "dead")
				require.True(t, held)
				require.NoError(t, err)
				r.Step, r.Version = at, h.proposed(ctx, tx, "app.db", 43)
				return rows.SettleRotation(ctx, tx, r, "dead", h.Clock.Now().Add(30*time.Second))
			})
		}
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.Equal(t, at, r.Step, "the lease holds")
		h.Clock.Advance(30 * time.Second)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		r, err = h.secrets.GetRotation(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.Equal(t, []any{secret.Idle, secret.Done, int64(2)}, []any{r.Step, r.LastOutcome, r.LastVersion}, "from %s", at)
		of, value, err := h.secrets.Get(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.EqualValues(t, []int64{2, 1, 0}, []int64{of.Version, of.Previous, of.Pending})
		require.Len(t, value, 43)
	}
}

// proposed stores a pending version in a transaction, as the step Create does.
func (h *house) proposed(ctx context.Context, tx *store.Tx, name string, length int64) int64 {
	number, err := secret.ProposeRandom(h.secrets, ctx, tx, name, length)
	require.NoError(h.T, err)
	return number
}

// A version that can't be opened never becomes current. The step is tried again until the rotation has failed; the next rotation succeeds.
func TestWorkOnRotations_failsRatherThanMakingCurrentWhatDoesNotOpen(t *testing.T) {
	h := newHouse(t)
	_, err := h.put(h.admin, "app.db", "first", secret.Precondition{})
	require.NoError(t, err)
	_, err = h.secrets.PutRotation(t.Context(), h.admin, secret.Rotation{Name: "app.db", Driver: secret.Random, Length: 43}, nil)
	require.NoError(t, err)
	_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	rows := kmsdb.Secrets{}
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		if _, err := rows.ClaimRotations(ctx, tx, "dead", h.Clock.Now(), h.Clock.Now(), 10); err != nil {
			return err
		}
		r, _, err := rows.LeasedRotation(ctx, tx, "app.db", "dead")
		require.NoError(t, err)
		r.Step, r.Version = secret.Test, h.proposed(ctx, tx, "app.db", 43)
		if _, err := tx.Exec(ctx, "UPDATE secret_versions SET sealed = wrapped_key WHERE version = 2"); err != nil {
			return err
		}
		return rows.SettleRotation(ctx, tx, r, "", h.Clock.Now())
	})
	failures := 0
	for range 20 {
		if err := h.secrets.WorkOnRotations(t.Context()); err != nil {
			failures++
		}
		h.Clock.Advance(10 * time.Minute)
	}
	require.Equal(t, 10, failures, "each attempt is told")
	h.admin = h.Caller(h.admin.Subject)
	r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Equal(t, []any{secret.Idle, secret.Failed}, []any{r.Step, r.LastOutcome})
	of, value, err := h.secrets.Get(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Equal(t, "first", value)
	require.Zero(t, of.Pending, "and nothing waits")
	_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	of, _, err = h.secrets.Get(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.EqualValues(t, 3, of.Version)
}

// outside is a driver that records which versions are valid outside. Like a rotator, it accepts the same call more than once.
type outside struct {
	mu    sync.Mutex
	works map[int64]string
	calls []string
	ends  []secret.Call
	fails map[secret.Step]error
	lost  map[secret.Step]bool // the step is done, but its answer is lost
}

func (o *outside) Check(context.Context, secret.Rotation) error { return nil }

func (o *outside) Do(_ context.Context, c secret.Call) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, fmt.Sprint(c.Step, c.Version))
	if err := o.fails[c.Step]; err != nil {
		return err
	}
	switch c.Step {
	case secret.Set:
		o.works[c.Version] = c.Value
	case secret.Test:
		if o.works[c.Version] != c.Value {
			return secret.Rejected
		}
	case secret.End:
		delete(o.works, c.Version)
		if o.ends = append(o.ends, c); c.Current != 0 {
			o.works[c.Current] = c.CurrentValue
		}
	}
	if o.lost[c.Step] {
		o.lost[c.Step] = false
		return secret.NoAnswer
	}
	return nil
}

// outsideHouse returns a house with a secret that a driver places outside.
func outsideHouse(t *testing.T) (*house, *outside) {
	h := newHouse(t)
	o := &outside{works: map[int64]string{}, fails: map[secret.Step]error{}, lost: map[secret.Step]bool{}}
	h.secrets.Drivers = map[string]secret.Driver{secret.Webhook: o}
	for name, value := range map[string]string{"app.db": "first", "app.rotator": "signs"} {
		_, err := h.put(h.admin, name, value, secret.Precondition{})
		require.NoError(t, err)
	}
	_, err := h.secrets.PutRotation(t.Context(), h.admin, secret.Rotation{
		Name: "app.db", Driver: secret.Webhook, Length: 43, URL: "https://rotator.example.org/", Credential: "app.rotator", Overlap: time.Hour,
	}, nil)
	require.NoError(t, err)
	return h, o
}

func (h *house) current(name string) (secret.Secret, string) {
	h.Helper()
	h.admin = h.Caller(h.admin.Subject)
	of, value, err := h.secrets.Get(h.T.Context(), h.admin, name)
	require.NoError(h.T, err)
	return of, value
}

// The current version is valid outside at every moment: a new one before it becomes current, the old one during the overlap, and after a rollback the
// previous one again.
func TestRotation_outsideKeepsTheCurrentVersionWorking(t *testing.T) {
	h, o := outsideHouse(t)
	for range 2 {
		_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	}
	of, value := h.current("app.db")
	require.EqualValues(t, 3, of.Version)
	require.Equal(t, value, o.works[3])
	require.Contains(t, o.works, int64(2), "who has the version before is not locked out")
	r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Len(t, r.Ending, 2)

	_, err = h.secrets.Rollback(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	_, err = h.secrets.Rollback(t.Context(), h.admin, "app.db")
	require.ErrorIs(t, err, domain.StateConflict)
	h.Clock.Advance(2 * time.Hour) // the end of version 2 would now be due
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	of, value = h.current("app.db")
	require.EqualValues(t, []int64{2, 3}, []int64{of.Version, of.Previous})
	require.Equal(t, value, o.works[2])
	require.Contains(t, o.works, int64(3), "the overlap of what was current begins now")
	h.Clock.Advance(2 * time.Hour)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	require.Equal(t, map[int64]string{2: value}, o.works)
	_, err = h.secrets.Rollback(t.Context(), h.Caller(h.admin.Subject), "app.db")
	require.NoError(t, err)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	of, value = h.current("app.db")
	require.EqualValues(t, 3, of.Version, "also when it was ended: it is put again")
	require.Equal(t, value, o.works[3])
}

// When the answer to a step is lost, the step is repeated with the same value, and no version is left over.
func TestRotation_outsideRepeatsAStepWhoseAnswerIsLost(t *testing.T) {
	h, o := outsideHouse(t)
	o.lost = map[secret.Step]bool{secret.Set: true, secret.Test: true, secret.End: true}
	counted := map[string]int{}
	h.secrets.Count = func(driver string, step secret.Step) { counted[driver+" "+string(step)]++ }
	_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.ErrorIs(t, h.secrets.WorkOnRotations(t.Context()), secret.NoAnswer)
	r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Equal(t, []any{secret.Set, secret.NoAnswer, int64(1)}, []any{r.Step, r.LastError, r.Attempts})
	for range 8 {
		h.Clock.Advance(time.Hour)
		_ = h.secrets.WorkOnRotations(t.Context())
	}
	of, value := h.current("app.db")
	require.EqualValues(t, 2, of.Version)
	require.Equal(t, map[int64]string{2: value}, o.works)
	require.Equal(t, []string{"set2", "set2", "test2", "test2", "end1", "end1"}, o.calls)
	require.Equal(t, map[string]int{"webhook set": 1, "webhook test": 1, "webhook end": 1}, counted)
	r, err = h.secrets.GetRotation(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Empty(t, r.Ending)
	require.Empty(t, r.LastError)
}

// A version that the target refuses never becomes current, and what was placed outside is ended.
func TestRotation_outsideFailsWhole(t *testing.T) {
	h, o := outsideHouse(t)
	o.works[1] = "first"
	o.fails[secret.Test] = secret.Rejected
	_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	for range 12 {
		_ = h.secrets.WorkOnRotations(t.Context())
		h.Clock.Advance(10 * time.Minute)
	}
	_, value := h.current("app.db")
	require.Equal(t, "first", value)
	require.Equal(t, map[int64]string{1: "first"}, o.works)
	r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Equal(t, []any{secret.Idle, secret.Failed, secret.Rejected}, []any{r.Step, r.LastOutcome, r.LastError})
}

// When a replica dies after its driver has acted, another replica repeats the same call.
func TestRotation_outsideGoesOnWhereADeadReplicaStopped(t *testing.T) {
	for _, at := range []secret.Step{secret.Set, secret.Test, secret.Finish} {
		h, o := outsideHouse(t)
		_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		rows := kmsdb.Secrets{}
		h.Write(func(ctx context.Context, tx *store.Tx) error {
			if _, err := rows.ClaimRotations(ctx, tx, "dead", h.Clock.Now(), h.Clock.Now().Add(30*time.Second), 10); err != nil {
				return err
			}
			r, _, err := rows.LeasedRotation(ctx, tx, "app.db", "dead")
			require.NoError(t, err)
			r.Step, r.Version = at, h.proposed(ctx, tx, "app.db", 43)
			o.works[2] = secret.Opened(h.secrets, ctx, tx, "app.db", 2) // the driver has acted, and nothing was committed
			return rows.SettleRotation(ctx, tx, r, "dead", h.Clock.Now().Add(30*time.Second))
		})
		h.Clock.Advance(31 * time.Second)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		of, value := h.current("app.db")
		require.EqualValues(t, 2, of.Version)
		require.Equal(t, value, o.works[2], "from %s", at)
	}
}

// Of two replicas on one database, one dies with the lease of any step. When the lease ends, the other one completes the rotation once, and one
// version is valid outside.
func TestRotation_outsideIsEndedByTheOtherReplicaFromEachStep(t *testing.T) {
	storetest.Each(t, []fs.FS{audit.Migrations, kmsdb.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, other := open(t), open(t)
		h := houseOf(t, kmstest.On(t, db))
		if other != db {
			audittest.Open(t, other)
		}
		o := &outside{works: map[int64]string{}, fails: map[secret.Step]error{}, lost: map[secret.Step]bool{}}
		second := secret.New(other, kmsdb.Secrets{}, h.sealer, h.gate(), h.Clock, secret.DefaultKeep)
		t.Cleanup(second.Close)
		h.secrets.Drivers, second.Drivers = map[string]secret.Driver{secret.Webhook: o}, map[string]secret.Driver{secret.Webhook: o}
		for name, value := range map[string]string{"app.db": "first", "app.rotator": "signs"} {
			_, err := h.put(h.admin, name, value, secret.Precondition{})
			require.NoError(t, err)
		}
		_, err := h.secrets.PutRotation(t.Context(), h.admin, secret.Rotation{Name: "app.db", Driver: secret.Webhook, Length: 43, URL: "https://rotator.example.org/", Credential: "app.rotator"}, nil)
		require.NoError(t, err)
		for i, at := range []secret.Step{secret.Create, secret.Set, secret.Test, secret.Finish} {
			number := int64(i) + 2
			_, err := h.secrets.Rotate(t.Context(), h.Caller(h.admin.Subject), "app.db")
			require.NoError(t, err)
			h.dies(o, at)
			require.NoError(t, second.WorkOnRotations(t.Context()))
			r, _, err := kmsdb.Secrets{}.Rotation(t.Context(), other.Read(t.Context()), "app.db")
			require.NoError(t, err)
			require.Equal(t, at, r.Step, "the lease holds")
			h.Clock.Advance(31 * time.Second)
			var both sync.WaitGroup
			for _, replica := range []*secret.Secrets{second, h.secrets, second} {
				both.Go(func() { assert.NoError(t, replica.WorkOnRotations(t.Context())) })
			}
			both.Wait()
			require.NoError(t, second.WorkOnRotations(t.Context())) // what is to be ended, after what was set
			of, value := h.current("app.db")
			require.EqualValues(t, []int64{number, number - 1, 0, number}, []int64{of.Version, of.Previous, of.Pending, of.Latest}, "from %s", at)
			require.Equal(t, map[int64]string{number: value}, o.works, "from %s", at)
			set := 0
			for _, call := range o.calls {
				if call == fmt.Sprint(secret.Set, number) {
					set++
				}
			}
			require.LessOrEqual(t, set, 1, "nobody puts it a second time")
		}
	})
}

// dies leaves a rotation as a replica does that dies with the lease of a step; the steps before it are done.
func (h *house) dies(o *outside, at secret.Step) {
	h.Helper()
	rows := kmsdb.Secrets{}
	until := h.Clock.Now().Add(30 * time.Second)
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		mine, err := rows.ClaimRotations(ctx, tx, "dead", h.Clock.Now(), until, 10)
		if err != nil || at == secret.Create {
			return err
		}
		require.Len(h.T, mine, 1)
		r, _, err := rows.LeasedRotation(ctx, tx, "app.db", "dead")
		require.NoError(h.T, err)
		r.Step, r.Version = at, h.proposed(ctx, tx, "app.db", 43)
		if at != secret.Set {
			o.works[r.Version] = secret.Opened(h.secrets, ctx, tx, "app.db", r.Version)
		}
		return rows.SettleRotation(ctx, tx, r, "dead", until)
	})
}

// No caller can have a driver send a secret that it may not read, and nothing is sent without a credential.
func TestPutRotation_takesNoCredentialOfOthers(t *testing.T) {
	h, o := outsideHouse(t)
	h.press.Scopes = []string{"secrets:read", "secrets:write"}
	for _, name := range []string{"press.db", "press.key"} {
		_, err := h.put(h.press, name, "mine", secret.Precondition{})
		require.NoError(t, err)
	}
	r := secret.Rotation{Name: "press.db", Driver: secret.Webhook, Length: 43, URL: "https://rotator.example.org/", Credential: "app.rotator"}
	_, err := h.secrets.PutRotation(t.Context(), h.press, r, nil)
	require.ErrorIs(t, err, domain.NotFound)
	r.Credential = "press.none"
	_, err = h.secrets.PutRotation(t.Context(), h.press, r, nil)
	require.ErrorIs(t, err, domain.NotFound)
	for _, r := range []secret.Rotation{
		{Name: "press.db", Driver: secret.Webhook, Credential: "press.key"}, {Name: "press.db", Driver: secret.Webhook, URL: "https://rotator.example.org/"},
		{Name: "press.db", Driver: secret.Random, URL: "https://rotator.example.org/"},
	} {
		_, err = h.secrets.PutRotation(t.Context(), h.press, r, nil)
		require.ErrorIs(t, err, domain.ValidationFailed)
	}
	r.Credential = "press.key"
	h.press.Scopes = []string{"secrets:write"}
	_, err = h.secrets.PutRotation(t.Context(), h.press, r, nil)
	require.ErrorIs(t, err, domain.InsufficientScope, "it would read at the target what it may not read here")
	_, err = h.secrets.PutRotation(t.Context(), h.press, secret.Rotation{Name: "press.db", Driver: secret.Random, Length: 43}, nil)
	require.NoError(t, err)
	h.press.Scopes = []string{"secrets:read", "secrets:write"}
	_, err = h.secrets.PutRotation(t.Context(), h.press, r, nil)
	require.NoError(t, err)
	require.Empty(t, o.calls)
}

// elsewhere is a rotation of the secret of an outsideHouse to another target.
var elsewhere = secret.Rotation{
	Name: "app.db", Driver: secret.Webhook, Length: 43, URL: "https://elsewhere.example.org/", Credential: "app.rotator", Overlap: time.Hour,
}

// A target that is no longer used ends its versions, and gets no value of later ones.
func TestRotation_outsideLeavesNothingAtATargetThatWasLeft(t *testing.T) {
	for _, next := range []secret.Rotation{elsewhere, {Name: "app.db", Driver: secret.Random, Length: 43, Overlap: time.Hour}} {
		h, o := outsideHouse(t)
		_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		_, err = h.secrets.PutRotation(t.Context(), h.admin, next, nil)
		require.NoError(t, err)
		_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		if next.Driver != secret.Random {
			_, err = h.secrets.Rollback(t.Context(), h.admin, "app.db")
			require.ErrorIs(t, err, domain.StateConflict, "one place for a version")
		}
		h.Clock.Advance(2 * time.Hour)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		require.NotContains(t, o.works, int64(2))
		require.Len(t, o.ends, 2)
		for _, end := range o.ends {
			require.Equal(t, []any{"https://rotator.example.org/", int64(0), ""}, []any{end.URL, end.Current, end.CurrentValue})
		}
		_, err = h.secrets.Rollback(t.Context(), h.Caller(h.admin.Subject), "app.db")
		require.NoError(t, err)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
		of, _ := h.current("app.db")
		require.EqualValues(t, 2, of.Version)
	}
}

// A rotation that is running when the target changes has failed. Its version does not become current after a test elsewhere, and is ended where it
// was placed.
func TestRotation_outsideIsGivenUpWhenItsTargetChanges(t *testing.T) {
	h, o := outsideHouse(t)
	o.works[1] = "first"
	o.lost[secret.Test] = true
	_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.ErrorIs(t, h.secrets.WorkOnRotations(t.Context()), secret.NoAnswer)
	same := elsewhere
	same.URL, same.Interval = "https://rotator.example.org/", time.Hour
	r, err := h.secrets.PutRotation(t.Context(), h.admin, same, nil)
	require.NoError(t, err)
	require.Equal(t, secret.Test, r.Step, "how often is no reason")
	r, err = h.secrets.PutRotation(t.Context(), h.admin, elsewhere, nil)
	require.NoError(t, err)
	require.Equal(t, []any{secret.Idle, secret.Failed, int64(2)}, []any{r.Step, r.LastOutcome, r.LastVersion})
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	require.Contains(t, o.works, int64(2), "a step may yet be on its way")
	h.Clock.Advance(30 * time.Second)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	of, _ := h.current("app.db")
	require.EqualValues(t, []int64{1, 0}, []int64{of.Version, of.Pending})
	require.Equal(t, map[int64]string{1: "first"}, o.works, "and what was there before is put back")
	require.Equal(t, "https://rotator.example.org/", o.ends[0].URL)
}

// After a failed rollback the previous version keeps its overlap.
func TestRollback_thatFailsTakesNothingAway(t *testing.T) {
	h, o := outsideHouse(t)
	for range 2 {
		_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	}
	_, err := h.secrets.Rollback(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	o.fails[secret.Test] = secret.Rejected
	for r := (secret.Rotation{Step: secret.Set}); r.Step != secret.Idle; {
		_ = h.secrets.WorkOnRotations(t.Context())
		h.Clock.Advance(5 * time.Minute)
		h.admin = h.Caller(h.admin.Subject)
		r, err = h.secrets.GetRotation(t.Context(), h.admin, "app.db")
		require.NoError(t, err)
	}
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	require.Contains(t, o.works, int64(2))
	h.Clock.Advance(2 * time.Hour)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	require.NotContains(t, o.works, int64(2))
	of, value := h.current("app.db")
	require.EqualValues(t, 3, of.Version)
	require.Equal(t, value, o.works[3])
}

// The call that ends a version carries the current one. For a rotator with a single value it must not arrive between setting a new version and making
// that current.
func TestRotation_outsideEndsNothingWhileAnotherVersionComes(t *testing.T) {
	h, o := outsideHouse(t)
	_, err := h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	h.Clock.Advance(2 * time.Hour) // the end of version 1 is due
	h.admin = h.Caller(h.admin.Subject)
	rows, lease := kmsdb.Secrets{}, h.Clock.Now().Add(30*time.Second)
	h.Write(func(ctx context.Context, tx *store.Tx) error { // and another replica is at it
		_, held, err := rows.ClaimEnding(ctx, tx, secret.Placement{Name: "app.db", Version: 1}, h.Clock.Now(), lease)
		require.True(t, held)
		return err
	})
	o.lost[secret.Test] = true
	_, err = h.secrets.Rotate(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	require.Equal(t, []string{"set2", "test2"}, o.calls, "nothing is set while an end is under way")
	r, err := h.secrets.GetRotation(t.Context(), h.admin, "app.db")
	require.NoError(t, err)
	require.Equal(t, []any{secret.Set, int64(0)}, []any{r.Step, r.Attempts}, "which is no failure")

	h.Clock.Advance(30 * time.Second) // that replica has died
	require.ErrorIs(t, h.secrets.WorkOnRotations(t.Context()), secret.NoAnswer)
	require.Equal(t, []string{"set3", "test3"}, o.calls[2:], "nothing is ended before what was set is current")
	for range 3 {
		h.Clock.Advance(time.Minute)
		require.NoError(t, h.secrets.WorkOnRotations(t.Context()))
	}
	require.Equal(t, []string{"test3", "end1"}, o.calls[4:])
	of, value := h.current("app.db")
	require.EqualValues(t, 3, of.Version)
	require.Equal(t, value, o.works[3])
}
