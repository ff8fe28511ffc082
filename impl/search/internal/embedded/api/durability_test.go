package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// TestMain runs this binary as the writer that is killed, when it is told to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDDED_TEST_WRITER"); dir != "" {
		writeForever(dir)
		return
	}
	os.Exit(m.Run())
}

// writeForever imports chunk after chunk and says the number of each chunk after its acknowledgement.
func writeForever(dir string) {
	engine, err := embedded.Open(embedded.Config{Dir: dir, FlushChanges: 100}) // files and merges all the time
	if err != nil {
		panic(err)
	}
	if err := engine.WaitReady(context.Background()); err != nil {
		panic(err)
	}
	e := serve(engine)
	call(e, "POST", "/collections", `{"name":"k","fields":[{"name":"s","type":"string"},{"name":"chunk","type":"int32"},{"name":"attr_.*","type":"string","facet":true,"optional":true}]}`)
	first, _ := strconv.Atoi(os.Getenv("EMBEDDED_TEST_CHUNK"))
	for chunk := first; ; chunk++ {
		var b strings.Builder
		for i := range 50 {
			fmt.Fprintf(&b, `{"id":"%d-%d","s":"word%d","chunk":%d,"attr_c%d":"v"}`+"\n", chunk, i, i, chunk, chunk)
		}
		w := call(e, "POST", "/collections/k/documents/import?action=upsert", b.String())
		d := call(e, "DELETE", fmt.Sprintf("/collections/k/documents/%d-0", chunk), "")
		if w.Code == 200 && d.Code == 200 && !strings.Contains(w.Body.String(), "false") {
			fmt.Println(chunk)
		}
	}
}

func TestEngine_acknowledgedWritesSurviveKillNine(t *testing.T) {
	dir, next := t.TempDir(), 0
	for range 3 {
		acknowledged := killedWriter(t, dir, next, 8)
		e := open(t, dir, embedded.Limits{})
		for chunk := 0; chunk <= acknowledged; chunk++ {
			require.Equal(t, 404, call(e, "GET", fmt.Sprintf("/collections/k/documents/%d-0", chunk), "").Code, "an acknowledged deletion came back")
			var r struct{ Found int }
			body := must(t, e, 200, "GET", fmt.Sprintf("/collections/k/documents/search?q=*&per_page=0&filter_by=chunk:%d%%20%%26%%26%%20attr_c%d:v", chunk, chunk), "")
			require.NoError(t, json.Unmarshal([]byte(body), &r))
			require.Equal(t, 49, r.Found, "chunk %d was acknowledged and is not whole", chunk)
		}
		// What was not acknowledged is there as a whole or not at all.
		var r struct{ Found int }
		require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "GET", fmt.Sprintf("/collections/k/documents/search?q=*&per_page=0&filter_by=chunk:>%d", acknowledged), "")), &r))
		require.Contains(t, []int{0, 49, 50}, r.Found)
		require.NoError(t, e.Close())
		next = acknowledged + 1
	}
}

// TestEngine_theIndexEqualsTheStoreAfterKillNine kills a writer whose index is flushed and merged all the time. What the index that was found
// answers is what an index answers that is made of the documents.
func TestEngine_theIndexEqualsTheStoreAfterKillNine(t *testing.T) {
	dir, next := t.TempDir(), 0
	for round := range 5 {
		next = killedWriter(t, dir, next, 6+3*round) + 1
		require.NotEmpty(t, segmentFiles(t, dir), "no index was on disk")
		e := open(t, dir, embedded.Limits{})
		found := answers(t, e, next)
		require.NoError(t, e.Close())
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "index")))
		e = open(t, dir, embedded.Limits{})
		require.Equal(t, answers(t, e, next), found)
		require.NoError(t, e.Close())
	}
}

// answers are those of a few searches that see every document.
func answers(t *testing.T, e *served, chunks int) (all []string) {
	t.Helper()
	targets := []string{"q=*&per_page=250&facet_by=attr_.*", "q=word1&query_by=s&per_page=250", "q=wrod7&query_by=s&per_page=250&sort_by=chunk:asc", "q=word&query_by=s&per_page=250&page=2"}
	for chunk := range chunks {
		targets = append(targets, fmt.Sprintf("q=*&per_page=60&filter_by=chunk:%d", chunk))
	}
	for _, target := range targets {
		body := must(t, e, 200, "GET", "/collections/k/documents/search?"+target, "")
		all = append(all, only(t, body, "found", "out_of", "hits", "facet_counts"))
	}
	return all
}

