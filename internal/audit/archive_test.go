package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// archive exports the given number of the oldest events and orders their removal. It returns the archive and its checkpoint.
func archive(t *testing.T, db *store.DB, chain *audit.Chain, events int64) (string, audit.Checkpoint) {
	t.Helper()
	from, err := audit.StoredFrom(t.Context(), db.Read(t.Context()))
	require.NoError(t, err)
	text, err := export(t, chain, 0, events)
	require.NoError(t, err)
	part, err := audit.VerifyPart(strings.NewReader(text), audittest.Service, publicKey(t, chain))
	require.NoError(t, err)
	require.Equal(t, from.Seq+events, part.Seq)
	goal, err := orderRemoval(t, db, chain, audit.Order{After: from.Seq, End: part.End})
	require.NoError(t, err)
	require.Equal(t, audit.Beginning{Seq: from.Seq, Hash: from.Hash, Goal: part.Seq}, goal)
	return text, part.End
}

func publicKey(t *testing.T, chain *audit.Chain) []byte {
	t.Helper()
	c, err := chain.Checkpoint(t.Context())
	require.NoError(t, err)
	return c.PublicKey
}

func orderRemoval(t *testing.T, db *store.DB, chain *audit.Chain, o audit.Order) (b audit.Beginning, err error) {
	t.Helper()
	o.Event = audit.Event{Actor: "usr_1", ActorKind: audit.User}
	err = db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		b, err = chain.Archive(ctx, tx, o)
		return err
	})
	return b, err
}

func many(n int) (events []audit.Event) {
	for i := range n {
		events = append(events, event(fmt.Sprintf("action%d", i)))
	}
	return events
}

func intact(t *testing.T, chain *audit.Chain, after int64) {
	t.Helper()
	report, err := chain.Verify(t.Context(), audit.Verification{})
	require.NoError(t, err)
	require.True(t, report.Intact(), "%+v", report)
	require.Equal(t, after, report.After)
}

// Two archives and the rest of the trail verify as one, with the public key alone. A missing, reordered, cut off or foreign text is detected.
func TestArchive_verifiesAcrossTheSeams(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		unkeyed(t, db, event("old"))
		chain := audittest.Open(t, db)
		appendEvents(t, db, many(1300)...)
		first, _ := archive(t, db, chain, 700)
		intact(t, chain, 0)
		require.NoError(t, chain.RemoveArchived(t.Context()))
		intact(t, chain, 700)
		second, end := archive(t, db, chain, 500)
		require.NoError(t, chain.RemoveArchived(t.Context()))
		intact(t, chain, 1200)
		appendEvents(t, db, event("later"))
		live, err := export(t, chain, 0, 10_000)
		require.NoError(t, err)
		public := publicKey(t, chain)
		verify := func(texts ...string) (audit.Archived, error) {
			var all []audit.Text
			for i, text := range texts {
				all = append(all, audit.Text{Name: fmt.Sprintf("text %d", i+1), Read: strings.NewReader(text)})
			}
			return audit.VerifyArchives(all, audittest.Service, public, end)
		}
		whole, err := verify(first, second, live)
		require.NoError(t, err)
		require.EqualValues(t, 1305, whole.Checked, "the old one, two of the key and the orders")
		_, err = verify(first, second)
		require.NoError(t, err)
		lines := strings.SplitAfter(second, "\n")
		for name, bad := range map[string][]string{
			"the first is missing": {second, live}, "one between is missing": {first, live}, "turned": {second, first, live}, "twice": {first, first, second, live},
			"cut off":               {first, strings.Join(lines[:len(lines)-2], ""), live},
			"cut off in a line":     {first, second[:len(second)-40], live},
			"empty":                 {first, "", live},
			"an event changed":      {first, strings.Replace(second, "action900", "action901", 1), live},
			"an event less":         {first, strings.Join(append(append([]string{}, lines[:5]...), lines[6:]...), ""), live},
			"the last one only":     {live},
			"swapped for the other": {first, strings.Replace(first, `"seq":0`, `"seq":700`, 1), live},
		} {
			_, err := verify(bad...)
			require.ErrorIs(t, err, audit.ErrExport, name)
			require.ErrorContains(t, err, "text ", name)
		}
		_, err = verify(first)
		require.ErrorIs(t, err, audit.ErrOutside, "the known checkpoint is in a later one")
	})
}

