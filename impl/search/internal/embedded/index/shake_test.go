package index

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func tempDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "index")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// shake makes a change while the background work does what it may do at any time: it merges parts, or flushes everything to files. Or the
// index is closed and opened again, or it is lost with the process, opened as it is on disk, and brought up to date by replay.
func shake(t *rapid.T, x *Segments, change func(), replay func(x *Segments)) *Segments {
	x.Rest()
	what := rapid.IntRange(0, 5).Draw(t, "shake")
	if what >= 2 {
		change()
	}
	x.mu.Lock()
	for x.working { // what the change above has woken
		x.calm.Wait()
	}
	v := x.view.Load()
	done := make(chan struct{})
	x.working = what < 2 // there is one at work at a time
	if what < 2 {
		go func() { // it waits for the lock, which a job lets go
			defer close(done)
			change()
		}()
		defer func() { <-done }()
	}
	switch what {
	case 0:
		var some []part
		for _, p := range v.parts {
			if rapid.Bool().Draw(t, "part") {
				some = append(some, p)
			}
		}
		if len(some) > 0 {
			require.NoError(t, x.do(&job{view: v, parts: some, file: x.config.Dir != ""}))
		}
	case 1:
		if x.config.Dir != "" {
			require.NoError(t, x.do(x.flush(v)))
		}
	case 2:
		if x.config.Dir == "" {
			break
		}
		x.mu.Unlock()
		require.NoError(t, x.Close())
		again, err := Open(x.config)
		if os.IsNotExist(err) {
			require.Zero(t, x.Stats().Documents)
			again, err = New(x.config), nil
		}
		require.NoError(t, err)
		require.Equal(t, x.Stats().Documents, again.Stats().Documents)
		return again
	case 3:
		if x.config.Dir == "" || replay == nil {
			break
		}
		x.mu.Unlock()
		x.Stop() // the dead write nothing
		again, err := Open(x.config)
		if os.IsNotExist(err) {
			again, err = New(x.config), nil
		}
		require.NoError(t, err)
		replay(again)
		require.Equal(t, x.Stats().Documents, again.Stats().Documents)
		return again
	}
	x.working = false
	x.calm.Broadcast()
	x.mu.Unlock()
	return x
}

// drawProse generates a document of similar words, so that typos, prefixes and adjacent words occur.
func drawProse(t *rapid.T, id string) *schema.Typed {
	word := rapid.SampledFrom([]string{"abcd", "abce", "abcdef", "bacd", "xyzw", "xyz", "ab"})
	text := func(name string, most int) string {
		return strings.Join(rapid.SliceOfN(word, 1, most).Draw(t, name), " ")
	}
	d := &schema.Typed{ID: id, Values: map[string]schema.Value{"word": {Strings: []string{text("w", 6)}}}}
	if rapid.Bool().Draw(t, "tags") {
		d.Values["tags"] = schema.Value{Strings: []string{text("t1", 3), text("t2", 3)}}
	}
	d.Values["i"] = schema.Value{Ints: []int64{rapid.Int64Range(0, 3).Draw(t, "i")}}
	return d
}

