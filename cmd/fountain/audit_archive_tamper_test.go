package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// sealedTrail is a trail that is archived as the command does it.
type sealedTrail struct {
	db    *store.DB
	chain *audit.Chain
	who   []age.Recipient
	after int64 // where the next archive begins
}

func newSealedTrail(t *testing.T, who age.Recipient) *sealedTrail {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: []fs.FS{audit.Migrations}, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	key, err := seal.FromDataKey(seal.NewDataKey())
	require.NoError(t, err)
	chain, err := audit.Open(t.Context(), db, audit.Options{Service: audittest.Service, Sealer: key, Clock: clock.System})
	require.NoError(t, err)
	return &sealedTrail{db: db, chain: chain, who: []age.Recipient{who}}
}

func (s *sealedTrail) tell(t *testing.T, events int) {
	t.Helper()
	require.NoError(t, s.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range events {
			e := audit.Event{Action: fmt.Sprintf("action%d", i), Actor: "usr_1", ActorKind: audit.User, Target: "key_1", Outcome: audit.OK, RequestID: "req_1"}
			if err := audit.Append(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *sealedTrail) end(t *testing.T) audit.Checkpoint {
	t.Helper()
	end, err := s.chain.Checkpoint(t.Context())
	require.NoError(t, err)
	return end
}

// export writes at most so many of the oldest events that are in no archive.
func (s *sealedTrail) export(w io.Writer, events int64) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	return s.chain.Export(context.Background(), s.after, events, func(l audit.Line) error { return lines.Encode(l) })
}

// archive has the command write an archive of so many events, and returns its name, what it holds and its text. With goesOn the next one begins behind it.
func (s *sealedTrail) archive(t *testing.T, events int64, goesOn bool) (name string, sealed []byte, text string) {
	t.Helper()
	a := archiveCall{dir: t.TempDir(), service: audittest.Service}
	var plain strings.Builder
	require.NoError(t, s.export(&plain, events))
	file, l, err := a.write(&trailSource{after: s.after, public: s.end(t).PublicKey, write: func(w io.Writer) error { return s.export(w, events) }}, s.who)
	require.NoError(t, err)
	if goesOn {
		s.after = l.Checkpoint.Seq
	}
	sealed, err = os.ReadFile(file)
	require.NoError(t, err)
	return filepath.Base(file), sealed, plain.String()
}

// sealedFiles is what whoever changes archives has at hand.
type sealedFiles struct {
	names         []string // of the archives, in their order
	files         map[string][]byte
	older, others [][]byte
	texts         []string
	who           []age.Recipient
}

func keptSealed(t *testing.T, who age.Recipient) (sealedFiles, audit.Checkpoint) {
	t.Helper()
	made := sealedFiles{files: map[string][]byte{}, who: []age.Recipient{who}}
	own, other := newSealedTrail(t, who), newSealedTrail(t, who)
	for _, s := range []*sealedTrail{own, other} {
		s.tell(t, 30)
		for _, events := range []int64{9, 8, 10} {
			_, early, _ := s.archive(t, events-3, false)
			name, file, text := s.archive(t, events, true)
			if s == other {
				made.others = append(made.others, file)
				continue
			}
			made.names, made.files[name] = append(made.names, name), file
			made.older, made.texts = append(made.older, early), append(made.texts, text)
		}
	}
	text := made.texts[len(made.texts)-1]
	var last audit.Line
	require.NoError(t, json.Unmarshal([]byte(text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]), &last))
	return made, *last.Checkpoint
}

// tamper changes archives in one of the ways that need no key of the chain. Everybody who knows to whom they are sealed can seal others.
func (k sealedFiles) tamper(r *rand.Rand) (map[string][]byte, string) {
	files := maps.Clone(k.files)
	n, m := r.IntN(len(k.names)), r.IntN(len(k.names))
	name, file := k.names[n], files[k.names[n]]
	at := r.IntN(len(file))
	switch r.IntN(10) {
	case 0, 1:
		changed := bytes.Clone(file)
		changed[at] ^= 1 << r.IntN(8)
		files[name] = changed
		return files, fmt.Sprintf("turn a bit of byte %d of %s", at, name)
	case 2:
		files[name] = file[:at]
		return files, fmt.Sprintf("cut %s at %d", name, at)
	case 3:
		files[name] = append(bytes.Clone(file), file[at:]...)
		return files, fmt.Sprintf("put bytes behind %s", name)
	case 4:
		delete(files, name)
		return files, "remove " + name
	case 5:
		files[name], files[k.names[m]] = files[k.names[m]], files[name]
		return files, fmt.Sprintf("swap %s and %s", name, k.names[m])
	case 6:
		files[fmt.Sprintf("test-%012d-%012d.ndjson.age", r.IntN(40), r.IntN(40))] = file
		return files, "copy " + name
	case 7:
		files[name] = k.older[n]
		return files, "an older archive in the place of " + name
	case 8:
		files[name] = k.others[n]
		return files, "an archive of another chain in the place of " + name
	}
	lines := strings.SplitAfter(k.texts[n], "\n")
	i, j := r.IntN(len(lines)-1), r.IntN(len(lines)-1)
	did := fmt.Sprintf("seal %s anew, with lines %d and %d swapped", name, i, j)
	if lines[i], lines[j] = lines[j], lines[i]; r.IntN(2) == 0 {
		did = fmt.Sprintf("seal %s anew, without line %d", name, i)
		lines = slices.Delete(strings.SplitAfter(k.texts[n], "\n"), i, i+1)
	}
	text := strings.Join(lines, "")
	if text == k.texts[n] {
		return k.files, did
	}
	files[name] = k.seal(text)
	return files, did
}

func (k sealedFiles) seal(text string) []byte {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k.who...)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err != nil || w.Close() != nil {
		panic("a buffer takes everything")
	}
	return out.Bytes()
}

// Whoever can write to the directory of sealed archives, has older ones and those of another chain, and can seal what they like, can change nothing unseen.
func TestAuditArchives_tellEveryGeneratedTampering(t *testing.T) {
	tamperings := 60
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		tamperings = 5000
	}
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	k, newest := keptSealed(t, identity.Recipient())
	dir := t.TempDir()
	check := auditCheck{service: audittest.Service, archives: dir, identity: write(t, identity.String())}
	verify := func(files map[string][]byte) error {
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		for _, path := range left {
			require.NoError(t, os.Remove(path))
		}
		for name, file := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), file, 0o600))
		}
		cmd := &cobra.Command{}
		cmd.SetOut(io.Discard)
		return check.whole(cmd, &operator{output: "table"}, newest.PublicKey, []audit.Checkpoint{newest})
	}
	require.NoError(t, verify(k.files))
	done := 0
	for seed := uint64(0); done < tamperings; seed++ {
		files, did := k.tamper(rand.New(rand.NewPCG(seed, 23)))
		if maps.EqualFunc(files, k.files, bytes.Equal) {
			continue
		}
		done++
		require.Error(t, verify(files), "%d: %s", seed, did)
	}
	t.Logf("%d tamperings found", done)
}