// An order that would lose or hide events is refused and changes nothing.
func TestArchive_refuses(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		now := clock.NewFake(time.Now())
		chain, err := audit.Open(t.Context(), db, audit.Options{Service: audittest.Service, Sealer: audittest.Sealer(t), Clock: now})
		require.NoError(t, err)
		appendEvents(t, db, many(20)...)
		at := func(events int64) audit.Checkpoint {
			text, err := export(t, chain, 0, events)
			require.NoError(t, err)
			part, err := audit.VerifyPart(strings.NewReader(text), audittest.Service, publicKey(t, chain))
			require.NoError(t, err)
			return part.End
		}
		good := at(10)
		before := read(t, db)
		refused := func(want error, o audit.Order) {
			t.Helper()
			_, err := orderRemoval(t, db, chain, o)
			require.ErrorIs(t, err, want)
			require.True(t, same(before, read(t, db)))
		}
		refused(audit.ErrYoung, audit.Order{End: good, Keep: 24 * time.Hour})
		now.Advance(23 * time.Hour)
		refused(audit.ErrYoung, audit.Order{End: good, Keep: 24 * time.Hour})
		refused(audit.ErrSeam, audit.Order{After: 1, End: good})
		for _, forge := range []func(*audit.Checkpoint){
			func(c *audit.Checkpoint) { c.Seq++ }, func(c *audit.Checkpoint) { c.Service = "kms" }, func(c *audit.Checkpoint) { c.Hash = bytes.Repeat([]byte{1}, 32) },
			func(c *audit.Checkpoint) { c.Signature = nil }, func(c *audit.Checkpoint) { c.Seq = 0 },
		} {
			forged := good
			forge(&forged)
			refused(audit.ErrSignature, audit.Order{End: forged})
		}
		now.Advance(2 * time.Hour)
		_, err = orderRemoval(t, db, chain, audit.Order{End: good, Keep: 24 * time.Hour})
		require.NoError(t, err)
		before = read(t, db)
		refused(audit.ErrArchiving, audit.Order{End: at(15)})
		again, err := orderRemoval(t, db, chain, audit.Order{End: good, Keep: 24 * time.Hour})
		require.NoError(t, err, "the same order again")
		require.EqualValues(t, 0, again.Seq)
		require.True(t, same(before, read(t, db)), "which records nothing")
		require.NoError(t, chain.RemoveArchived(t.Context()))
		before = read(t, db)
		again, err = orderRemoval(t, db, chain, audit.Order{End: good})
		require.NoError(t, err)
		require.EqualValues(t, 10, again.Seq)
		known, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		require.Greater(t, known.Seq, int64(10))
		_, err = export(t, chain, 5, 10)
		var archived *audit.ArchivedError
		require.ErrorAs(t, err, &archived)
		require.EqualValues(t, 11, archived.Before)
	})
}

// A checkpoint of an archived event is reported as ErrArchived. One of the last archived event is still compared.
func TestVerify_tellsWhatWasArchived(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		chain := audittest.Open(t, db)
		appendEvents(t, db, many(5)...)
		old, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		appendEvents(t, db, many(5)...)
		last, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		archive(t, db, chain, 10)
		require.NoError(t, chain.RemoveArchived(t.Context()))
		_, err = chain.Verify(t.Context(), audit.Verification{Known: &old})
		require.ErrorIs(t, err, audit.ErrArchived)
		_, err = audit.VerifyStored(t.Context(), db.Read(t.Context()), audittest.Service, old.PublicKey, old)
		require.ErrorIs(t, err, audit.ErrArchived)
		for _, after := range []bool{false, true} {
			report, err := chain.Verify(t.Context(), audit.Verification{Known: &last, After: after})
			require.NoError(t, err)
			require.True(t, report.Intact(), "%+v", report)
		}
		report, err := audit.VerifyStored(t.Context(), db.Read(t.Context()), audittest.Service, last.PublicKey, last)
		require.NoError(t, err)
		require.True(t, report.Intact(), "%+v", report)
		records, next, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{})
		require.NoError(t, err)
		require.Zero(t, next)
		require.EqualValues(t, 11, records[len(records)-1].Seq)
	})
}

