package audit_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
)

// keptTrail has the stored texts of a trail, and what an attacker may have who changes them: earlier texts of the same trail, and texts of another
// chain of a service with the same name.
type keptTrail struct {
	texts, older, others []string
	public               ed25519.PublicKey
	newest               audit.Checkpoint // stored elsewhere
}

// keptTexts archives a trail twice and exports the rest.
func keptTexts(t *testing.T) keptTrail {
	t.Helper()
	made := keptTrail{}
	for _, own := range []bool{false, true} {
		db := sqlite(t)
		unkeyed(t, db, event("old"))
		var sealer audit.Sealer = audittest.Sealer(t)
		if !own {
			other, err := seal.FromDataKey(seal.NewDataKey())
			require.NoError(t, err)
			sealer = other
		}
		chain, err := audit.Open(t.Context(), db, audit.Options{Service: audittest.Service, Sealer: sealer, Clock: clock.System})
		require.NoError(t, err)
		appendEvents(t, db, many(24)...)
		var older, texts []string
		for _, events := range []int64{9, 8} {
			early, err := export(t, chain, 0, events-3)
			require.NoError(t, err)
			text, _ := archive(t, db, chain, events)
			require.NoError(t, chain.RemoveArchived(t.Context()))
			older, texts = append(older, early), append(texts, text)
		}
		early, err := export(t, chain, 0, 1000)
		require.NoError(t, err)
		appendEvents(t, db, event("late"), event("later"))
		live, err := export(t, chain, 0, 1000)
		require.NoError(t, err)
		older, texts = append(older, early), append(texts, live)
		newest, err := chain.Checkpoint(t.Context())
		require.NoError(t, err)
		if own {
			made.texts, made.older, made.public, made.newest = texts, older, newest.PublicKey, newest
		} else {
			made.others = texts
		}
	}
	return made
}

// tamper changes the texts in one of the ways that need no key. It returns the texts and a description of the change.
func (k keptTrail) tamper(r *rand.Rand, texts []string) ([]string, string) {
	texts = slices.Clone(texts)
	n := r.IntN(len(texts))
	lines := strings.SplitAfter(strings.TrimSuffix(texts[n], "\n"), "\n")
	lines[len(lines)-1] += "\n"
	i, j := r.IntN(len(lines)), r.IntN(len(lines))
	did := ""
	switch r.IntN(14) {
	case 0:
		at, bit := r.IntN(len(texts[n])), r.IntN(8)
		changed := []byte(texts[n])
		changed[at] ^= 1 << bit
		texts[n] = string(changed)
		return texts, fmt.Sprintf("turn bit %d of byte %d of text %d", bit, at, n)
	case 1:
		did, lines = fmt.Sprintf("remove line %d", i), slices.Delete(lines, i, i+1)
	case 2:
		did, lines = fmt.Sprintf("copy line %d to %d", i, j), slices.Insert(lines, j, lines[i])
	case 3:
		did = fmt.Sprintf("swap lines %d and %d", i, j)
		lines[i], lines[j] = lines[j], lines[i]
	case 4:
		at := r.IntN(len(texts[n]))
		texts[n] = texts[n][:at]
		return texts, fmt.Sprintf("cut text %d at %d", n, at)
	case 5:
		return slices.Delete(texts, n, n+1), fmt.Sprintf("take text %d away", n)
	case 6:
		to := r.IntN(len(texts))
		texts[n], texts[to] = texts[to], texts[n]
		return texts, fmt.Sprintf("swap texts %d and %d", n, to)
	case 7:
		return slices.Insert(texts, r.IntN(len(texts)), texts[n]), fmt.Sprintf("copy text %d", n)
	case 8:
		texts[n] = k.older[n]
		return texts, fmt.Sprintf("an older text in the place of %d", n)
	case 9:
		texts[n] = k.others[n]
		return texts, fmt.Sprintf("a text of another chain in the place of %d", n)
	case 10:
		from := slices.Concat(k.older, k.others, k.texts)[r.IntN(9)]
		end := strings.LastIndex(strings.TrimSuffix(from, "\n"), "\n") + 1
		did = "another checkpoint at the end"
		lines[len(lines)-1] = from[end:]
	case 11:
		did = fmt.Sprintf("rewrite line %d", i)
		lines[i] = strings.Replace(lines[i], `"target":"key_1"`, `"target":"key_2"`, 1)
	case 12:
		did = fmt.Sprintf("rewrite line %d, and what follows from it", i)
		lines[i] = strings.Replace(lines[i], `"actor":"usr_1"`, `"actor":"usr_2"`, 1)
		texts[n] = strings.Join(lines, "")
		return k.recompute(texts, r.IntN(2) == 0), did
	default:
		from := r.IntN(len(texts))
		did = fmt.Sprintf("line %d of text %d behind line %d of text %d", i, n, j, from)
		texts[from] += lines[i]
	}
	texts[n] = strings.Join(lines, "")
	return texts, fmt.Sprintf("text %d: %s", n, did)
}

