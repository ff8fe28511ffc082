package servicetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

var contracts = struct {
	sync.Mutex
	byWord map[string]*contract.Contract
}{byWord: map[string]*contract.Contract{}}

// Contract returns the contract of a word, compiled once.
func Contract(t testing.TB, word string) *contract.Contract {
	t.Helper()
	contracts.Lock()
	defer contracts.Unlock()
	c := contracts.byWord[word]
	if c == nil {
		var err error
		c, err = contract.Load(word)
		require.NoError(t, err)
		contracts.byWord[word] = c
	}
	return c
}

// Client returns a client that fails the test when an answer violates the contract of a word. Paths without an operation are not checked.
func Client(t testing.TB, word string) *http.Client {
	t.Helper()
	return &http.Client{Transport: &checked{fail: t.Errorf, contract: Contract(t, word)}}
}

type checked struct {
	fail     func(format string, args ...any)
	contract *contract.Contract
}

// RoundTrip implements http.RoundTripper.
func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var match contract.Match
	if err := c.contract.Match(r.Method, r.URL.EscapedPath(), &match); err != nil {
		return answer, nil
	}
	observe(match.Operation, answer.StatusCode)
	err = match.Operation.CheckResponse(answer.StatusCode, answer.Header, body)
	if r.Method == http.MethodHead {
		err = match.Operation.CheckResponseHead(answer.StatusCode, answer.Header)
	}
	if err != nil {
		c.fail("%s %s answered %d, which is not what the contract says: %v\n%s", r.Method, r.URL.Path, answer.StatusCode, err, body)
	}
	return answer, nil
}

// Answer is an HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call sends a request; body is JSON, an empty token is not sent, headers are alternating names and values.
func Call(t testing.TB, client *http.Client, token, method, url, body string, headers ...string) Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := client.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return Answer{answer.StatusCode, answer.Header, content}
}

// JSON returns the object in the answer.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(a.Body, &object), "%s", a.Body)
	return object
}

// Text returns a member of the answer's object, or "" when it is not a string.
func (a Answer) Text(t testing.TB, member string) string {
	t.Helper()
	s, _ := a.JSON(t)[member].(string)
	return s
}

// Refused checks that an answer is a problem of this status and code.
func Refused(t testing.TB, a Answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.Status, "%s", a.Body)
	require.Equal(t, code, a.Text(t, "code"), "%s", a.Body)
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
}