// storedBase is the row that says where the stored chain begins.
type storedBase struct {
	Seq        int64
	Hash       []byte
	TargetSeq  int64  `db:"target_seq"`
	TargetHash []byte `db:"target_hash"`
	KeyID      int64  `db:"key_id"`
	MAC        []byte `db:"mac"`
}

func readBase(t *testing.T, db *store.DB) (b storedBase) {
	t.Helper()
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &b, "SELECT seq, hash, target_seq, target_hash, key_id, mac FROM audit_base"))
	return b
}

func (b storedBase) write(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE audit_base SET seq = ?, hash = ?, target_seq = ?, target_hash = ?, key_id = ?, mac = ?",
		b.Seq, b.Hash, b.TargetSeq, b.TargetHash, b.KeyID, b.MAC)
	return err
}

// moveBase does what an attacker with SQL access can do to the beginning of the stored chain: change its row, and delete the events that it then
// hides.
func (s *stored) moveBase(r *rand.Rand, b storedBase) (storedBase, string) {
	i := r.IntN(len(s.Events) - 1)
	e := s.Events[i]
	did := ""
	switch r.IntN(7) {
	case 0:
		did = fmt.Sprintf("move the base behind %d and remove what is before", e.Seq)
		b.Seq, b.Hash, s.Events = e.Seq, e.Hash, s.Events[i+1:]
	case 1:
		did = fmt.Sprintf("move base and goal behind %d and remove what is before", e.Seq)
		b.Seq, b.Hash, b.TargetSeq, b.TargetHash, s.Events = e.Seq, e.Hash, e.Seq, e.Hash, s.Events[i+1:]
	case 2:
		did = fmt.Sprintf("move the base behind %d and remove nothing", e.Seq)
		b.Seq, b.Hash = e.Seq, e.Hash
	case 3:
		did = "put the base to the beginning"
		b = storedBase{}
	case 4:
		did = fmt.Sprintf("move the goal to %d", e.Seq)
		b.TargetSeq, b.TargetHash = e.Seq, e.Hash
	case 5:
		did = "change the hash of the base"
		b.Hash = bytes.Clone(b.Hash)
		b.Hash[r.IntN(len(b.Hash))] ^= 1 << r.IntN(8)
	default:
		did = "take the sum of the base"
		b.MAC, b.KeyID = nil, int64(r.IntN(3))
	}
	return b, did
}

// An attacker who can write to the database but does not have the key can't move the beginning of the stored chain or change later events without
// being detected. An event that was changed is not removed as archived. A checkpoint of an event after the order, stored elsewhere, detects a moved
// base even without the key.
func TestVerify_findsEveryGeneratedTamperingBehindAnArchive(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		chain := audittest.Open(t, db)
		appendEvents(t, db, many(12)...)
		archive(t, db, chain, 6)
		require.NoError(t, chain.RemoveArchived(t.Context()))
		appendEvents(t, db, event("more"), event("more"))
		kept, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		original, originalBase := read(t, db), readBase(t, db)
		intact(t, chain, 6)
		done := 0
		for seed := uint64(0); done < tamperings(); seed++ {
			r := rand.New(rand.NewPCG(seed, 17))
			changed, b := original.clone(), originalBase
			did, moved := "", r.IntN(2) == 0
			if moved {
				b, did = changed.moveBase(r, b)
			} else {
				did = changed.tamper(r)
			}
			changed = changed.numbered()
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if err := changed.write(ctx, tx); err != nil {
					return err
				}
				return b.write(ctx, tx)
			}), "%d: %s", seed, did)
			if same(read(t, db), original) && fmt.Sprint(readBase(t, db)) == fmt.Sprint(originalBase) {
				continue
			}
			done++
			report, err := chain.Verify(t.Context(), audit.Verification{})
			require.NoError(t, err, "%d: %s", seed, did)
			require.False(t, report.Intact(), "%d: %s", seed, did)
			if moved && fmt.Sprint(b.Seq, b.Hash) != fmt.Sprint(originalBase.Seq, originalBase.Hash) {
				report, err := audit.VerifyStored(t.Context(), db.Read(t.Context()), audittest.Service, kept.PublicKey, kept)
				require.True(t, err != nil || !report.Intact(), "%d, without the key: %s", seed, did)
			}
			left := len(read(t, db).Events)
			_ = chain.RemoveArchived(t.Context()) // there may be nothing to remove
			require.Len(t, read(t, db).Events, left, "%d: nothing is removed: %s", seed, did)
		}
		t.Logf("%d tamperings found", done)
	})
}

