package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// opened returns an engine with the collection a, which has the field s.
func opened(t *testing.T) (*Engine, *Collection) {
	e, err := Open(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	require.NoError(t, e.WaitReady(context.Background()))
	s, err := schema.Parse([]byte(`{"name":"a","fields":[{"name":"s","type":"string"}]}`), 10)
	require.NoError(t, err)
	c, err := e.Create(s)
	require.NoError(t, err)
	return e, c
}

func TestCollection_theDeadLeaveTheIndex(t *testing.T) {
	e, c := opened(t)
	put := func(from, to int) {
		var writes []Write
		for i := from; i < to; i++ {
			writes = append(writes, Write{Line: fmt.Appendf(nil, `{"id":"%d","s":"w%d"}`, i, i)})
		}
		_, err := c.Apply(writes)
		require.NoError(t, err)
	}
	const many = 10_000
	put(0, many)
	_, err := e.OverFilter(context.Background(), c, "", func(id string) Write { return Write{Remove: true, ID: id} })
	require.NoError(t, err)
	put(many, many+10)
	c.idx().Rest()
	require.Less(t, c.idx().Stats().Dead, 1000)
	require.Equal(t, 10, c.idx().Stats().Documents)
	found, err := e.Search(context.Background(), "a", map[string]string{"q": fmt.Sprintf("w%d", many+5), "query_by": "s"})
	require.NoError(t, err)
	require.Equal(t, 1, found.Found)
	require.EqualValues(t, 10, found.OutOf.n)
}

func TestCollection_deletionsOfOneRequestAreOneCommit(t *testing.T) {
	e, c := opened(t)
	ids := []string{"1", "a,b", "x y", "[z]", "p&&q", "ü", "(o)", "id:=1", "!n", "*"}
	var writes []Write
	for _, id := range append(ids, "stays") {
		writes = append(writes, Write{Line: fmt.Appendf(nil, `{"id":%q,"s":"x"}`, id)})
	}
	_, err := c.Apply(writes)
	require.NoError(t, err)
	before := c.idx().Commit()
	_, err = e.OverFilter(context.Background(), c, "id:=[`"+strings.Join(append(ids, "not there"), "`,`")+"`]", func(id string) Write { return Write{Remove: true, ID: id} })
	require.NoError(t, err)
	require.Equal(t, 1, e.Stats().Documents)
	require.Equal(t, before+1, c.idx().Commit())
}

// unsound makes the next write to the index fail. The index can't be rebuilt until the returned function is called.
func unsound(t *testing.T, c *Collection) (mend func()) {
	t.Helper()
	typed, err := c.typed([]byte(`{"id":"alien","s":"alien"}`))
	require.NoError(t, err)
	require.NoError(t, c.idx().Apply(index.Batch{{Seq: 0, Schema: c.schema.Load(), New: typed}}))
	dir := filepath.Join(c.dir, indexDir)
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	return func() { require.NoError(t, os.Remove(dir)) }
}

func TestCommit_whatIsStoredIsNotStoredAgainWhenTheIndexFails(t *testing.T) {
	e, c := opened(t)
	mend := unsound(t, c)
	list := []*ticket{{writes: []Write{{Line: []byte(`{"s":"x"}`)}}}, {writes: []Write{{Line: []byte(`{"s":"x"}`)}}}}
	c.writing.Lock()
	c.commit(list)
	c.writing.Unlock()
	for _, n := range list {
		require.NoError(t, n.err)
		require.NoError(t, n.results[0].Err)
	}
	require.Equal(t, 2, e.Stats().Documents)
	query := map[string]string{"q": "*"}
	_, err := e.Search(context.Background(), "a", query)
	require.Error(t, err, "the index lacks what is stored")
	_, err = c.Apply([]Write{{Line: []byte(`{"s":"x"}`)}})
	require.Error(t, err)
	mend()
	found, err := e.Search(context.Background(), "a", query)
	require.NoError(t, err)
	require.Equal(t, 2, found.Found)
}

func TestCommit_aPanicEndsTheWritesOfAll(t *testing.T) {
	_, c := opened(t)
	list := []*ticket{{writes: []Write{{Line: []byte(`{"s":"x"}`)}}}, {writes: []Write{{Line: []byte(`{"s":"x"}`)}}}}
	total := c.total
	c.total = nil
	c.writing.Lock()
	require.Panics(t, func() { c.commit(list) })
	c.writing.Unlock()
	c.total = total
	for _, n := range list {
		require.True(t, n.done)
		require.ErrorIs(t, n.err, errBrokenOff)
	}
	_, err := c.Apply([]Write{{Line: []byte(`{"s":"x"}`)}})
	require.NoError(t, err)
	require.Equal(t, 1, c.idx().Stats().Documents)
}

func TestCreate_beginsWithoutTheRulesOfAnEarlierCollection(t *testing.T) {
	e, _ := opened(t)
	kinds := []string{settings.Kind(rules.KindSynonyms, "b"), settings.Kind(rules.KindOverrides, "b")}
	require.NoError(t, e.settings.Update(func(change *settings.Change) error { // as a drop leaves them when it is cut off
		for _, kind := range kinds {
			change.Put(kind, "old", json.RawMessage(`{}`))
		}
		return nil
	}))
	s, err := schema.Parse([]byte(`{"name":"b","fields":[{"name":"s","type":"string"}]}`), 10)
	require.NoError(t, err)
	_, err = e.Create(s)
	require.NoError(t, err)
	for _, kind := range kinds {
		require.Empty(t, e.settings.List(kind))
	}
}

func TestCreate_searchesDoNotWaitForTheDisk(t *testing.T) {
	e, c := opened(t)
	s, err := schema.Parse([]byte(`{"name":"b","fields":[{"name":"s","type":"string"}]}`), 10)
	require.NoError(t, err)
	created := make(chan error, 1)
	require.NoError(t, e.store.Write(c.key, func(*docstore.Tx) error { // the one writer of the store
		go func() {
			_, err := e.Create(s)
			created <- err
		}()
		for e.creating.TryLock() { // until the creation is under way
			e.creating.Unlock()
			runtime.Gosched()
		}
		for range 100 {
			_, err := e.Search(context.Background(), "a", map[string]string{"q": "*"})
			require.NoError(t, err)
		}
		return nil
	}))
	require.NoError(t, <-created)
}

func TestRebuild_oneThatFailsLeavesNoIndexBehind(t *testing.T) {
	_, c := opened(t)
	c.flush = 1
	var writes []Write
	for i := range ChunkDocs {
		writes = append(writes, Write{Line: fmt.Appendf(nil, `{"id":"%d","s":"x"}`, i)})
	}
	_, err := c.Apply(writes)
	require.NoError(t, err)
	require.NoError(t, c.store.Write(c.key, func(tx *docstore.Tx) error {
		n, err := tx.Next()
		require.NoError(t, err)
		return tx.Put(n, "bad", []byte("no document"))
	}))
	old := c.idx()
	require.Error(t, c.rebuild())
	require.True(t, c.stale.Load())
	require.NoError(t, old.Close())
	_, err = index.Open(c.indexConfig())
	require.ErrorIs(t, err, fs.ErrNotExist, "what is there is not whole")
}

// An empty documents file that was truncated, or is still being copied, is not taken for a new one.
func TestOpen_refusesAnEmptyFileBesideIndexes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, docstore.FileName)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	e, err := Open(Config{Dir: dir})
	require.NoError(t, err, "the first start may have been killed")
	require.NoError(t, e.WaitReady(context.Background()))
	s, err := schema.Parse([]byte(`{"name":"a","fields":[{"name":"s","type":"string"}]}`), 10)
	require.NoError(t, err)
	_, err = e.Create(s)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, 0))
	_, err = Open(Config{Dir: dir})
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, os.WriteFile(path, good, 0o600))
	e, err = Open(Config{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, e.WaitReady(context.Background()))
	_, err = e.Collection("a")
	require.NoError(t, err)
	require.NoError(t, e.Close())
}

// Concurrent increments of a document add up, also during other writes.
func TestAddToField_nothingIsLostBesideOthers(t *testing.T) {
	e, _ := opened(t)
	s, err := schema.Parse([]byte(`{"name":"songs","fields":[{"name":"n","type":"int64","optional":true},{"name":"s","type":"string","optional":true}]}`), 10)
	require.NoError(t, err)
	c, err := e.Create(s)
	require.NoError(t, err)
	_, err = c.Apply([]Write{{Line: []byte(`{"id":"1","n":9223372036854770000}`)}, {Line: []byte(`{"id":"2","s":"x"}`)}})
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				assert.NoError(t, e.AddToField("songs", "n", map[string]int64{"1": 100, "2": 3, "gone": 1}))
				_, err := c.Apply([]Write{{Action: Update, Line: []byte(`{"id":"2","s":"y"}`)}})
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	doc, err := c.Get("2")
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"2","n":480,"s":"y"}`, string(doc))
	doc, err = c.Get("1")
	require.NoError(t, err)
	require.Equal(t, `{"id":"1","n":9223372036854775807}`, string(doc), "it stays at the greatest number")
	require.ErrorIs(t, e.AddToField("nothing", "n", map[string]int64{"1": 1}), ErrCollection)
}