func TestEngine_aRestartIndexesNothingAgain(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, embedded.Limits{})
	must(t, e, 201, "POST", "/collections", `{"name":"k","fields":[{"name":"s","type":"string"}]}`)
	must(t, e, 201, "POST", "/collections/k/documents", `{"id":"1","s":"one"}`)
	must(t, e, 201, "POST", "/collections/k/documents", `{"id":"2","s":"two"}`)
	must(t, e, 200, "DELETE", "/collections/k/documents/2", "")
	require.NoError(t, e.Close())
	before := segmentFiles(t, dir)
	require.NotEmpty(t, before)

	e = open(t, dir, embedded.Limits{})
	require.JSONEq(t, `{"found":1,"out_of":1}`, only(t, must(t, e, 200, "GET", "/collections/k/documents/search?q=one&query_by=s", ""), "found", "out_of"))
	require.NoError(t, e.Close())
	require.Equal(t, before, segmentFiles(t, dir), "nothing was written again")

	e = open(t, dir, embedded.Limits{})
	must(t, e, 200, "DELETE", "/collections/k", "")
	require.Empty(t, segmentFiles(t, dir), "the index of a dropped collection goes")
	require.NoError(t, e.Close())
}

func segmentFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "index", "*", "*"))
	require.NoError(t, err)
	return names
}

// TestEngine_aDamagedIndexIsMadeAnew harms each file of an index: the start says so in a line, and the documents are found.
func TestEngine_aDamagedIndexIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, embedded.Limits{})
	must(t, e, 201, "POST", "/collections", `{"name":"k","fields":[{"name":"s","type":"string"}]}`)
	must(t, e, 201, "POST", "/collections/k/documents", `{"id":"1","s":"one"}`)
	require.NoError(t, e.Close())
	names := segmentFiles(t, dir)
	require.Len(t, names, 2, "a segment and the manifest")
	for i := range names {
		for _, harm := range []func(path string) error{
			os.Remove,
			func(path string) error { return os.Truncate(path, 20) },
			func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("noise"), 100), 0o600) },
		} {
			path := segmentFiles(t, dir)[i]
			require.NoError(t, harm(path))
			var log bytes.Buffer
			engine, err := embedded.Open(embedded.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
			require.NoError(t, err)
			require.NoError(t, engine.WaitReady(context.Background()))
			e := serve(engine)
			require.JSONEq(t, `{"found":1}`, only(t, must(t, e, 200, "GET", "/collections/k/documents/search?q=one&query_by=s", ""), "found"))
			require.NoError(t, e.Close())
			require.Contains(t, log.String(), "an index is made anew from the documents", path)
		}
	}
}

// TestEngine_aSegmentThatVanishesUnderASearchIsMadeAnew cuts a mapped file off: the search finds that, and answers from the new index.
func TestEngine_aSegmentThatVanishesUnderASearchIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, embedded.Limits{})
	must(t, e, 201, "POST", "/collections", `{"name":"k","fields":[{"name":"s","type":"string"}]}`)
	must(t, e, 201, "POST", "/collections/k/documents", `{"id":"1","s":"one"}`)
	require.NoError(t, e.Close())
	e = open(t, dir, embedded.Limits{})
	defer e.Close()
	for _, name := range segmentFiles(t, dir) {
		require.NoError(t, os.Truncate(name, 0))
	}
	require.JSONEq(t, `{"found":1}`, only(t, must(t, e, 200, "GET", "/collections/k/documents/search?q=one&query_by=s", ""), "found"))
}

// TestEngine_aDamagedStoreIsAnErrorAndIsRepaired writes noise over the middle of the documents.
func TestEngine_aDamagedStoreIsAnErrorAndIsRepaired(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, embedded.Limits{})
	must(t, e, 201, "POST", "/collections", `{"name":"k","fields":[{"name":"s","type":"string"}]}`)
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, `{"id":"%d","s":"word%d %s"}`+"\n", i, i, strings.Repeat("filling ", 20))
	}
	must(t, e, 200, "POST", "/collections/k/documents/import", b.String())
	require.NoError(t, e.Close())
	path := filepath.Join(dir, "documents.db")
	info, err := os.Stat(path)
	require.NoError(t, err)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(bytes.Repeat([]byte{0x5a, 0xff, 0x00, 0x91}, 16<<10), info.Size()/2&^4095)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	_, err = embedded.Open(embedded.Config{Dir: dir})
	require.ErrorIs(t, err, embedded.ErrDamaged)
	fixed, err := embedded.Repair(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Greater(t, fixed.Documents, 2000)
	e = open(t, dir, embedded.Limits{})
	defer e.Close()
	require.Equal(t, fixed.Documents, e.Stats().Documents)
	require.JSONEq(t, `{"found":1}`, only(t, must(t, e, 200, "GET", "/collections/k/documents/search?q=word7&query_by=s&prefix=false&num_typos=0", ""), "found"))
}

// killedWriter starts a writer, kills it after so many acknowledgements and returns the last one.
func killedWriter(t *testing.T, dir string, first, chunks int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EMBEDDED_TEST_WRITER="+dir, "EMBEDDED_TEST_CHUNK="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	last := -1
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		v, err := strconv.Atoi(lines.Text())
		require.NoError(t, err, lines.Text())
		last = v
		if n++; n == chunks {
			require.NoError(t, cmd.Process.Kill()) // SIGKILL
		}
	}
	require.Error(t, cmd.Wait(), "the writer must have been killed")
	require.GreaterOrEqual(t, last, first)
	return last
}