// Events are archived while others are appended, verified and exported. The chain can be verified at every moment, and the archives and the rest
// together contain all events.
func TestArchive_holdsBesideAppenders(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		chain := audittest.Open(t, db)
		other := db // another replica, where the database allows one
		if db.Dialect() == store.PostgreSQL {
			other = open(t)
		}
		second := audittest.Open(t, other)
		appendEvents(t, db, many(1500)...)
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, on := range []*store.DB{db, other} {
			for range 2 {
				group.Go(func() {
					for ctx.Err() == nil {
						appendEvents(t, on, event("beside"))
					}
				})
			}
		}
		group.Go(func() {
			for ctx.Err() == nil {
				report, err := second.Verify(context.Background(), audit.Verification{})
				require.NoError(t, err)
				require.True(t, report.Intact(), "%+v", report)
			}
		})
		var texts []audit.Text
		for range 3 {
			text, _ := archive(t, db, chain, 490)
			texts = append(texts, audit.Text{Name: "archive", Read: strings.NewReader(text)})
			var both sync.WaitGroup
			for _, c := range []*audit.Chain{chain, second} { // both replicas remove
				both.Go(func() { require.NoError(t, c.RemoveArchived(context.Background())) })
			}
			both.Wait()
		}
		stop()
		group.Wait()
		intact(t, chain, 3*490)
		live, err := export(t, chain, 0, 1_000_000)
		require.NoError(t, err)
		head, err := audit.Head(t.Context(), db.Read(t.Context()))
		require.NoError(t, err)
		whole, err := audit.VerifyArchives(append(texts, audit.Text{Name: "live", Read: strings.NewReader(live)}), audittest.Service, publicKey(t, chain))
		require.NoError(t, err)
		require.Equal(t, head, whole.Seq)
	})
}

// A process that is killed while it removes archived events leaves an intact chain, and the next process finishes the removal.
func TestArchive_leavesAWholeChainThroughKill(t *testing.T) {
	rounds := 3
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		rounds = 100
	}
	storetest.EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		chain := audittest.Open(t, db)
		const each = 2000
		appendEvents(t, db, many(rounds*each+500)...)
		public := publicKey(t, chain)
		var texts []audit.Text
		for round := range rounds {
			text, _ := archive(t, db, chain, each)
			texts = append(texts, audit.Text{Name: "archive", Read: strings.NewReader(text)})
			require.NoError(t, db.Close())
			command, out := start(t, order{URL: c.URL, Dir: c.Dir, Name: c.Name, Remove: true})
			removed := acknowledged(t, command, out, 1+round%3)
			db, err = store.Open(t.Context(), c)
			require.NoError(t, err)
			chain = audittest.Open(t, db)
			from, err := audit.StoredFrom(t.Context(), db.Read(t.Context()))
			require.NoError(t, err)
			require.GreaterOrEqual(t, from.Seq, int64(round*each+min(removed, 3)*500), "what was told is gone")
			intact(t, chain, from.Seq)
			require.NoError(t, chain.RemoveArchived(t.Context()))
			intact(t, chain, int64(round+1)*each)
		}
		live, err := export(t, chain, 0, 1_000_000)
		require.NoError(t, err)
		_, err = audit.VerifyArchives(append(texts, audit.Text{Name: "live", Read: strings.NewReader(live)}), audittest.Service, public)
		require.NoError(t, err)
		require.NoError(t, db.Close())
	})
}

