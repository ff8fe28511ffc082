package kmsdb_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/store"
)

// unlimited is a limit that no test reaches.
var unlimited = adoption.Room{Contracts: 1000, Bytes: 1 << 40}

// adopted returns a contract; insertContract stores one with its service.
func adopted(name string) adoption.Contract {
	return adoption.Contract{
		Name: name, ServiceID: "svc_" + name, Active: true, Version: 1, Upstreams: []string{"http://127.0.0.1:9000"}, ActiveContent: true, CreatedAt: noon,
		Live: edition(name, "live"),
	}
}

func edition(name, text string) adoption.Edition {
	return adoption.Edition{
		Document: adoption.Document{
			Service: name, File: "a.yaml", Files: []adoption.File{{Name: "a.yaml", Text: text + " ' \" ☃\n"}, {Name: "b/c.yaml", Text: "{}"}}, Public: []string{"getHealth"},
		},
		Digest: "digest of " + text, Version: "1.4.0", WarningCount: 1200, Warnings: []adoption.Finding{{At: "a.yaml:1", Message: "wrong", Hint: "right"}},
		ChangeCount: 1, Changes: []adoption.Change{{Name: "GET /x: gone", Message: "it is gone"}}, Size: 100, UpdatedAt: noon, UpdatedBy: "usr_1",
	}
}

// bare returns the parts of a contract that lists have.
func bare(c adoption.Contract) adoption.Contract {
	c.Live = bareEdition(c.Live)
	if c.Shadow != nil {
		shadow := bareEdition(*c.Shadow)
		c.Shadow = &shadow
	}
	return c
}

func bareEdition(e adoption.Edition) adoption.Edition {
	e.Files, e.Warnings, e.Changes = nil, nil, nil
	return e
}

func (s suite) insertContract(c adoption.Contract) {
	s.Helper()
	s.insertService(printer(c.ServiceID, c.Name))
	s.write(func(ctx context.Context, tx *store.Tx) error {
		if err := (kmsdb.Contracts{}).Put(ctx, tx, c); err != nil {
			return err
		}
		return kmsdb.Contracts{}.PutEdition(ctx, tx, false, c.Live)
	})
}

func (s suite) whole(name string) (adoption.Contract, bool) {
	s.Helper()
	c, found, err := kmsdb.Contracts{}.Whole(s.Context(), s.q(), name)
	require.NoError(s, err)
	return c, found
}

func TestContracts_areFoundAsTheyWerePut(t *testing.T) {
	each(t, func(s suite) {
		rows, want := kmsdb.Contracts{}, adopted("press")
		s.insertContract(want)
		got, found := s.whole("press")
		require.True(s, found)
		require.Equal(s, want, got)
		got, found, err := rows.Get(s.Context(), s.q(), "press")
		require.NoError(s, err)
		require.True(s, found)
		require.Equal(s, bare(want), got)

		shadow := edition("press", "shadow")
		want.Version, want.Upstreams, want.ActiveContent, want.Live, want.Shadow = 7, []string{"https://[::1]:1"}, false, edition("press", "next"), &shadow
		want.Live.Warnings, want.Live.Changes, want.Live.Public = nil, nil, nil
		s.write(func(ctx context.Context, tx *store.Tx) error {
			changed := want
			changed.CreatedAt, changed.ServiceID = noon.Add(time.Hour), "svc_other"
			require.NoError(s, rows.Put(ctx, tx, changed))
			require.NoError(s, rows.PutEdition(ctx, tx, false, want.Live))
			return rows.PutEdition(ctx, tx, true, shadow)
		})
		got, _ = s.whole("press")
		require.Equal(s, want, got, "replaced, but for when it was made and for whom")
		one := printer("svc_press", "press")
		one.Status, one.Version = user.Disabled, 2
		require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return kmsdb.Services{}.Update(ctx, tx, one, 1) }))
		s.write(func(ctx context.Context, tx *store.Tx) error {
			require.NoError(s, rows.DropShadow(ctx, tx, "press"))
			require.NoError(s, rows.DropShadow(ctx, tx, "press"))
			return rows.SetVersion(ctx, tx, "press", 9)
		})
		want.Shadow, want.Version, want.Active = nil, 9, false
		got, _ = s.whole("press")
		require.Equal(s, want, got)

		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.Delete(ctx, tx, "press") })
		_, found = s.whole("press")
		require.False(s, found)
		require.Zero(s, s.number("SELECT COUNT(*) FROM contract_documents"))
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.Delete(ctx, tx, "press") })
	})
}

