package secret_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// house has the parts under test, with an administrator and two services that have a key each.
type house struct {
	*kmstest.Parts
	secrets            *secret.Secrets
	sealer             secret.Sealer
	keyrings           *secret.Keyrings
	admin, press, bind *auth.Principal
}

func newHouse(t *testing.T) *house { return houseOf(t, kmstest.New(t)) }

func houseOf(t *testing.T, parts *kmstest.Parts) *house {
	h := &house{Parts: parts}
	root := filepath.Join(t.TempDir(), "root.key")
	require.NoError(t, seal.CreateRoot(root))
	v, err := vault.Open(t.Context(), h.DB, kmsdb.Keysets{}, vault.Files{Current: root}, h.Clock)
	require.NoError(t, err)
	h.sealer, err = v.AEAD(t.Context(), vault.Secrets)
	require.NoError(t, err)
	h.secrets = secret.New(h.DB, kmsdb.Secrets{}, h.sealer, h.gate(), h.Clock, secret.DefaultKeep)
	t.Cleanup(h.secrets.Close)
	h.keyrings = secret.NewKeyrings(h.DB, v, h.Standing, h.Clock)
	h.admin = h.Caller(h.First("root").ID)
	h.press, h.bind = h.service("press"), h.service("bind")
	return h
}

// gate returns a gate that admits what policies allow.
func (h *house) gate() *policy.Gate {
	return &policy.Gate{DB: h.DB, Rows: kmsdb.SecretPolicies{}, Standing: h.Standing, Refusals: auditlog.NewRefusals(auditlog.Log{Clock: h.Clock})}
}

// service returns the principal of a service, as the token of its key has it.
func (h *house) service(name string) *auth.Principal {
	now := h.Clock.Now()
	s := h.Service(name)
	k := apikey.Key{
		ID: "key_" + name, Owner: authority.Ref{Kind: auth.KindService, ID: s.ID}, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		RootID: "key_" + name, GrantedUntil: now.Add(time.Hour),
	}
	h.Write(func(ctx context.Context, tx *store.Tx) error { return kmsdb.APIKeys{}.Insert(ctx, tx, k, []byte(name)) })
	return &auth.Principal{Subject: s.ID, Kind: auth.KindService, ClientID: k.ID, TokenID: "tok_" + name}
}

func (h *house) put(caller *auth.Principal, name, value string, p secret.Precondition) (int64, error) {
	made, err := h.secrets.Put(h.Context(), caller, name, value, p)
	return made.Version, err
}

func TestPut_takesAVersionWhenThePreconditionHolds(t *testing.T) {
	h := newHouse(t)
	one, nine := etag.Exactly(1), etag.Exactly(9)
	for _, c := range []struct {
		name    string
		p       secret.Precondition
		version int64
		want    error
	}{
		{"a", secret.Precondition{Match: &one}, 0, domain.PreconditionFailed},
		{"a", secret.Precondition{Absent: true}, 1, nil},
		{"a", secret.Precondition{Absent: true}, 0, domain.PreconditionFailed},
		{"a", secret.Precondition{Match: &nine}, 0, domain.PreconditionFailed},
		{"a", secret.Precondition{Match: &one}, 2, nil},
		{"a", secret.Precondition{}, 3, nil},
		{"b", secret.Precondition{}, 1, nil},
	} {
		version, err := h.put(h.admin, c.name, "value", c.p)
		require.ErrorIs(t, err, c.want)
		if c.want == nil {
			require.Equal(t, c.version, version)
		}
	}
}

func TestGet_opensTheCurrentVersion(t *testing.T) {
	h := newHouse(t)
	for _, value := range []string{"one", "two"} {
		_, err := h.put(h.admin, "press.token", value, secret.Precondition{})
		require.NoError(t, err)
	}
	for _, caller := range []*auth.Principal{h.admin, h.press} {
		made, value, err := h.secrets.Get(h.Context(), caller, "press.token")
		require.NoError(t, err)
		require.Equal(t, "two", value)
		require.EqualValues(t, 2, made.Version)
	}
	_, _, absent := h.secrets.Get(h.Context(), h.press, "press.other")
	_, _, others := h.secrets.Get(h.Context(), h.bind, "press.token")
	require.ErrorIs(t, absent, domain.NotFound)
	require.Equal(t, absent.Error(), others.Error(), "what one may not see does not exist")
}