// TestSearch_segmentsAnswerAsOneWouldAndAFewAsAll changes an index in rounds, with merges, flushes and restarts in between. Its answers are
// those of an index that was built at once. A page of few hits is the start of a page of all: documents that were skipped could not have
// come first.
func TestSearch_segmentsAnswerAsOneWouldAndAFewAsAll(t *testing.T) {
	defer func(size int) { firstBlock = size }(firstBlock)
	firstBlock = 2 // so that searches can end after a few documents
	rapid.Check(t, func(t *rapid.T) {
		s, docs := oracleSchema(t), model{}
		x := New(Config{Dir: tempDir(t)})
		var commits []Batch
		replay := func(x *Segments) {
			lost := model{}
			for _, c := range slices.Concat(commits[min(int(x.Commit()), len(commits)):]...) {
				lost[c.Seq] = nil
			}
			var batch Batch
			for seq := range lost {
				c := Change{Seq: seq, Schema: s, Commit: uint64(len(commits)), New: docs[seq]}
				held, err := x.Holds(seq)
				require.NoError(t, err)
				if held {
					c.Old = &schema.Typed{}
				}
				if c.Old != nil || c.New != nil {
					batch = append(batch, c)
				}
			}
			require.NoError(t, x.Apply(batch))
		}
		for range rapid.IntRange(1, 14).Draw(t, "rounds") {
			var batch Batch
			for range rapid.IntRange(1, 20).Draw(t, "changes") {
				seq := rapid.Uint64Range(0, 50).Draw(t, "seq")
				c := Change{Seq: seq, Schema: s, Old: docs[seq], Commit: uint64(len(commits) + 1)}
				if c.Old == nil || rapid.Bool().Draw(t, "replace") {
					c.New = drawProse(t, fmt.Sprint(seq))
					docs[seq] = c.New
				} else {
					delete(docs, seq)
				}
				batch = append(batch, c)
			}
			commits = append(commits, batch)
			x = shake(t, x, func() { require.NoError(t, x.Apply(batch)) }, replay)
		}
		whole := New(Config{})
		var all Batch
		for seq, d := range docs {
			all = append(all, Change{Seq: seq, Schema: s, New: d})
		}
		require.NoError(t, whole.Apply(all))

		plan := drawTextPlan(t, s)
		plan.Limit = 1000
		want, err := whole.Search(context.Background(), plan)
		require.NoError(t, err)
		got, err := x.Search(context.Background(), plan)
		require.NoError(t, err)
		require.Equal(t, want, got)
		plan.Limit = rapid.IntRange(1, 5).Draw(t, "few")
		plan.Offset = rapid.IntRange(0, 3).Draw(t, "offset")
		few, err := x.Search(context.Background(), plan)
		require.NoError(t, err)
		first := got.Hits[min(plan.Offset, len(got.Hits)):min(plan.Offset+plan.Limit, len(got.Hits))]
		require.Equal(t, fmt.Sprint(seqs(first)), fmt.Sprint(seqs(few.Hits)))
		for i := range first {
			require.Equal(t, *first[i].Match, *few.Hits[i].Match)
		}
		require.Equal(t, got.Found, few.Found)
		require.Equal(t, got.Facets, few.Facets)
	})
}

func drawTextPlan(t *rapid.T, s *schema.Schema) Plan {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"abcd", "abce", "abcx", "bcad", "xyz", "ab", "xyzwq"}), 1, 3).Draw(t, "query")
	p := Plan{
		Schema: s, Query: Query{Words: words}, MinLen1Typo: 3, MinLen2Typo: 5, TypoThreshold: rapid.IntRange(0, 20).Draw(t, "typos"),
		DropThreshold: rapid.IntRange(0, 20).Draw(t, "drop"), MaxCandidates: 4, FilterCandidates: 4,
		NoExactPriority: rapid.Bool().Draw(t, "no exact"), PositionMatters: rapid.Bool().Draw(t, "position"),
		MatchType: MatchType(rapid.IntRange(0, 2).Draw(t, "type")),
	}
	if rapid.IntRange(0, 3).Draw(t, "phrase") == 0 {
		p.Query.Phrases = [][]string{{"abcd", "abce"}}
	}
	if rapid.IntRange(0, 3).Draw(t, "exclude") == 0 {
		p.Query.Excluded = [][]string{{"xyz"}}
	}
	for i, name := range []string{"word", "tags"} {
		f, _ := s.Field(name)
		p.Fields = append(p.Fields, QueryField{Field: f, Weight: 15 - i, NumTypos: 2, Prefix: rapid.Bool().Draw(t, "prefix")})
	}
	if rapid.Bool().Draw(t, "facets") {
		f, _ := s.Field("tags")
		n, _ := s.Field("i")
		p.Facets = []Facet{{Field: f, Max: 100}, {Field: n, Max: 100}}
	}
	return p
}

func TestApply_searchesSeeAllOfABatchOrNothing(t *testing.T) {
	s, x := oracleSchema(t), New(Config{})
	require.NoError(t, x.Apply(Batch{{Seq: 1, Schema: s, New: &schema.Typed{ID: "1"}}}))
	err := x.Apply(Batch{{Seq: 2, Schema: s, New: &schema.Typed{ID: "2"}}, {Seq: 3, Schema: s, Old: &schema.Typed{ID: "3"}}})
	require.Error(t, err)
	require.Equal(t, 1, x.Stats().Documents)
}