func TestContracts_areListedByNameWithoutTheirTexts(t *testing.T) {
	each(t, func(s suite) {
		for _, name := range []string{"c", "a", "b"} {
			s.insertContract(adopted(name))
		}
		shadow := edition("b", "shadow")
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return kmsdb.Contracts{}.PutEdition(ctx, tx, true, shadow)
		})
		list := func(after string, limit int) []adoption.Contract {
			contracts, err := kmsdb.Contracts{}.List(s.Context(), s.q(), after, limit)
			require.NoError(s, err)
			return contracts
		}
		b := adopted("b")
		b.Shadow = &shadow
		require.Equal(s, []adoption.Contract{bare(adopted("a")), bare(b)}, list("", 2))
		require.Equal(s, []adoption.Contract{bare(adopted("c"))}, list("b", 2))
		require.Empty(s, list("c", 2))
	})
}

func TestContracts_takeTheLargestDocument(t *testing.T) {
	each(t, func(s suite) {
		c := adopted("press")
		c.Live.Files = []adoption.File{{Name: "a.yaml", Text: strings.Repeat("<é>\n", adoption.MaxText/5)}}
		s.insertContract(c)
		got, _ := s.whole("press")
		require.True(s, c.Live.Files[0] == got.Live.Files[0])
	})
}

func TestContracts_belongToAService(t *testing.T) {
	each(t, func(s suite) {
		rows, c := kmsdb.Contracts{}, adopted("press")
		require.Error(s, s.fails(func(ctx context.Context, tx *store.Tx) error { return rows.Put(ctx, tx, c) }))
		s.insertContract(c)
		other := adopted("other")
		other.ServiceID = c.ServiceID
		require.Error(s, s.fails(func(ctx context.Context, tx *store.Tx) error { return rows.Put(ctx, tx, other) }), "it has one already")
		require.Error(s, s.fails(func(ctx context.Context, tx *store.Tx) error {
			return rows.PutEdition(ctx, tx, false, edition("none", "x"))
		}))
	})
}

// Of concurrent takers of the last room only one gets it, and no version is given twice.
func TestContracts_takeNoMoreThanTheRoomThereIs(t *testing.T) {
	each(t, func(s suite) {
		take := func(contracts int, bytes int64, limit adoption.Room) (version int64, taken bool) {
			s.write(func(ctx context.Context, tx *store.Tx) (err error) {
				version, taken, err = kmsdb.Contracts{}.Take(ctx, tx, adoption.Room{Contracts: contracts, Bytes: bytes}, limit)
				return err
			})
			return version, taken
		}
		two := adoption.Room{Contracts: 2, Bytes: 100}
		for want := range int64(2) {
			version, taken := take(1, 50, two)
			require.True(s, taken)
			require.Equal(s, want+1, version)
		}
		_, taken := take(1, 0, two)
		require.False(s, taken, "a third contract")
		_, taken = take(0, 1, two)
		require.False(s, taken, "a byte more")
		version, taken := take(0, 0, two)
		require.True(s, taken)
		require.EqualValues(s, 3, version)
		_, taken = take(-1, -50, adoption.Room{})
		require.True(s, taken, "less is always possible")
		_, taken = take(1, 50, two)
		require.True(s, taken)
		require.EqualValues(s, 2, s.number("SELECT contracts FROM contract_room"))
		require.EqualValues(s, 100, s.number("SELECT bytes FROM contract_room"))
		require.Equal(s, "exclusive", s.whatIsLocked("exclusive", "SELECT 1 FROM contract_room", func(ctx context.Context, tx *store.Tx) error {
			_, _, err := kmsdb.Contracts{}.Take(ctx, tx, adoption.Room{}, unlimited)
			return err
		}))
	})
}
