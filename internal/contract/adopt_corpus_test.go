package contract

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sharedData returns the folder of published documents: beside the checkout, or at FOUNTAIN_SHARED.
func sharedData() string {
	if dir := os.Getenv("FOUNTAIN_SHARED"); dir != "" {
		return filepath.Join(dir, "data")
	}
	return filepath.Join("..", "..", "..", "shared", "data")
}

// corpusCase is one request with the verdict of other validators.
type corpusCase struct {
	ID, Method, Target string
	Headers            map[string]string
	Body               *string
	Valid              bool
	Why, Rule          string
}

// verdict runs the checks on the request, in the gateway's order.
func (r corpusCase) verdict(c *Contract) error {
	body := ""
	if r.Body != nil {
		body = *r.Body
	}
	request := httptest.NewRequest(r.Method, "http://gateway.test"+c.BasePath+r.Target, strings.NewReader(body))
	if r.Body == nil {
		request.Body, request.ContentLength = http.NoBody, 0
	}
	for name, value := range r.Headers {
		request.Header.Set(name, value)
	}
	var m Match
	if err := c.Match(r.Method, request.URL.EscapedPath(), &m); err != nil {
		return err
	}
	if err := m.Operation.CheckMedia(request); err != nil {
		return err
	}
	if err := m.Operation.CheckParameters(request, &m); err != nil {
		return err
	}
	return m.Operation.CheckBody(request.Header.Get("Content-Type"), []byte(body))
}

func TestAdoptCorpus_judgesRealDocumentsAsForeignValidatorsDo(t *testing.T) {
	dir := filepath.Join(sharedData(), "openapi")
	found, err := filepath.Glob(filepath.Join(dir, "*.*"))
	require.NoError(t, err)
	if len(found) == 0 {
		if strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "documents") {
			t.Fatalf("the documents are not in %s", dir)
		}
		t.Skipf("the documents are not in %s", dir)
	}
	right, all, adopted := 0, 0, 0
	t.Logf("%-30s %5s %5s %5s %8s %13s  %s", "document", "ops", "501", "right", "ms", "MiB allocated", "warnings")
	for _, file := range found {
		if strings.HasSuffix(file, ".md") {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		c, warnings, err := Adopt(Adoption{Name: strings.SplitN(name, ".", 2)[0], File: filepath.Base(file), Files: map[string][]byte{filepath.Base(file): text}})
		took := time.Since(begun)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s is not adopted: %v", name, err)
			continue
		}
		adopted++
		unsupported := 0
		for _, op := range c.Operations {
			if op.Unsupported != "" {
				unsupported++
				t.Logf("%s: %s: %s", name, op.ID, op.Unsupported)
			}
		}
		kinds := map[string]int{}
		for _, w := range warnings {
			kinds[w.Kind]++
		}
		cases, good := readCases(t, filepath.Join(dir, "cases", name+".jsonl")), 0
		for _, one := range cases {
			if err := one.verdict(c); (err == nil) == one.Valid {
				good++
			} else {
				t.Errorf("%s (%s, valid %v): %v\n%s", one.ID, one.Rule, one.Valid, err, one.Why)
			}
		}
		right, all = right+good, all+len(cases)
		t.Logf("%-30s %5d %5d %2d/%2d %8d %13.1f  %v", name, len(c.Operations), unsupported, good, len(cases), took.Milliseconds(), float64(after.TotalAlloc-before.TotalAlloc)/(1<<20), kinds)
	}
	t.Logf("%d documents adopted, %d of %d verdicts right", adopted, right, all)
	require.Equal(t, []int{17, 204, 204}, []int{adopted, right, all})
}

func readCases(t *testing.T, file string) []corpusCase {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	var out []corpusCase
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one corpusCase
		require.NoError(t, json.Unmarshal(lines.Bytes(), &one))
		out = append(out, one)
	}
	require.NoError(t, lines.Err())
	return out
}
