package kmsdb_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
)

func (s suite) declare(id string, scopes ...string) bool {
	s.Helper()
	return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
		return kmsdb.Services{}.Declare(ctx, tx, id, scopes)
	})
}

func (s suite) service(id string) (service.Service, bool) {
	s.Helper()
	got, found, err := kmsdb.Services{}.Get(s.Context(), s.q(), id)
	require.NoError(s, err)
	return got, found
}

func TestServices_areFoundAsTheyWereStored(t *testing.T) {
	each(t, func(s suite) {
		rows, want := kmsdb.Services{}, printer("svc_1", "press", "documents:read")
		want.Tenant, want.Family = "acme", true
		s.insertService(want)
		got, found := s.service("svc_1")
		require.True(s, found)
		require.Equal(s, want, got)
		got, found, err := rows.ByName(s.Context(), s.q(), "press")
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, want, got)
		_, found, err = rows.ByName(s.Context(), s.q(), "nobody")
		require.NoError(s, err)
		require.False(s, found)
		insert := func(ctx context.Context, tx *store.Tx) (bool, error) {
			return rows.Insert(ctx, tx, printer("svc_2", "press"))
		}
		require.False(s, s.did(insert), "the name is taken")
		remove := func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Delete(ctx, tx, "svc_1", noon) }
		require.True(s, s.did(remove))
		require.False(s, s.did(remove))
		_, found = s.service("svc_1")
		require.False(s, found)
		require.False(s, s.did(insert), "the name of a deleted service stays taken")
		require.False(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Update(ctx, tx, want, 2) }), "it is deleted")
	})
}

func TestServices_areChangedOverOneVersionOnly(t *testing.T) {
	each(t, func(s suite) {
		rows, one := kmsdb.Services{}, printer("svc_1", "press")
		s.insertService(one)
		one.Status, one.Scopes, one.Version, one.UpdatedAt = user.Disabled, []string{"documents:read"}, 2, noon.Add(time.Second)
		update := func(ctx context.Context, tx *store.Tx) (bool, error) { return rows.Update(ctx, tx, one, 1) }
		require.True(s, s.did(update))
		require.False(s, s.did(update), "version 1 is gone")
		got, _ := s.service("svc_1")
		require.Equal(s, one, got)
	})
}

func TestServices_ofTheFamilyAloneGetTheirScopes(t *testing.T) {
	each(t, func(s suite) {
		family := printer("svc_1", "sequence")
		family.Family = true
		s.insertService(family)
		s.insertService(printer("svc_2", "press"))
		set := func(name string) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				return kmsdb.Services{}.SetFamilyScopes(ctx, tx, name, []string{"keys:verify"}, noon)
			})
		}
		require.True(s, set("sequence"))
		require.False(s, set("sequence"), "it has them")
		require.False(s, set("press"))
		got, _ := s.service("svc_1")
		require.Equal(s, []string{"keys:verify"}, got.Scopes)
		require.EqualValues(s, 2, got.Version)
	})
}

func TestServices_areListedByNameInPages(t *testing.T) {
	each(t, func(s suite) {
		for _, name := range []string{"c", "a", "b"} {
			s.insertService(printer("svc_"+name, name))
		}
		names := func(after string, limit int) (out []string) {
			services, err := kmsdb.Services{}.List(s.Context(), s.q(), after, limit)
			require.NoError(s, err)
			for _, one := range services {
				out = append(out, one.Name)
			}
			return out
		}
		require.Equal(s, []string{"a", "b"}, names("", 2))
		require.Equal(s, []string{"c"}, names("b", 2))
	})
}

func TestServices_declareScopesThatNoOtherDeclares(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Services{}
		s.insertService(printer("svc_1", "press"))
		s.insertService(printer("svc_2", "bind", "press:print"))
		require.True(s, s.declare("svc_1", "press:print", "press:read"))
		require.True(s, s.declare("svc_1", "press:print"), "the given ones alone")
		err := s.fails(func(ctx context.Context, tx *store.Tx) error {
			declared, err := rows.Declare(ctx, tx, "svc_2", []string{"press:print"})
			require.NoError(s, err)
			require.False(s, declared)
			return context.Canceled // as the domain does, which refuses
		})
		require.ErrorIs(s, err, context.Canceled)
		declares := func(ctx context.Context, tx *store.Tx) error {
			found, err := rows.Declares(ctx, tx, []string{"press:read", "press:print"})
			require.Equal(s, []string{"press:print"}, found)
			return err
		}
		require.Equal(s, "shared", s.whatIsLocked("shared", "SELECT 1 FROM declared_scopes", declares))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			found, err := kmsdb.Roles{}.Declares(ctx, tx, []string{"press:read", "press:print"})
			require.Equal(s, []string{"press:print"}, found, "roles ask for the same")
			return err
		})
		s.write(func(ctx context.Context, tx *store.Tx) error {
			carriers, err := rows.Carriers(ctx, tx, []string{"press:print", "press:printer", "print"})
			require.Len(s, carriers, 1)
			require.Equal(s, "svc_2", carriers[0].ID)
			return err
		})
		services := []service.Service{printer("svc_1", "press"), printer("svc_2", "bind")}
		require.NoError(s, rows.Details(s.Context(), s.q(), services))
		require.Equal(s, []string{"press:print"}, services[0].Declared)
		require.Empty(s, services[1].Declared)
		require.True(s, services[0].LastUsedAt.IsZero())
	})
}

