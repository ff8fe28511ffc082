package chaos

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// upload is how much a stranger wants to send, in bytes.
const upload = 64 << 20

// An unauthenticated body is not read: a large upload without a token is refused after its header, and costs the
// gateway no more than a connection.
func TestStranger_uploadCostsNoMemory(t *testing.T) {
	const most = 16 << 10 // allocated bytes for each, including the connection
	p := harness.StartProcess(t, filepath.Join(t.TempDir(), "data"))
	send(t, p.URL, "Content-Length: "+strconv.Itoa(upload), false)
	for name, head := range map[string]string{"length": "Content-Length: " + strconv.Itoa(upload), "chunks": "Transfer-Encoding: chunked", "expect": "Expect: 100-continue\r\nContent-Length: " + strconv.Itoa(upload)} {
		cost := math.MaxFloat64
		for range 3 { // the family allocates for itself meanwhile: the minimum is the best estimate
			cost = min(cost, costOf(t, p, head, name == "chunks"))
		}
		t.Logf("%s: %.0f bytes allocated for each", name, cost)
		require.Less(t, cost, float64(most), name)
	}
}

// costOf returns how many bytes the process allocates for one upload.
func costOf(t *testing.T, p *harness.Process, head string, chunked bool) float64 {
	const clients, times = 20, 5
	before := allocated(t, p)
	scrape := allocated(t, p) - before
	before = allocated(t, p)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range times {
				send(t, p.URL, head, chunked)
			}
		})
	}
	all.Wait()
	return float64(allocated(t, p)-before-scrape) / (clients * times)
}

// send uploads without a token over a connection of its own.
func send(t *testing.T, url, head string, chunked bool) {
	t.Helper()
	address := strings.TrimPrefix(url, "http://")
	conn, err := net.Dial("tcp", address)
	if !assert.NoError(t, err) {
		return
	}
	_, err = fmt.Fprintf(conn, "POST /sequence/v1/scopes/s/line/elements HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s\r\n\r\n", address, head)
	assert.NoError(t, err)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer conn.Close()
	sending.Go(func() {
		if strings.HasPrefix(head, "Expect") {
			return // nothing is sent before the gateway asks for it
		}
		piece := make([]byte, 32<<10)
		for range upload / len(piece) {
			if chunked {
				_, _ = fmt.Fprintf(conn, "%x\r\n", len(piece))
			}
			if _, err := conn.Write(piece); err != nil {
				return
			}
			if chunked {
				_, _ = io.WriteString(conn, "\r\n")
			}
		}
	})
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if assert.NoError(t, err) {
		assert.Equal(t, http.StatusUnauthorized, res.StatusCode, "and no 100 before it")
	}
}

var allocatedBytes = regexp.MustCompile(`(?m)^go_memstats_alloc_bytes_total ([0-9.e+]+)$`)

// allocated returns how many bytes the process has allocated since its start.
func allocated(t *testing.T, p *harness.Process) int64 {
	t.Helper()
	res, err := http.Get(p.AdminURL() + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	found := allocatedBytes.FindSubmatch(text)
	require.NotNil(t, found, "the metric is not there")
	n, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(t, err)
	return int64(n)
}