// recompute sets the hashes at the beginnings and ends of the texts to those that follow from their events, which needs no key. With signs it also
// signs the ends, with a key that is not the chain's.
func (k keptTrail) recompute(texts []string, signs bool) []string {
	_, foreign, _ := ed25519.GenerateKey(nil) // never fails
	hash := audit.Genesis
	out := make([]string, len(texts))
	for n, text := range texts {
		for line := range strings.Lines(text) {
			var l audit.Line
			if json.Unmarshal([]byte(line), &l) != nil {
				return texts
			}
			switch l.Kind {
			case audit.LineBegin:
				l.Hash = hash
			case audit.LineEvent:
				hash = audit.Link(hash, l.Seq, l.Event)
			default:
				l.Checkpoint.Hash = hash
				if signs {
					l.Checkpoint.PublicKey = foreign.Public().(ed25519.PublicKey)
					l.Checkpoint.KeyID = audit.KeyName(l.Checkpoint.PublicKey)
					l.Checkpoint.Sign(foreign)
				}
			}
			var again strings.Builder
			lines := json.NewEncoder(&again)
			lines.SetEscapeHTML(false)
			if lines.Encode(l) != nil {
				return texts
			}
			out[n] += again.String()
		}
	}
	return out
}

// meaning normalizes texts: the members of a JSON object, and base64, can be written differently with the same meaning.
func meaning(texts []string) string {
	var said strings.Builder
	for _, text := range texts {
		fmt.Fprintln(&said, "text")
		for line := range strings.Lines(text) {
			var l audit.Line
			if json.Unmarshal([]byte(line), &l) != nil {
				return "no export"
			}
			fmt.Fprintf(&said, "%s %d %x %s", l.Kind, l.Seq, l.Hash, l.Event)
			if c := l.Checkpoint; c != nil {
				fmt.Fprintf(&said, " %s %d %x %s %s %s %x", c.Service, c.Seq, c.Hash, c.At, c.KeyID, base64.StdEncoding.EncodeToString(c.PublicKey), c.Signature)
			}
			fmt.Fprintln(&said)
		}
	}
	return said.String()
}

// An attacker who can write to the archives of a trail, and has earlier texts of it and texts of another chain, can't change their meaning without
// being detected. The public key and one checkpoint, stored elsewhere, are enough to detect it.
func TestVerifyArchives_findsEveryGeneratedTampering(t *testing.T) {
	k := keptTexts(t)
	verify := func(texts []string) error {
		var all []audit.Text
		for i, text := range texts {
			all = append(all, audit.Text{Name: fmt.Sprintf("text %d", i), Read: strings.NewReader(text)})
		}
		_, err := audit.VerifyArchives(all, audittest.Service, k.public, k.newest)
		return err
	}
	require.NoError(t, verify(k.texts))
	k.findAll(t, k.texts, 21, verify)
}

// The same holds for an export of one text.
func TestVerifyExport_findsEveryGeneratedTampering(t *testing.T) {
	k := keptTexts(t)
	whole := []string{strings.Join(k.texts, "")}
	k.older, k.others = []string{strings.Join(k.older, "")}, []string{strings.Join(k.others, "")}
	k.older, k.others = append(k.older, k.texts[:2]...), append(k.others, k.texts[0]+k.texts[1], k.texts[2])
	verify := func(texts []string) error {
		_, err := audit.VerifyExport(strings.NewReader(strings.Join(texts, "")), audittest.Service, k.public, k.newest)
		return err
	}
	require.NoError(t, verify(whole))
	k.findAll(t, whole, 22, verify)
}

// A checkpoint of another chain is refused as a known checkpoint.
func TestVerifyExport_refusesACheckpointOfAnotherChain(t *testing.T) {
	k := keptTexts(t)
	other, err := audit.VerifyPart(strings.NewReader(k.others[0]), audittest.Service, k.public)
	require.ErrorIs(t, err, audit.ErrExport)
	require.Zero(t, other.End)
	foreign := k.newest
	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	foreign.Sign(private)
	_, err = audit.VerifyExport(strings.NewReader(strings.Join(k.texts, "")), audittest.Service, k.public, foreign)
	require.ErrorIs(t, err, audit.ErrSignature)
}

// findAll tampers with the texts many times and requires that verify detects each change.
func (k keptTrail) findAll(t *testing.T, texts []string, seed uint64, verify func(texts []string) error) {
	t.Helper()
	original, done := meaning(texts), 0
	for n := uint64(0); done < tamperings(); n++ {
		r := rand.New(rand.NewPCG(n, seed))
		changed, did := k.tamper(r, texts)
		if meaning(changed) == original {
			continue
		}
		done++
		require.Error(t, verify(changed), "%d: %s", n, did)
	}
	t.Logf("%d tamperings found", done)
}
