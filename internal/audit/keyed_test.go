package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"strings"
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

func sqlite(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func exec(t *testing.T, db *store.DB, statements ...string) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestAppend_refusesWithoutAKey(t *testing.T) {
	db := sqlite(t)
	err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, event("a")) })
	require.ErrorIs(t, err, audit.ErrNoKey)
}

// If the end of the chain was cut off and the head row changed to match, the next append refuses. It must not sign the new end.
func TestAppend_refusesBehindAChangedHead(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		appendEvents(t, db, event("a"), event("b"), event("c"))
		exec(t, db, "DELETE FROM audit_events WHERE seq > 2", "UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit_events WHERE seq = 2)")
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, event("d")) })
		require.ErrorIs(t, err, audit.ErrTampered)

		again := audittest.Open(t, db) // a start continues under a new key, and the break stays visible
		appendEvents(t, db, event("d"))
		report, err := again.Verify(t.Context(), audit.Verification{})
		require.NoError(t, err)
		require.Equal(t, audit.Report{Checked: 2, FirstBreak: 3, Reason: audit.BreakHead}, report)
	})
}

func TestAppend_refusesUnderAnotherKey(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		exec(t, db, "UPDATE audit_head SET key_id = 2")
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, event("d")) })
		require.ErrorIs(t, err, audit.ErrOtherKey)
	})
}

// When a data key is abandoned, the chain's key is lost with it. Later events are under a new key and begin with those that were recorded without
// one.
func TestOpen_goesOnUnderANewKey(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		appendEvents(t, db, event("a"), event("b"))
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return audit.AppendLater(ctx, tx, event("abandonDataKey"))
		}))
		other, err := seal.FromDataKey(seal.NewDataKey())
		require.NoError(t, err)
		chain, err := audit.Open(t.Context(), db, audit.Options{Service: audittest.Service, Sealer: other, Clock: clock.System})
		require.NoError(t, err)
		require.EqualValues(t, 1, chain.Lost())
		appendEvents(t, db, event("c"))
		records, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{})
		require.NoError(t, err)
		var actions []string
		for _, r := range records {
			actions = append(actions, r.Action)
		}
		require.Equal(t, []string{"c", "abandonDataKey", "beginAuditKey", "b", "a"}, actions)
		report, err := chain.Verify(t.Context(), audit.Verification{})
		require.NoError(t, err)
		require.Equal(t, audit.BreakKey, report.Reason, "nobody vouches for what came before")

		kept, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		appendEvents(t, db, event("d"))
		report, err = chain.Verify(t.Context(), audit.Verification{Known: &kept, After: true})
		require.NoError(t, err)
		require.Equal(t, audit.Report{After: 5, Checked: 1}, report)
	})
}

// An older state of the whole chain passes the verification. A checkpoint that was stored elsewhere detects it.
func TestVerify_findsARollbackByACheckpoint(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		chain := audittest.Open(t, db)
		appendEvents(t, db, event("a"), event("b"))
		old := read(t, db)
		appendEvents(t, db, event("c"), event("d"))
		kept, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		require.NoError(t, kept.Verify(kept.PublicKey))
		for _, forged := range []func(*audit.Checkpoint){
			func(c *audit.Checkpoint) { c.Seq-- }, func(c *audit.Checkpoint) { c.Service = "other" }, func(c *audit.Checkpoint) { c.At = c.At.Add(time.Second) },
			func(c *audit.Checkpoint) { c.Hash = bytes.Repeat([]byte{1}, 32) }, func(c *audit.Checkpoint) { c.Hash = nil },
		} {
			c := kept
			forged(&c)
			require.ErrorIs(t, c.Verify(kept.PublicKey), audit.ErrSignature)
			_, err := chain.Verify(t.Context(), audit.Verification{Known: &c})
			require.ErrorIs(t, err, audit.ErrSignature)
		}
		for _, after := range []bool{false, true} {
			report, err := chain.Verify(t.Context(), audit.Verification{Known: &kept, After: after})
			require.NoError(t, err)
			require.True(t, report.Intact(), "%+v", report)
		}
		for _, grown := range []int{0, 1, 5} { // a shorter chain, and one with other events in the place of the lost ones
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return old.write(ctx, tx) }))
			chain := audittest.Open(t, db) // as after a start: a process that knows the end refuses
			for range grown {
				appendEvents(t, db, event("other"))
			}
			report, err := chain.Verify(t.Context(), audit.Verification{})
			require.NoError(t, err)
			require.True(t, report.Intact(), "the chain alone cannot tell")
			report, err = chain.Verify(t.Context(), audit.Verification{Known: &kept})
			require.NoError(t, err)
			require.Equal(t, audit.BreakCheckpoint, report.Reason)
			report, err = audit.VerifyStored(t.Context(), db.Read(t.Context()), audittest.Service, kept.PublicKey, kept)
			require.NoError(t, err)
			require.Equal(t, audit.BreakCheckpoint, report.Reason, "without the key too")
		}
	})
}