func TestServices_raiseTheEpochOfWhatIsThere(t *testing.T) {
	each(t, func(s suite) {
		s.insertService(printer("svc_1", "press"))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			epoch, err := kmsdb.Services{}.RaiseEpoch(ctx, tx, "svc_1")
			require.EqualValues(s, 1, epoch)
			return err
		})
		require.ErrorIs(s, s.fails(func(ctx context.Context, tx *store.Tx) error {
			_, err := kmsdb.Services{}.RaiseEpoch(ctx, tx, "svc_2")
			return err
		}), sql.ErrNoRows)
	})
}

// enrolment has the tokens of the service svc_1.
type enrolment struct {
	suite
	rows kmsdb.Services
}

func (s enrolment) insert(hash string) {
	s.write(func(ctx context.Context, tx *store.Tx) error {
		return s.rows.InsertToken(ctx, tx, []byte(hash), "svc_1", noon, noon.Add(time.Hour))
	})
}

func (s enrolment) open(hash string, at time.Time) bool {
	open, err := s.rows.TokenOpen(s.Context(), s.q(), []byte(hash), at)
	require.NoError(s, err)
	return open
}

func (s enrolment) use(hash string, at time.Time) bool {
	return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
		id, used, err := s.rows.UseToken(ctx, tx, []byte(hash), at)
		require.Equal(s, used, id == "svc_1")
		return used, err
	})
}

func (s enrolment) status(status string, from int64) {
	one := printer("svc_1", "press")
	one.Status, one.Version = status, from+1
	require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return s.rows.Update(ctx, tx, one, from) }))
}

func TestEnrolmentTokens_workOnceForAnActiveService(t *testing.T) {
	each(t, func(s suite) {
		e, end := enrolment{suite: s}, noon.Add(time.Hour)
		s.insertService(printer("svc_1", "press"))
		e.insert("first")
		require.False(s, e.open("first", end))
		require.False(s, e.use("first", end))
		e.status(user.Disabled, 1)
		require.False(s, e.open("first", noon))
		require.False(s, e.use("first", noon))
		e.status(user.Active, 2)
		_, used, err := e.rows.TokenUsed(s.Context(), s.q(), []byte("first"))
		require.NoError(s, err)
		require.False(s, used)
		require.True(s, e.use("first", noon))
		require.False(s, e.use("first", noon))
		id, used, err := e.rows.TokenUsed(s.Context(), s.q(), []byte("first"))
		require.NoError(s, err)
		require.True(s, used)
		require.Equal(s, "svc_1", id)
		e.insert("second")
		s.write(func(ctx context.Context, tx *store.Tx) error { return e.rows.SupersedeTokens(ctx, tx, "svc_1", noon) })
		require.False(s, e.use("second", noon))
		id, found, err := e.rows.TokenService(s.Context(), s.q(), []byte("second"))
		require.NoError(s, err)
		require.True(s, found, "whatever its state")
		require.Equal(s, "svc_1", id)
		_, found, err = e.rows.TokenService(s.Context(), s.q(), []byte("unknown"))
		require.NoError(s, err)
		require.False(s, found)
		e.insert("third")
		s.restoredAt(noon.Add(time.Second))
		require.False(s, e.open("third", noon), "from before a restore")
		s.write(func(ctx context.Context, tx *store.Tx) error { return e.rows.SweepTokens(ctx, tx, end) })
		require.EqualValues(s, 3, s.number("SELECT COUNT(*) FROM enrolment_tokens"))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return e.rows.SweepTokens(ctx, tx, end.Add(time.Second))
		})
		require.Zero(s, s.number("SELECT COUNT(*) FROM enrolment_tokens"))
	})
}

func serviceKey(id, serviceID string) apikey.Key {
	k := userKey(id, serviceID)
	k.Owner = authority.Ref{Kind: auth.KindService, ID: serviceID}
	return k
}

func TestServices_haveACredentialWhileOneWorksAndIsUsedOrFresh(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Services{}
		s.insertService(printer("svc_1", "press"))
		s.insertKey(userKey("key_0", "svc_1")) // a user's key, whose ID has the same text
		s.insertKey(serviceKey("key_1", "svc_1"))
		has := func(at, fresh, until time.Time) bool {
			has, err := rows.HasCredential(s.Context(), s.q(), "svc_1", at, fresh, until)
			require.NoError(s, err)
			return has
		}
		granted := keyEnd.Add(time.Hour)
		require.True(s, has(noon, noon.Add(-time.Second), noon))
		require.False(s, has(noon, noon, noon), "neither used nor fresh")
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
			return kmsdb.APIKeys{}.FirstUse(ctx, tx, "key_1", noon)
		}))
		require.True(s, has(noon, noon, granted.Add(-time.Microsecond)))
		require.False(s, has(noon, noon, granted), "its lineage ends by then")
		require.False(s, has(keyEnd, noon, noon), "expired")
		details := []service.Service{printer("svc_1", "press")}
		require.NoError(s, rows.Details(s.Context(), s.q(), details))
		require.Equal(s, noon, details[0].LastUsedAt)

		enrolment{suite: s}.insert("token")
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.EndAccess(ctx, tx, "svc_1", noon, "test") })
		require.False(s, has(noon, noon.Add(-time.Second), noon))
		require.False(s, enrolment{suite: s}.open("token", noon))
		require.True(s, s.key("key_0").RevokedAt.IsZero())
	})
}
