package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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
	engine, err := embedded.Open(embedded.Config{Dir: dir})
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