// A process refuses to append after an older state than the one that it has committed, and to sign it.
func TestAppend_refusesBehindAnOlderState(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		chain := audittest.Open(t, db)
		appendEvents(t, db, event("a"))
		old := read(t, db)
		appendEvents(t, db, event("b"))
		now := read(t, db)
		require.NoError(t, db.Write(t.Context(), old.write))
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, event("c")) })
		require.ErrorIs(t, err, audit.ErrTampered)
		_, err = chain.Checkpoint(t.Context())
		require.ErrorIs(t, err, audit.ErrTampered)
		require.NoError(t, db.Write(t.Context(), now.write))
		appendEvents(t, db, event("c"))
	})
}

// export returns the export as text, one JSON line each.
func export(t *testing.T, chain *audit.Chain, after, limit int64) (string, error) {
	t.Helper()
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	lines.SetEscapeHTML(false)
	err := chain.Export(t.Context(), after, limit, func(l audit.Line) error { return lines.Encode(l) })
	return out.String(), err
}

func TestExport_isVerifiedWithThePublicKeyAlone(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		unkeyed(t, db, event("old"))
		chain := audittest.Open(t, db)
		e := event("first")
		e.Detail = map[string]string{"name": "<a & b> \u2028"}
		appendEvents(t, db, e, event("second"))
		kept, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		appendEvents(t, db, event("third"))
		whole, err := export(t, chain, 0, 100)
		require.NoError(t, err)
		verify := func(text string) (audit.Report, error) {
			return audit.VerifyExport(strings.NewReader(text), audittest.Service, kept.PublicKey, kept)
		}
		report, err := verify(whole)
		require.NoError(t, err)
		require.Equal(t, audit.Report{Checked: 5}, report)
		first, err := export(t, chain, 0, 2)
		require.NoError(t, err)
		rest, err := export(t, chain, 2, 100)
		require.NoError(t, err)
		for name, good := range map[string]string{"from the middle": rest, "in two parts": first + rest} {
			_, err = verify(good)
			require.NoError(t, err, name)
		}
		last, err := export(t, chain, 5, 100)
		require.NoError(t, err)
		at, err := export(t, chain, kept.Seq, 100)
		require.NoError(t, err)
		_, err = verify(at)
		require.NoError(t, err, "it begins at the checkpoint")
		for name, outside := range map[string]string{"ends before it": first, "begins after it": last} {
			_, err = audit.VerifyExport(strings.NewReader(outside), audittest.Service, kept.PublicKey)
			require.NoError(t, err, name)
			_, err = verify(outside)
			require.ErrorIs(t, err, audit.ErrOutside, name)
			require.ErrorIs(t, err, audit.ErrExport, name)
		}
		lines := strings.SplitAfter(whole, "\n")
		require.Len(t, lines, 8)
		for name, bad := range map[string]string{
			"empty":           "",
			"a gap":           first + strings.Replace(rest, `"seq":2`, `"seq":3`, 1),
			"parts turned":    rest + first,
			"no end":          strings.Join(lines[:6], ""),
			"no beginning":    strings.Join(lines[1:], ""),
			"an event less":   strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), ""),
			"two swapped":     lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], ""),
			"text changed":    strings.Replace(whole, "usr_1", "usr_2", 1),
			"spaces added":    strings.Replace(whole, `"event":{"at"`, `"event":{ "at"`, 1),
			"end elsewhere":   strings.Join(append(append([]string{}, lines[:5]...), lines[6]), ""),
			"no JSON":         lines[0] + "{\n" + strings.Join(lines[1:], ""),
			"unknown member":  strings.Replace(whole, `"kind":"event"`, `"more":1,"kind":"event"`, 1),
			"more on a line":  strings.Replace(whole, "\n", " {}\n", 1),
			"wrong beginning": strings.Replace(whole, lines[0][20:40], strings.Repeat("A", 20), 1),
		} {
			_, err := verify(bad)
			require.Error(t, err, name)
		}
		begins := strings.Index(rest, `"hash":"`) + len(`"hash":"`)
		for name, one := range map[string]struct{ text, says string }{
			"an event less":       {strings.Join(append(append([]string{}, lines[:3]...), lines[4:]...), ""), "line 4: event 3 is missing"},
			"the last event less": {strings.Join(append(append([]string{}, lines[:5]...), lines[6]), ""), "line 6: event 5 is missing"},
			"before what is kept": {strings.Replace(whole, "usr_1", "usr_2", 1), "one of the events 1 to 4 was changed: a known checkpoint"},
			"after what is kept":  {strings.Join(lines[:5], "") + strings.Replace(lines[5], "third", "other", 1) + lines[6], "line 7: event 5 was changed: the checkpoint at the end"},
			"no JSON":             {lines[0] + lines[1] + "{\n" + strings.Join(lines[2:], ""), "line 3: it is not a line of an export, after event 1"},
			"wrong beginning":     {rest[:begins] + "AAAA" + rest[begins+4:], "one of the events 3 to 4 was changed, or the hash of event 2, where it begins: a known checkpoint"},
		} {
			_, err := verify(one.text)
			require.ErrorIs(t, err, audit.ErrExport, name)
			require.ErrorContains(t, err, one.says, name)
		}
		_, other, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		_, err = audit.VerifyExport(strings.NewReader(whole), audittest.Service, other.Public().(ed25519.PublicKey))
		require.ErrorIs(t, err, audit.ErrSignature)
		_, err = audit.VerifyExport(strings.NewReader(whole), "other", kept.PublicKey)
		require.ErrorIs(t, err, audit.ErrSignature)

		exec(t, db, "UPDATE audit_events SET actor = 'usr_2' WHERE seq = 3")
		cut, err := export(t, chain, 0, 100)
		require.ErrorIs(t, err, audit.ErrTampered)
		_, err = verify(cut)
		require.ErrorIs(t, err, audit.ErrExport)
	})
}

