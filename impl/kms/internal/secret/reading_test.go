package secret_test

import (
	"context"
	"io/fs"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// recordedReadings returns how many readings of whom are in the trail.
func (h *house) recordedReadings(outcome string) map[string]int {
	found := map[string]int{}
	for _, action := range []string{"getSecret", "getSecretVersion"} {
		records, _, err := audit.List(h.Context(), h.DB.Read(h.Context()), audit.Query{Action: action, Limit: 1000})
		require.NoError(h, err)
		for _, r := range records {
			if r.Outcome == outcome {
				found[r.Actor]++
			}
		}
	}
	return found
}

// Readings at the same time share transactions: each is recorded once, under who did it; one that is refused is refused alone.
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
			ctx := auth.NewContext(h.Context(), c.caller)
			for i := range each {
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

// reading opens a secret in one of both ways.
func (h *house) reading(ctx context.Context, caller *auth.Principal, name string, current bool) (value string, err error) {
	if current {
		_, value, err = h.secrets.Get(ctx, caller, name)
		return value, err
	}
	_, _, value, err = h.secrets.GetVersion(ctx, caller, name, "current")
	return value, err
}

// A transaction that gives its readings up opens nothing.
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