// TestOpen_anyHarmIsAnError flips a byte at many places of each file, and truncates each file. The index is not opened, and nothing panics.
func TestOpen_anyHarmIsAnError(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()
	x := New(Config{Dir: dir})
	var batch Batch
	for i := range uint64(300) {
		batch = append(batch, Change{Seq: i, Schema: s, New: &schema.Typed{ID: fmt.Sprint(i), Values: map[string]schema.Value{
			"word": {Strings: []string{fmt.Sprint("word", i, " and more")}}, "i": {Ints: []int64{int64(i)}}}}})
	}
	require.NoError(t, x.Apply(batch))
	require.NoError(t, x.Apply(Batch{{Seq: 7, Schema: s, Old: batch[7].New}}))
	require.NoError(t, x.Close())
	again, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, 299, again.Stats().Documents)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for _, e := range entries {
		path := dir + "/" + e.Name()
		good, err := os.ReadFile(path)
		require.NoError(t, err)
		for k := range 200 {
			bad := slices.Clone(good)
			at := k * len(bad) / 200
			bad[at] ^= 0x10
			require.NoError(t, os.WriteFile(path, bad, 0o600))
			_, err := Open(Config{Dir: dir})
			require.ErrorIs(t, err, ErrDamaged, "byte %d of %s", at, e.Name())
			require.NoError(t, os.WriteFile(path, good[:at], 0o600))
			_, err = Open(Config{Dir: dir})
			require.ErrorIs(t, err, ErrDamaged, "%s cut at %d", e.Name(), at)
		}
		require.NoError(t, os.WriteFile(path, good, 0o600))
	}
	require.NoError(t, os.Remove(dir+"/"+entries[0].Name()))
	_, err = Open(Config{Dir: dir})
	require.ErrorIs(t, err, ErrDamaged, "a missing segment")
}

// TestSearch_aFileCutOffUnderItIsAnError: mapped pages may vanish at any time.
func TestSearch_aFileCutOffUnderItIsAnError(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()
	x := New(Config{Dir: dir})
	var batch Batch
	for i := range uint64(3000) {
		batch = append(batch, Change{Seq: i, Schema: s, New: &schema.Typed{ID: fmt.Sprint(i), Values: map[string]schema.Value{"word": {Strings: []string{fmt.Sprint("word", i)}}}}})
	}
	require.NoError(t, x.Apply(batch))
	require.NoError(t, x.Close())
	x, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, os.Truncate(dir+"/00000001"+segmentSuffix, 0))
	_, err = x.Search(context.Background(), Plan{Schema: s, Query: Query{All: true}, Limit: 10})
	require.ErrorIs(t, err, ErrDamaged)
	_, err = x.Holds(1)
	require.ErrorIs(t, err, ErrDamaged)
}

// TestSegments_goOnWhenNoFileCanBeWritten removes the directory, which acts like a full disk. Changes and searches continue in memory, and
// what could not be written is written later.
func TestSegments_goOnWhenNoFileCanBeWritten(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()+"/index"
	require.NoError(t, Clear(dir))
	x := New(Config{Dir: dir, FlushChanges: 20})
	require.NoError(t, os.RemoveAll(dir))
	put := func(from, to uint64) {
		for i := from; i < to; i++ {
			require.NoError(t, x.Apply(Batch{{Seq: i, Commit: i + 1, Schema: s, New: &schema.Typed{ID: fmt.Sprint(i)}}}))
		}
		x.Rest()
	}
	put(0, 70)
	res, err := x.Search(context.Background(), Plan{Schema: s, Query: Query{All: true}, Limit: 100})
	require.NoError(t, err)
	require.Len(t, res.Hits, 70)
	require.NoError(t, Clear(dir))
	put(70, 100)
	again, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	require.Greater(t, again.Stats().Documents, 80, "the last job began when fewer than FlushChanges were left")
	require.EqualValues(t, again.Stats().Documents, again.Commit(), "what is said to be in the files is there")
}