// Events from before the first key have no HMAC. They are signed only if they lead to the hash to which the first key is bound.
func TestExport_signsNoRewrittenEventFromBeforeTheKey(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		for range 4 {
			unkeyed(t, db, event("old"))
		}
		chain := audittest.Open(t, db)
		kept, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		for limit := int64(1); limit < 6; limit++ {
			text, err := export(t, chain, 0, limit)
			require.NoError(t, err)
			report, err := audit.VerifyExport(strings.NewReader(text), audittest.Service, kept.PublicKey)
			require.NoError(t, err)
			require.EqualValues(t, limit, report.Checked)
		}
		forged := read(t, db)
		head := forged.Head
		forged.rewrite(1)
		forged.recompute()
		forged.Head = head
		require.NoError(t, db.Write(t.Context(), forged.write))
		for after := range int64(5) {
			for limit := int64(1); limit < 5; limit++ {
				text, err := export(t, chain, after, limit)
				require.ErrorIs(t, err, audit.ErrTampered, "%d after %d", limit, after)
				require.NotContains(t, text, `"kind":"checkpoint"`)
			}
		}
	})
}

// A chain whose keys were deleted would look like one from before the first key.
func TestExport_signsNothingWithoutTheKeysRow(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		chain := audittest.Open(t, db)
		appendEvents(t, db, event("a"), event("b"), event("c"), event("d"))
		whole := read(t, db)
		bare := whole.clone()
		for i := range bare.Events {
			bare.rewrite(i)
			bare.Events[i].MAC = nil
		}
		bare.recompute()
		bare.Keys = nil
		for name, head := range map[string]storedHead{
			"no key": {Seq: bare.Head.Seq, Hash: bare.Head.Hash}, "the key's number": {Seq: bare.Head.Seq, Hash: bare.Head.Hash, KeyID: 1, MAC: whole.Head.MAC},
			"the head of before": whole.Head,
		} {
			bare.Head = head
			require.NoError(t, db.Write(t.Context(), bare.write))
			for _, limit := range []int64{2, 100} {
				text, err := export(t, chain, 0, limit)
				require.ErrorIs(t, err, audit.ErrTampered, name)
				require.Empty(t, text, name)
			}
		}
		noKeys, otherHead := whole.clone(), whole.clone()
		noKeys.Keys = nil
		otherHead.Head.Hash = whole.Events[1].Hash
		for _, changed := range []stored{noKeys, otherHead} {
			require.NoError(t, db.Write(t.Context(), changed.write))
			_, err := export(t, chain, 0, 2)
			require.ErrorIs(t, err, audit.ErrTampered)
		}

		restarted := func() stored { // each start continues under a new key
			require.NoError(t, db.Write(t.Context(), otherHead.write))
			chain = audittest.Open(t, db)
			return read(t, db)
		}
		other := restarted()
		mixed := restarted()
		_, err := export(t, chain, 0, 2)
		require.NoError(t, err)
		mixed.Keys = other.Keys
		require.NoError(t, db.Write(t.Context(), mixed.write))
		_, err = export(t, chain, 0, 2)
		require.ErrorIs(t, err, audit.ErrTampered, "the key with this number is another")

		require.NoError(t, db.Write(t.Context(), whole.write))
		chain = audittest.Open(t, db)
		_, err = export(t, chain, 0, 2)
		require.NoError(t, err)
	})
}