// The keeper removes the events of an order at once, and those that an earlier process has left. It takes an order of another service once, and
// reports an order that it can't follow.
func TestKeeper_removesWhatWasOrdered(t *testing.T) {
	db := sqlite(t)
	chain := audittest.Open(t, db)
	appendEvents(t, db, many(1200)...)
	archive(t, db, chain, 1100)
	k := keep(t, chain, filepath.Join(t.TempDir(), "checkpoint"))
	var mu sync.Mutex
	var order *audit.Order
	k.Archive = func(context.Context) (audit.Order, bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if order == nil {
			return audit.Order{}, false, nil
		}
		return *order, true, nil
	}
	k.TakeArchived(t.Context())
	require.EqualValues(t, 1100, k.gauge(t, "fountain_audit_archived_seq"))
	require.Positive(t, k.gauge(t, "fountain_audit_oldest_event_timestamp_seconds"))
	text, err := export(t, chain, 0, 50)
	require.NoError(t, err)
	part, err := audit.VerifyPart(strings.NewReader(text), audittest.Service, publicKey(t, chain))
	require.NoError(t, err)
	order = &audit.Order{After: 7, End: part.End, Event: audit.Event{ActorKind: audit.System}}
	for range 3 {
		k.TakeArchived(t.Context())
	}
	require.Len(t, k.log.failures(), 1, "it is told once")
	require.Contains(t, k.log.String(), "are not removed")
	order.After = 1100
	for range 3 {
		k.TakeArchived(t.Context())
	}
	require.EqualValues(t, 1150, k.gauge(t, "fountain_audit_archived_seq"))
	records, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Action: audit.ArchiveAudit})
	require.NoError(t, err)
	require.Len(t, records, 2, "each order is an event, once")
	intact(t, chain, 1150)

	exec(t, db, "UPDATE audit_base SET target_seq = 1180")
	k.TakeArchived(t.Context())
	require.EqualValues(t, 0, k.gauge(t, "fountain_audit_intact"))
	require.EqualValues(t, 1150, k.gauge(t, "fountain_audit_archived_seq"), "nothing more is removed")
}

// The event of the checkpoint beside the database may have been archived since; that is not reported as an older state. A checkpoint that the chain
// never had still is.
func TestKeeper_knowsArchivedEventsFromAnOlderState(t *testing.T) {
	db, file := sqlite(t), filepath.Join(t.TempDir(), "checkpoint")
	chain := audittest.Open(t, db)
	appendEvents(t, db, many(10)...)
	k := keep(t, chain, file)
	require.NoError(t, k.MakeCheckpoint(t.Context()))
	old, oldBase := read(t, db), readBase(t, db)
	appendEvents(t, db, many(10)...)
	archive(t, db, chain, 15)
	require.NoError(t, chain.RemoveArchived(t.Context()))
	again := keep(t, chain, file)
	again.started(t)
	require.EqualValues(t, 1, again.gauge(t, "fountain_audit_intact"), again.log.String())
	require.NoError(t, again.MakeCheckpoint(t.Context()))
	require.NoError(t, again.Close())

	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := old.write(ctx, tx); err != nil {
			return err
		}
		return oldBase.write(ctx, tx)
	}))
	restored := keep(t, audittest.Open(t, db), file)
	restored.started(t)
	require.EqualValues(t, 0, restored.gauge(t, "fountain_audit_intact"), "a copy from before the archive")
}

// An export ends before the given time. Its checkpoint is signed only if a verified event proves it.
func TestExportBefore_endsBeforeATime(t *testing.T) {
	db := sqlite(t)
	chain := audittest.Open(t, db)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 6 {
		e := event("a")
		e.At = begin.Add(time.Duration(i) * time.Hour)
		appendEvents(t, db, e)
	}
	text := func(after int64, before time.Time) (string, error) {
		var out bytes.Buffer
		lines := json.NewEncoder(&out)
		lines.SetEscapeHTML(false)
		err := chain.ExportBefore(t.Context(), after, 100, before, func(l audit.Line) error { return lines.Encode(l) })
		return out.String(), err
	}
	for hours, events := range []int64{0, 1, 2, 3, 4, 5, 6, 6} {
		got, err := text(0, begin.Add(time.Duration(hours)*time.Hour))
		require.NoError(t, err)
		part, err := audit.VerifyPart(strings.NewReader(got), audittest.Service, publicKey(t, chain))
		require.NoError(t, err)
		require.Equal(t, events, part.Checked)
	}
	exec(t, db, "UPDATE audit_events SET hash = (SELECT hash FROM audit_events WHERE seq = 1) WHERE seq = 3")
	_, err := text(3, begin)
	require.ErrorIs(t, err, audit.ErrTampered, "nothing vouches for the place where it would begin")
}

// A database that an older release has left has no base; its trail begins with the first event.
func TestVerifyStored_readsWhatAnOlderReleaseHasLeft(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		audittest.Open(t, db)
		appendEvents(t, db, many(5)...)
		exec(t, db, "DROP TABLE audit_base", "DELETE FROM goose_db_version WHERE version_id = 17")
		checked, broken, err := audit.Verify(t.Context(), db.Read(t.Context()))
		require.NoError(t, err)
		require.Zero(t, broken)
		require.EqualValues(t, 5, checked)
		from, err := audit.StoredFrom(t.Context(), db.Read(t.Context()))
		require.NoError(t, err)
		require.Zero(t, from.Seq)
	})
}