func TestSegments_tellWhatIsInFiles(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()
	var told []uint64
	x := New(Config{Dir: dir, FlushChanges: 10, Persisted: func(commit uint64) error {
		again, err := Open(Config{Dir: dir})
		require.NoError(t, err)
		require.EqualValues(t, commit, again.Stats().Documents, "told before it was true")
		told = append(told, commit)
		return nil
	}})
	for i := range uint64(100) {
		require.NoError(t, x.Apply(Batch{{Seq: i, Commit: i + 1, Schema: s, New: &schema.Typed{ID: fmt.Sprint(i)}}}))
		x.Rest()
	}
	require.NoError(t, x.Close())
	require.GreaterOrEqual(t, len(told), 10)
	require.IsIncreasing(t, told)
}

func TestRebuild_isNothingUntilItIsComplete(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()
	x, err := Rebuild(Config{Dir: dir, FlushChanges: 10})
	require.NoError(t, err)
	for i := range uint64(50) {
		require.NoError(t, x.Apply(Batch{{Seq: i, Schema: s, New: &schema.Typed{ID: fmt.Sprint(i)}}}))
		x.Rest()
	}
	_, err = Open(Config{Dir: dir})
	require.ErrorIs(t, err, os.ErrNotExist, "half an index must not be taken for a whole one")
	x.Complete(7)
	require.NoError(t, x.Close())
	again, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, 50, again.Stats().Documents)
	require.EqualValues(t, 7, again.Commit())
}

// TestApply_leavesPartsAloneThatGoToAFile: a change merges small parts at once. If it merged parts that a job is writing to a file, their
// documents would be dead in the file and alive in memory only, and would be lost with the process.
func TestApply_leavesPartsAloneThatGoToAFile(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()
	x := New(Config{Dir: dir})
	put := func(i uint64) {
		require.NoError(t, x.Apply(Batch{{Seq: i, Commit: i + 1, Schema: s, New: &schema.Typed{ID: fmt.Sprint(i)}}}))
	}
	for i := range uint64(mergeParts - 1) {
		put(i)
	}
	j := x.flush(x.view.Load())
	x.current, x.working = j, true // there is one at work at a time, which is the test
	m, err := x.result(j)
	require.NoError(t, err)
	put(mergeParts - 1)
	x.mu.Lock()
	x.current = nil
	x.install(j, m)
	require.NoError(t, x.save(j, m))
	v := x.view.Load()
	require.NoError(t, x.do(&job{view: v, parts: v.parts[len(v.parts)-1:], file: true}))
	x.working = false
	x.mu.Unlock()
	require.Equal(t, mergeParts, x.Stats().Documents)
	again, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	require.EqualValues(t, mergeParts-1, again.Commit())
	require.Equal(t, mergeParts-1, again.Stats().Documents, "what was committed up to then")
}

// TestSearch_pagesThatRotUnderItAreAnError writes noise to a mapped file. An answer may be wrong then, but any failure is reported as a
// damaged index.
func TestSearch_pagesThatRotUnderItAreAnError(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()
	x := New(Config{Dir: dir})
	var batch Batch
	for i := range uint64(3000) {
		batch = append(batch, Change{Seq: i, Schema: s, New: &schema.Typed{ID: fmt.Sprint(i), Values: map[string]schema.Value{"word": {Strings: []string{fmt.Sprint("word", i)}}}}})
	}
	require.NoError(t, x.Apply(batch))
	require.NoError(t, x.Close())
	x, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	path := dir + "/00000001" + segmentSuffix
	info, err := os.Stat(path)
	require.NoError(t, err)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(slices.Repeat([]byte{0xf1}, int(info.Size())-8192), 4096)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	word, _ := s.Field("word")
	_, err = x.Search(context.Background(), Plan{Schema: s, Query: Query{Words: []string{"word1"}}, Fields: []QueryField{{Field: word, Prefix: true}}, Limit: 10, DropThreshold: 1, TypoThreshold: 1, MaxCandidates: 4})
	require.ErrorIs(t, err, ErrDamaged)
}

func TestStop_theFilesMayBelongToAnotherIndexThen(t *testing.T) {
	s, dir := oracleSchema(t), t.TempDir()
	x := New(Config{Dir: dir})
	require.NoError(t, x.Apply(Batch{{Seq: 1, Schema: s, New: &schema.Typed{ID: "1"}, Commit: 1}}))
	x.Stop()
	require.NoError(t, x.Close())
	require.NoFileExists(t, filepath.Join(dir, manifestName))
}