func TestList_looksAtABoundedNumberOfEvents(t *testing.T) {
	db := sqlite(t)
	audittest.Open(t, db)
	events := make([]audit.Event, 20_050)
	for i := range events {
		events[i] = event("other")
	}
	events[0] = event("sought")
	appendEvents(t, db, events...)
	records, next, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Action: "sought"})
	require.NoError(t, err)
	require.Empty(t, records)
	require.EqualValues(t, 51, next)
	records, next, err = audit.List(t.Context(), db.Read(t.Context()), audit.Query{Action: "sought", Before: next})
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Zero(t, next)
}

func FuzzVerifyExport(f *testing.F) {
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(f, err)
	f.Add([]byte(`{"kind":"begin","seq":0,"hash":"AAAA"}` + "\n"))
	f.Add([]byte(`{"kind":"event","seq":1,"event":{"at":"2026-01-01T00:00:00.000000Z","action":"a"}}` + "\n" + `{"kind":"checkpoint","seq":1,"checkpoint":{}}`))
	genesis, err := json.Marshal(audit.Line{Kind: audit.LineBegin, Hash: audit.Genesis})
	require.NoError(f, err)
	f.Add(append(genesis, '\n'))
	f.Add(append(append(genesis, '\n'), []byte(`{"kind":"event","seq":1,"event":{"at":"2026-01-01T00:00:00.000000Z","action":"a","actor":"","actorKind":"user","target":"","outcome":"ok","requestId":""}}`)...))
	f.Fuzz(func(t *testing.T, text []byte) {
		// Nothing was signed, so no text is valid.
		report, err := audit.VerifyExport(bytes.NewReader(text), "kms", key.Public().(ed25519.PublicKey))
		require.Error(t, err)
		require.LessOrEqual(t, report.Checked, int64(len(text)))
	})
}

// A restore and a move leave their events for the next start, when the chain has its key. Other events that were inserted into the database without
// the key are not accepted.
func TestOpen_tellsCommandsAndNothingElseThatWaits(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		appendEvents(t, db, event("a"))
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			forged := event("createUser")
			if err := audit.AppendLater(ctx, tx, forged); err != nil {
				return err
			}
			e := event(audit.RestoreBackup)
			e.Actor, e.ActorKind = "usr_somebody", audit.User
			if err := audit.AppendLater(ctx, tx, e); err != nil {
				return err
			}
			return audit.AppendLater(ctx, tx, event(audit.MoveStore))
		}))
		at, _, err := audit.Restored(t.Context(), db.Read(t.Context()))
		require.NoError(t, err)
		require.False(t, at.IsZero(), "before the start too, and behind a move")
		for range 2 { // the second start appends nothing again
			chain := audittest.Open(t, db)
			report, err := chain.Verify(t.Context(), audit.Verification{})
			require.NoError(t, err)
			require.True(t, report.Intact())
			require.EqualValues(t, 3, report.Checked)
		}
		var told []string
		require.NoError(t, db.Read(t.Context()).Select(t.Context(), &told, "SELECT action || ' ' || actor FROM audit_events ORDER BY seq"))
		require.Equal(t, []string{"restoreBackup ", "moveStore "}, told[1:], "nobody is named who was not there")
	})
}
