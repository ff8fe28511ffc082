package api

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// snap requests a snapshot in dir.
func snap(e *served, dir, target string) *httptest.ResponseRecorder {
	h := New(e.Engine, Options{Key: func(k string) bool { return k == testKey }, Snapshots: dir})
	r := httptest.NewRequest("POST", target, nil)
	r.Header.Set("X-TYPESENSE-API-KEY", testKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestSnapshot_isADataDirectoryOfWhatWasThere(t *testing.T) {
	e := openStars(t)
	must(t, e, 200, "PUT", "/collections/shop/synonyms/s", `{"root":"lantern","synonyms":["moon"]}`)
	dir := t.TempDir()
	require.Equal(t, 201, snap(e, dir, "/operations/snapshot?snapshot_path=one").Code)
	must(t, e, 200, "DELETE", "/collections/shop/documents/5", "")
	info, err := os.Stat(filepath.Join(dir, "one", "documents.db"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	again := open(t, filepath.Join(dir, "one"), embedded.Limits{})
	defer func() { require.NoError(t, again.Close()) }()
	require.Equal(t, "5", ids(t, again, "q=lantern&query_by=name"), "the document and the synonym")
	require.Equal(t, "", ids(t, e, "q=lantern&query_by=name"))
}

func TestSnapshot_isMadeOfOneMomentWhileWritesGoOn(t *testing.T) {
	e := openStars(t)
	dir := t.TempDir()
	var writers sync.WaitGroup
	stop := make(chan struct{})
	writers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default: // two documents in one commit
				call(e, "POST", "/collections/shop/documents/import", fmt.Sprintf(`{"id":"a%d","name":"pair","kind":"p","year":1,"mass":1}`+"\n"+`{"id":"b%d","name":"pair","kind":"p","year":1,"mass":1}`, n, n))
			}
		}
	})
	for n := range 3 {
		require.Equal(t, 201, snap(e, dir, fmt.Sprintf("/operations/snapshot?snapshot_path=s%d", n)).Code)
	}
	close(stop)
	writers.Wait()
	for n := range 3 {
		again := open(t, filepath.Join(dir, fmt.Sprintf("s%d", n)), embedded.Limits{})
		exported := must(t, again, 200, "GET", "/collections/shop/documents/export?filter_by=kind:=p", "")
		require.Equal(t, strings.Count(exported, `"id":"a`), strings.Count(exported, `"id":"b`), "no half of a commit")
		require.NoError(t, again.Close())
	}
}

func TestSnapshot_goesNowhereElse(t *testing.T) {
	e := openStars(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "snapshots")
	require.Equal(t, 201, snap(e, dir, "/operations/snapshot?snapshot_path="+dir+"/whole").Code, "the whole path of one inside")
	for path, status := range map[string]int{
		"": 400, "..": 400, "../out": 400, parent + "/out": 400, "/tmp/out": 400, "a/b": 400, ".hidden": 400, "a%00b": 400, dir: 400, "whole": 409,
	} {
		require.Equal(t, status, snap(e, dir, "/operations/snapshot?snapshot_path="+path).Code, path)
	}
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	entries, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "what was refused leaves nothing")
	require.Equal(t, 422, snap(e, "", "/operations/snapshot?snapshot_path=x").Code, "without a directory it is refused by name")
	key := must(t, e, 201, "POST", "/keys", `{"description":"d","actions":["documents:*"],"collections":["*"],"value":"only-for-documents"}`)
	require.NotEmpty(t, key)
	require.Equal(t, 401, with(e, "only-for-documents", "POST", "/operations/snapshot?snapshot_path=y", "").Code)
}
