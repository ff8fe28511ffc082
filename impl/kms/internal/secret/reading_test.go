package secret_test

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/requestid"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// recordedReadings returns the number of readings in the audit trail with the outcome, by caller.
func (h *house) recordedReadings(outcome string) map[string]int {
	found, requests := map[string]int{}, map[string]bool{}
	for _, action := range []string{"getSecret", "getSecretVersion"} {
		records, _, err := audit.List(h.Context(), h.DB.Read(h.Context()), audit.Query{Action: action, Limit: 1000})
		require.NoError(h, err)
		for _, r := range records {
			if r.Outcome == outcome {
				require.True(h, strings.HasPrefix(r.RequestID, "req_"+r.Actor+"_"), "%s in the request %s", r.Actor, r.RequestID)
				require.False(h, requests[r.RequestID], "each request has its own record")
				requests[r.RequestID] = true
				found[r.Actor]++
			}
		}
	}
	return found
}

// Concurrent readings share transactions. Each is recorded once, for its own caller, and one that is refused does not affect the others.
func TestGet_isRecordedOnceForEachOfManyAtOnce(t *testing.T) {
	storetest.Each(t, []fs.FS{audit.Migrations, kmsdb.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := houseOf(t, kmstest.On(t, open(t)))
		for _, name := range []string{"press.token", "bind.token"} {
			_, err := h.put(h.admin, name, "value of "+name, secret.Precondition{})
			require.NoError(t, err)
		}
		const each = 25
		var all sync.WaitGroup
		for _, c := range []struct {
			caller *auth.Principal
			name   string
			want   error
		}{{h.press, "press.token", nil}, {h.bind, "bind.token", nil}, {h.bind, "press.token", domain.NotFound}, {h.admin, "press.token", nil}, {h.admin, "none", domain.NotFound}} {
			for i := range each {
				ctx := requestid.With(auth.NewContext(h.Context(), c.caller), fmt.Sprintf("req_%s_%d", c.caller.Subject, i))
				all.Go(func() {
					value, err := h.reading(ctx, c.caller, c.name, i%2 == 0)
					if c.want != nil {
						require.ErrorIs(t, err, c.want)
						return
					}
					require.NoError(t, err)
					require.Equal(t, "value of "+c.name, value)
				})
			}
		}
		all.Wait()
		require.Equal(t, map[string]int{h.press.Subject: each, h.bind.Subject: each, h.admin.Subject: each}, h.recordedReadings("ok"))
		require.Equal(t, map[string]int{h.bind.Subject: each}, h.recordedReadings("denied"), "what there is not is no refusal")
	})
}

// reading opens the current version of a secret, with Get or with GetVersion.
func (h *house) reading(ctx context.Context, caller *auth.Principal, name string, current bool) (value string, err error) {
	if current {
		_, value, err = h.secrets.Get(ctx, caller, name)
		return value, err
	}
	_, _, value, err = h.secrets.GetVersion(ctx, caller, name, "current")
	return value, err
}

// A transaction that fails opens none of its secrets.
func TestGet_opensNothingThatIsNotRecorded(t *testing.T) {
	h := newHouse(t)
	_, err := h.put(h.press, "press.token", "value", secret.Precondition{})
	require.NoError(t, err)
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "CREATE TRIGGER full BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no room'); END")
		return err
	})
	_, value, err := h.secrets.Get(h.Context(), h.press, "press.token")
	require.ErrorContains(t, err, "no room")
	require.Empty(t, value)
}

// lockOrder records the order in which owners and policies are locked.
type lockOrder struct {
	kmsdb.Standing
	kmsdb.SecretPolicies
	owners   []authority.Ref
	policies int
	late     []authority.Ref // owners that were locked after a policy
}

func (l *lockOrder) Owner(ctx context.Context, q store.Querier, ref authority.Ref, lock authority.Lock) (authority.Owner, bool, error) {
	if l.policies > 0 {
		l.late = append(l.late, ref)
	}
	l.owners = append(l.owners, ref)
	return l.Standing.Owner(ctx, q, ref, lock)
}

func (l *lockOrder) Granted(ctx context.Context, tx *store.Tx, subjects []policy.Subject, paths []string) ([]policy.Policy, error) {
	l.policies++
	return l.SecretPolicies.Granted(ctx, tx, subjects, paths)
}