func TestGet_opensNoRowInAnothersPlace(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"a", "b"} {
		_, err := h.put(h.admin, name, "value of "+name, secret.Precondition{})
		require.NoError(t, err)
	}
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE secret_versions SET wrapped_key = (SELECT wrapped_key FROM secret_versions WHERE name = 'b'),
			sealed = (SELECT sealed FROM secret_versions WHERE name = 'b') WHERE name = 'a'`)
		return err
	})
	_, value, err := h.secrets.Get(h.Context(), h.admin, "a")
	require.ErrorContains(t, err, "open secret a version 1")
	require.Empty(t, value)
}

func TestSecrets_reachServicesByTheirName(t *testing.T) {
	h := newHouse(t)
	for name, want := range map[string]error{"press": nil, "press.a": nil, "pressing": domain.Forbidden, "press-a": domain.Forbidden, "bind.a": domain.Forbidden} {
		_, err := h.put(h.press, name, "value", secret.Precondition{})
		require.ErrorIs(t, err, want, name)
	}
	h.press.ClientID = "key_bind"
	_, err := h.put(h.press, "press", "value", secret.Precondition{})
	require.ErrorIs(t, err, domain.Ended, "the key is another service's")
}

func TestList_givesPagesOfWhatTheCallerMaySee(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"press.b", "press.a", "bind.a", "press"} {
		_, err := h.put(h.admin, name, "value", secret.Precondition{})
		require.NoError(t, err)
	}
	names := func(caller *auth.Principal, cursor string, limit int) (out []string, next string) {
		found, next, err := h.secrets.List(h.Context(), caller, cursor, limit)
		require.NoError(t, err)
		for _, one := range found {
			out = append(out, one.Name)
		}
		return out, next
	}
	first, next := names(h.press, "", 2)
	require.Equal(t, []string{"press", "press.a"}, first)
	rest, end := names(h.press, next, 2)
	require.Equal(t, []string{"press.b"}, rest)
	require.Empty(t, end)
	all, end := names(h.admin, "", 4)
	require.Len(t, all, 4)
	require.Empty(t, end, "a full page may be the last")
	_, _, err := h.secrets.List(h.Context(), h.admin, "nonsense", 4)
	require.Error(t, err)
}

func TestUnwrap_opensWhatItsKeyringHasWrappedAlone(t *testing.T) {
	h := newHouse(t)
	made, err := h.keyrings.Create(h.Context(), h.press, "press")
	require.NoError(t, err)
	opened, err := h.keyrings.Unwrap(h.Context(), h.press, "press", made.Wrapped)
	require.NoError(t, err)
	require.Equal(t, made, opened)
	others, err := h.keyrings.Create(h.Context(), h.bind, "bind")
	require.NoError(t, err)
	for name, wrapped := range map[string][]byte{"another keyring's": others.Wrapped, "cut": made.Wrapped[:len(made.Wrapped)-1], "nothing": nil} {
		_, err = h.keyrings.Unwrap(h.Context(), h.press, "press", wrapped)
		require.ErrorIs(t, err, domain.ValidationFailed, name)
	}
	for name, caller := range map[string]*auth.Principal{"another service": h.bind, "an administrator": h.admin} {
		_, err = h.keyrings.Unwrap(h.Context(), caller, "press", made.Wrapped)
		require.ErrorIs(t, err, domain.Forbidden, name)
		_, err = h.keyrings.Create(h.Context(), caller, "press")
		require.ErrorIs(t, err, domain.Forbidden, name)
	}
	h.Clock.Advance(time.Hour)
	_, err = h.keyrings.Unwrap(h.Context(), h.press, "press", made.Wrapped)
	require.ErrorIs(t, err, domain.Ended, "its key has expired")
}

// If a reading can't be recorded, nothing is returned, neither to a user nor to a service.
func TestGet_failsWhereItCannotBeRecorded(t *testing.T) {
	h := newHouse(t)
	_, err := h.put(h.admin, "press.key", "canary", secret.Precondition{})
	require.NoError(t, err)
	h.Write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE audit_head SET mac = hash")
		return err
	})
	for _, caller := range []*auth.Principal{h.admin, h.press} {
		_, value, err := h.secrets.Get(t.Context(), caller, "press.key")
		require.ErrorIs(t, err, audit.ErrTampered)
		require.Empty(t, value)
	}
	_, err = h.keyrings.Create(t.Context(), h.press, "press")
	require.ErrorIs(t, err, audit.ErrTampered)
}