// Of two concurrent orders, at two replicas where the database allows that, one is accepted and the other is refused with its reason.
func TestArchive_takesOneOfManyOrdersAtOnce(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		chain := audittest.Open(t, db)
		other := db
		if db.Dialect() == store.PostgreSQL {
			other = open(t)
		}
		second := audittest.Open(t, other)
		appendEvents(t, db, many(40)...)
		public := publicKey(t, chain)
		ends := make([]audit.Checkpoint, 8)
		for i := range ends {
			text, err := export(t, chain, 0, int64(10+i))
			require.NoError(t, err)
			part, err := audit.VerifyPart(strings.NewReader(text), audittest.Service, public)
			require.NoError(t, err)
			ends[i] = part.End
		}
		outcomes := make([]error, len(ends))
		var group sync.WaitGroup
		for i, end := range ends {
			on, at := db, chain
			if i%2 == 1 {
				on, at = other, second
			}
			group.Go(func() {
				outcomes[i] = on.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
					_, err := at.Archive(ctx, tx, audit.Order{End: end, Event: audit.Event{Actor: "usr_1", ActorKind: audit.User}})
					return err
				})
			})
		}
		group.Wait()
		taken := int64(0)
		for i, err := range outcomes {
			if err == nil {
				require.Zero(t, taken, "two orders were taken")
				taken = ends[i].Seq
				continue
			}
			require.ErrorIs(t, err, audit.ErrArchiving)
		}
		require.NotZero(t, taken)
		for _, c := range []*audit.Chain{chain, second} {
			group.Go(func() { require.NoError(t, c.RemoveArchived(context.Background())) })
		}
		group.Wait()
		intact(t, second, taken)
	})
}

// A lost key stops archiving without an alarm, because the events to be removed can't be verified. Earlier archives still verify with the public key
// of their time and the trail after them.
func TestArchive_refusesBeforeALostKey(t *testing.T) {
	for _, archived := range []bool{false, true} {
		db := sqlite(t)
		chain := audittest.Open(t, db)
		appendEvents(t, db, many(20)...)
		public := publicKey(t, chain)
		before := ""
		if archived {
			before, _ = archive(t, db, chain, 5)
			require.NoError(t, chain.RemoveArchived(t.Context()))
		}
		text, err := export(t, chain, 0, 5) // an archive that was written and is not ordered yet
		require.NoError(t, err)
		part, err := audit.VerifyPart(strings.NewReader(text), audittest.Service, public)
		require.NoError(t, err)
		other, err := seal.FromDataKey(seal.NewDataKey())
		require.NoError(t, err)
		chain, err = audit.Open(t.Context(), db, audit.Options{Service: audittest.Service, Sealer: other, Clock: clock.System})
		require.NoError(t, err)
		appendEvents(t, db, many(5)...)
		end, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		_, err = orderRemoval(t, db, chain, audit.Order{End: end})
		require.ErrorIs(t, err, audit.ErrLostKey)
		_, err = orderRemoval(t, db, chain, audit.Order{After: part.After, End: part.End})
		require.ErrorIs(t, err, audit.ErrLostKey, "who signed it is lost, too")
		if archived {
			whole, err := audit.VerifyArchives([]audit.Text{{Name: "archive", Read: strings.NewReader(before)}}, audittest.Service, public)
			require.NoError(t, err)
			report, err := audit.VerifyStored(t.Context(), db.Read(t.Context()), audittest.Service, public, whole.End, part.End)
			require.NoError(t, err)
			require.True(t, report.Intact(), "%+v", report)
			require.EqualValues(t, 5, report.After)
		}
		k := keep(t, chain, filepath.Join(t.TempDir(), "checkpoint"))
		k.TakeArchived(t.Context())
		k.VerifyOnce(t.Context())
		require.Empty(t, k.log.failures())
		require.EqualValues(t, 1, k.gauge(t, "fountain_audit_intact"))
		report, err := chain.Verify(t.Context(), audit.Verification{})
		require.NoError(t, err)
		require.False(t, report.Intact())
	}
}