// Whoever changes a policy, a role or a user locks owners in their order, and policies after them. Readings that share a transaction do the same, in
// whichever order they arrive; otherwise the two transactions could deadlock.
func TestGet_locksOwnersInTheirOrderAndPoliciesBehindThem(t *testing.T) {
	h := newHouse(t)
	callers := []*auth.Principal{h.admin, h.bind, h.press, h.Caller(h.admin.Subject)}
	for range 2 {
		order := &lockOrder{}
		standing := &authority.Standing{Rows: order, Clock: h.Clock}
		gate := h.gate()
		gate.Standing, gate.Rows = standing, order
		secrets := secret.New(h.DB, kmsdb.Secrets{}, h.sealer, gate, h.Clock, secret.DefaultKeep)
		t.Cleanup(secrets.Close)
		h.Write(func(ctx context.Context, tx *store.Tx) error {
			refused, err := secret.EnterTogether(secrets, ctx, tx, "press.token", append(callers, callers...)...)
			require.NoError(t, err)
			for i, caller := range append(callers, callers...) {
				if caller == h.bind {
					require.ErrorIs(t, refused[i], domain.NotFound)
				} else {
					require.NoError(t, refused[i])
				}
			}
			return nil
		})
		require.Empty(t, order.late)
		require.Equal(t, len(callers), order.policies, "each caller is judged once")
		require.Len(t, order.owners, len(callers))
		require.True(t, slices.IsSortedFunc(order.owners, func(a, b authority.Ref) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) }), "%v", order.owners)
		slices.Reverse(callers)
	}
}

// A caller whose key has ended is refused without effect on the others.
func TestGet_refusesAloneWhoHasNothingToStandOn(t *testing.T) {
	h := newHouse(t)
	ended := *h.press
	ended.ClientID = "key_none"
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		refused, err := secret.EnterTogether(h.secrets, ctx, tx, "press.token", h.press, &ended, h.admin)
		require.NoError(t, err)
		require.NoError(t, refused[0])
		require.ErrorIs(t, refused[1], domain.Ended)
		require.NoError(t, refused[2])
		return nil
	})
}

// Only the caller whose row another transaction holds waits for it: neither concurrent readings of other callers nor later ones do.
func TestGet_waitsAloneForARowThatIsHeld(t *testing.T) {
	storetest.Each(t, []fs.FS{audit.Migrations, kmsdb.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		if db.Dialect() == store.SQLite {
			return // SQLite has one writer and no row locks
		}
		h, other := houseOf(t, kmstest.On(t, db)), open(t)
		var aside atomic.Int64
		var found sync.Map // callers whose rows were found held
		h.secrets.Held = func(_ context.Context, readings int, by *auth.Principal) {
			aside.Add(int64(readings))
			if by != nil {
				found.Store(by.Subject, true)
			}
		}
		for _, name := range []string{"press.token", "bind.token"} {
			_, err := h.put(h.admin, name, "value of "+name, secret.Precondition{})
			require.NoError(t, err)
		}
		read := func(caller *auth.Principal, name string, i int) error {
			ctx := requestid.With(auth.NewContext(context.WithoutCancel(h.Context()), caller), fmt.Sprintf("req_%s_%d", caller.Subject, i))
			value, err := h.reading(ctx, caller, name, true)
			if err == nil && value != "value of "+name {
				err = fmt.Errorf("another value: %q", value)
			}
			return err
		}
		held, release, given := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			given <- other.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE services SET version = version WHERE id = ?", h.press.Subject)
				close(held)
				<-release
				return err
			})
		}()
		<-held
		const stuck = 5
		waiting := make(chan error, stuck)
		for i := range stuck {
			go func() { waiting <- read(h.press, "press.token", i) }()
		}
		const others = 40
		for i := range others {
			require.NoError(t, read(h.bind, "bind.token", i))
		}
		require.Empty(t, waiting, "the row is still held")
		require.Eventually(t, func() bool { return aside.Load() >= stuck }, 30*time.Second, time.Millisecond, "each is told of")
		_, told := found.Load(h.press.Subject)
		require.True(t, told)
		close(release)
		require.NoError(t, <-given)
		for range stuck {
			require.NoError(t, <-waiting)
		}
		require.NoError(t, read(h.press, "press.token", stuck))
		require.Equal(t, map[string]int{h.press.Subject: stuck + 1, h.bind.Subject: others}, h.recordedReadings("ok"))
	})
}
