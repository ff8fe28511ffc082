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
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// TestMain runs this binary as the writer that is killed, if the variable is set.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDDED_TEST_WRITER"); dir != "" {
		writeForever(dir)
		return
	}
	os.Exit(m.Run())
}

// importers is the number of concurrent importers.
const importers = 4

// killRounds returns how often a writer is killed: a few times in CI, and 100 times for a proof (`make prove`).
func killRounds(few int) int {
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return 100
	}
	return few
}

// writeForever runs importers that import chunk after chunk and print the number of each acknowledged chunk.
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
	var next atomic.Int64
	next.Store(int64(first))
	var all sync.WaitGroup
	for range importers {
		all.Go(func() {
			for {
				importChunk(e, int(next.Add(1))-1)
			}
		})
	}
	all.Wait()
}

func importChunk(e *served, chunk int) {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, `{"id":"%d-%d","s":"word%d","chunk":%d,"attr_c%d":"v"}`+"\n", chunk, i, i, chunk, chunk)
	}
	w := call(e, "POST", "/collections/k/documents/import?action=upsert", b.String())
	d := call(e, "DELETE", fmt.Sprintf("/collections/k/documents/%d-0", chunk), "")
	if w.Code == 200 && d.Code == 200 && !strings.Contains(w.Body.String(), "false") {
		_, _ = fmt.Println(chunk) // in one write, so that lines are whole
	}
}

func TestEngine_acknowledgedWritesSurviveKillNine(t *testing.T) {
	dir, next, acknowledged := t.TempDir(), 0, map[int]bool{}
	for range killRounds(3) {
		last := next
		for _, chunk := range killedWriter(t, dir, next, 8) {
			acknowledged[chunk] = true
			last = max(last, chunk)
		}
		next = last + importers + 1 // others were under way
		e := open(t, dir, embedded.Limits{})
		requireIndexEqualsStore(t, e)
		for chunk := range next {
			var r struct{ Found int }
			body := must(t, e, 200, "GET", fmt.Sprintf("/collections/k/documents/search?q=*&per_page=0&filter_by=chunk:%d", chunk), "")
			require.NoError(t, json.Unmarshal([]byte(body), &r))
			if !acknowledged[chunk] { // it is there as a whole or not at all
				require.Contains(t, []int{0, 49, 50}, r.Found, "chunk %d", chunk)
				continue
			}
			require.Equal(t, 49, r.Found, "chunk %d was acknowledged and is not whole", chunk)
			body = must(t, e, 200, "GET", fmt.Sprintf("/collections/k/documents/search?q=*&per_page=0&filter_by=attr_c%d:v", chunk), "")
			require.NoError(t, json.Unmarshal([]byte(body), &r))
			require.Equal(t, 49, r.Found, "chunk %d was acknowledged and is not whole", chunk)
			require.Equal(t, 404, call(e, "GET", fmt.Sprintf("/collections/k/documents/%d-0", chunk), "").Code, "an acknowledged deletion came back")
		}
		require.NoError(t, e.Close())
	}
	t.Logf("%d kills, %d acknowledged documents and %d acknowledged deletions", killRounds(3), 50*len(acknowledged), len(acknowledged))
}

// TestEngine_theIndexEqualsTheStoreAfterKillNine kills a writer whose index is constantly flushed and merged. The index found after that
// gives the same answers as one that is built from the documents.
func TestEngine_theIndexEqualsTheStoreAfterKillNine(t *testing.T) {
	dir, next := t.TempDir(), 0
	for round := range killRounds(5) {
		from := max(0, next-60)
		for _, chunk := range killedWriter(t, dir, next, 6+3*(round%5)) {
			next = max(next, chunk)
		}
		next += importers + 1
		e := open(t, dir, embedded.Limits{})
		documents := requireIndexEqualsStore(t, e)
		found := answers(t, e, from, next)
		require.NoError(t, e.Close())
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "index")))
		e = open(t, dir, embedded.Limits{})
		require.Equal(t, answers(t, e, from, next), found)
		require.NoError(t, e.Close())
		t.Logf("%d kills, %d chunks were begun, %d documents were compared", round+1, next, documents)
	}
}

// requireIndexEqualsStore compares every document with the index that was opened and brought up to date. It returns the number of
// documents.
func requireIndexEqualsStore(t *testing.T, e *served) int {
	t.Helper()
	done, err := e.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, done.Faults)
	return done.Documents
}

// answers returns the results of a few searches that cover every document, and of one for each of the newest chunks.
func answers(t *testing.T, e *served, from, to int) (all []string) {
	t.Helper()
	targets := []string{"q=*&per_page=250&facet_by=attr_.*", "q=word1&query_by=s&per_page=250", "q=wrod7&query_by=s&per_page=250&sort_by=chunk:asc", "q=word&query_by=s&per_page=250&page=2"}
	for chunk := from; chunk < to; chunk++ {
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

// TestEngine_aDamagedIndexIsMadeAnew damages each file of an index. The start logs that, and the documents are found.
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
			require.Contains(t, log.String(), "an index is rebuilt from the documents", path)
		}
	}
}

// TestEngine_aSegmentThatVanishesUnderASearchIsMadeAnew truncates a mapped file. The search detects that, and answers from the rebuilt
// index.
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

// TestEngine_aDamagedStoreIsAnErrorAndIsRepaired overwrites the middle of the documents file with noise.
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

// killedWriter starts a writer and kills it after this many acknowledgements, once part of the index is on disk. It returns the
// acknowledged chunks.
func killedWriter(t *testing.T, dir string, first, chunks int) (acknowledged []int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EMBEDDED_TEST_WRITER="+dir, "EMBEDDED_TEST_CHUNK="+strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		v, err := strconv.Atoi(lines.Text())
		require.NoError(t, err, lines.Text())
		if acknowledged = append(acknowledged, v); !killed && len(acknowledged) >= chunks && len(segmentFiles(t, dir)) > 0 {
			require.NoError(t, cmd.Process.Kill()) // SIGKILL
			killed = true
		}
	}
	require.Error(t, cmd.Wait(), "the writer must have been killed")
	require.NotEmpty(t, acknowledged)
	return acknowledged
}
