package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// signer signs checkpoints of a trail, as a service does whose database was put back to an older state in between.
type signer struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

func newSigner(t *testing.T) signer {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return signer{private, public}
}

func (s signer) checkpoint(source string, seq int64, hash []byte, at time.Time) audit.Checkpoint {
	c := audit.Checkpoint{Service: audittest.Service, Seq: seq, Hash: hash, At: at, KeyID: audit.KeyName(s.public), PublicKey: s.public, Source: source}
	c.Sign(s.private)
	return c
}

// resigned returns a text with ends that the signer has signed, and the number and hash of its last event.
func (s signer) resigned(t *testing.T, text string, at time.Time) (signed string, seq int64, hash []byte) {
	hash = audit.Genesis
	for line := range strings.Lines(text) {
		var l audit.Line
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		switch l.Kind {
		case audit.LineEvent:
			seq, hash = l.Seq, audit.Link(hash, l.Seq, l.Event)
		case audit.LineCheckpoint:
			end := s.checkpoint("", seq, hash, at)
			l.Checkpoint = &end
		}
		var out strings.Builder
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		require.NoError(t, encoder.Encode(l))
		signed += out.String()
	}
	return signed, seq, hash
}

// Two checkpoints that the same key has signed for one event with different hashes are named, whatever the trail holds: the error says which two, and
// what must have happened.
func TestVerify_namesTwoCheckpointsThatContradictEachOther(t *testing.T) {
	s := newSigner(t)
	monday := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	one := s.checkpoint("begin.json", 7, bytes.Repeat([]byte{1}, 32), monday)
	other := s.checkpoint("later.json", 7, bytes.Repeat([]byte{2}, 32), monday.Add(time.Hour))
	says := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, audit.ErrContradiction)
		require.ErrorContains(t, err, "begin.json (signed 2026-11-30 09:00:00Z) and later.json (signed 2026-11-30 10:00:00Z) have different hashes of event 7 of test")
		require.ErrorContains(t, err, "no trail contains both: in between the database was rewritten, an older state of it was put back, or a copy of the service recorded events of its own")
	}
	for _, known := range [][]audit.Checkpoint{{one, other}, {other, one}} {
		_, err := audit.VerifyExport(strings.NewReader(""), audittest.Service, s.public, known...)
		says(err)
		_, err = audit.VerifyArchives([]audit.Text{{Name: "archive", Read: strings.NewReader("")}}, audittest.Service, s.public, known...)
		says(err)
	}
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		audittest.Open(t, db)
		_, err := audit.VerifyStored(t.Context(), db.Read(t.Context()), audittest.Service, s.public, one, other)
		says(err)
	})
}

// A checkpoint that contradicts the signed end of an export is told as that, and not as a change of an event or of the place where the export begins.
func TestVerifyExport_namesACheckpointThatContradictsItsEnd(t *testing.T) {
	s := newSigner(t)
	monday := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	text, seq, hash := s.resigned(t, keptTexts(t).texts[0], monday)
	same := s.checkpoint("same.json", seq, hash, monday.Add(time.Hour))
	_, err := audit.VerifyExport(strings.NewReader(text), audittest.Service, s.public, same, s.checkpoint("again.json", seq, hash, monday))
	require.NoError(t, err, "two that agree")

	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	forked := s.checkpoint("", seq, bytes.Repeat([]byte{3}, 32), monday)
	end, err := json.Marshal(audit.Line{Kind: audit.LineCheckpoint, Seq: seq, Checkpoint: &forked})
	require.NoError(t, err)
	_, err = audit.VerifyExport(strings.NewReader(strings.Join(lines[:len(lines)-1], "")+string(end)+"\n"), audittest.Service, s.public, same)
	require.ErrorIs(t, err, audit.ErrContradiction)
	require.ErrorIs(t, err, audit.ErrExport)
	require.ErrorContains(t, err, "the checkpoint at the end (signed 2026-11-30 09:00:00Z) and same.json (signed 2026-11-30 10:00:00Z) have different hashes of event")
	require.NotContains(t, err.Error(), "was changed")
}
