package tsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typesense/typesense-go/v3/typesense/api"

	"github.com/fountainai/fountain/internal/clock"
)

// pair is a client of two nodes.
type pair struct {
	*Client
	clock *clock.Fake
	nodes [2]*httptest.Server
	asked [2]atomic.Int64 // not for health
	serve [2]atomic.Pointer[http.HandlerFunc]
	told  chan NodeState
}

// keyring implements Keys.
type keyring struct{ key, previous string }

func (k keyring) Key() string      { return k.key }
func (k keyring) Previous() string { return k.previous }

func newPair(t *testing.T, keys Keys, times Deadlines) *pair {
	t.Helper()
	p := &pair{clock: clock.NewFake(time.Now()), told: make(chan NodeState, 100)}
	var addresses []*url.URL
	for i := range p.nodes {
		p.answer(i, answers)
		p.nodes[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				p.asked[i].Add(1)
			}
			(*p.serve[i].Load())(w, r)
		}))
		t.Cleanup(p.nodes[i].Close)
		address, err := url.Parse(p.nodes[i].URL)
		require.NoError(t, err)
		addresses = append(addresses, address)
	}
	var err error
	p.Client, err = Over(NewNodes(addresses, p.clock, func(n NodeState) { p.told <- n }), OverHTTP(&http.Transport{DisableKeepAlives: true}), keys, times)
	require.NoError(t, err)
	return p
}

func (p *pair) answer(i int, h http.HandlerFunc) { p.serve[i].Store(&h) }

// answers is a healthy node.
func answers(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch {
	case r.URL.Path == "/health":
		_, _ = io.WriteString(w, `{"ok":true}`)
	case strings.HasSuffix(r.URL.Path, "/import"):
		_, _ = io.WriteString(w, `{"success":true}`)
	case r.Method == http.MethodGet:
		_, _ = io.WriteString(w, `[]`)
	default:
		_, _ = io.WriteString(w, `{}`)
	}
}

// breaks is a node that accepts a request and closes the connection without an answer.
func breaks(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	panic(http.ErrAbortHandler)
}

func says(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"message":"Not Ready or Lagging"}`)
	}
}

var docs = [][]byte{[]byte(`{"id":"1"}`)}

// Whichever node comes first, reads and repeatable writes are answered while one node is healthy. Other writes go to another node only if
// nothing was sent.
func TestNodes_onlyWhatMayBeRepeatedGoesOnAfterItWasSent(t *testing.T) {
	for name, sick := range map[string]http.HandlerFunc{"breaks off": breaks, "is lagging": says(503), "is slow": says(408), "is behind a proxy": says(502)} {
		t.Run(name, func(t *testing.T) {
			for i := range 2 {
				p := newPair(t, keyring{key: "k"}, Deadlines{})
				p.answer(i, sick)
				for range 4 {
					p.clock.Advance(2 * avoidFor) // it is asked first every other time
					_, err := p.Collections(t.Context())
					require.NoError(t, err)
					_, err = p.Import(t.Context(), "c", api.Upsert, docs)
					require.NoError(t, err)
					require.NoError(t, p.EnsureNone(t.Context(), "c", "id:1", 1))
				}
				require.Positive(t, p.asked[i].Load())
				failed := 0
				for range 4 {
					p.clock.Advance(2 * avoidFor)
					before := p.asked[0].Load() + p.asked[1].Load()
					if _, err := p.CreateCollection(t.Context(), []byte(`{}`)); err != nil {
						failed++
					}
					if _, err := p.Import(t.Context(), "c", api.Create, docs); err != nil {
						failed++
					}
					require.EqualValues(t, 2, p.asked[0].Load()+p.asked[1].Load()-before, "each was sent once")
				}
				require.Positive(t, failed)
			}
		})
	}
}

func TestNodes_whatWasNotSentGoesOnWhateverItIs(t *testing.T) {
	p := newPair(t, keyring{key: "k"}, Deadlines{})
	p.nodes[0].Close()
	for range 4 {
		p.clock.Advance(2 * avoidFor)
		_, err := p.CreateCollection(t.Context(), []byte(`{}`))
		require.NoError(t, err)
	}
	p.nodes[1].Close()
	_, err := p.CreateCollection(t.Context(), []byte(`{}`))
	require.ErrorIs(t, err, ErrNotSent)
	require.ErrorIs(t, err, ErrUnavailable)
}

// If the second node can't be reached, the first one may still have carried out the call.
func TestNodes_doNotSayThatNothingWasSentWhereOneMayHaveIt(t *testing.T) {
	p := newPair(t, keyring{key: "k"}, Deadlines{})
	p.answer(0, breaks)
	p.nodes[1].Close()
	for range 4 {
		p.clock.Advance(2 * avoidFor)
		_, err := p.Import(t.Context(), "c", api.Upsert, docs)
		require.ErrorIs(t, err, ErrUnavailable)
		require.NotErrorIs(t, err, ErrNotSent)
	}

	p = newPair(t, keyring{key: "k"}, Deadlines{})
	p.answer(0, breaks)
	p.answer(1, says(401))
	doubts := 0
	for range 4 {
		p.clock.Advance(2 * avoidFor)
		_, err := p.Import(t.Context(), "c", api.Upsert, docs)
		require.True(t, RefusesKey(err), "%v", err)
		if errors.Is(err, ErrDoubt) {
			doubts++
		}
	}
	require.EqualValues(t, p.asked[0].Load(), doubts, "the key that the second refuses says nothing of the first")
	require.Positive(t, doubts)
}

func TestNodes_areLeftAloneUntilTheyAreWell(t *testing.T) {
	p := newPair(t, keyring{key: "k"}, Deadlines{})
	p.answer(0, breaks)
	for range 4 {
		_, err := p.Collections(t.Context())
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, p.asked[0].Load(), "one call has found out")
	require.False(t, (<-p.told).Healthy)
	require.False(t, p.States()[0].Healthy)
	require.Error(t, p.States()[0].Cause)
	require.NoError(t, p.Examine(t.Context()), "one can work")
	require.Empty(t, p.told, "what is known is not told again")
	p.answer(0, answers)
	require.NoError(t, p.Examine(t.Context()))
	require.True(t, (<-p.told).Healthy)
	for range 4 {
		_, err := p.Collections(t.Context())
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, p.asked[0].Load(), "every other call is its own again")

	p.answer(0, says(503))
	p.answer(1, says(503))
	require.Error(t, p.Examine(t.Context()))
	_, err := p.Collections(t.Context())
	require.Error(t, err)
	p.answer(1, answers)
	_, err = p.Collections(t.Context())
	require.NoError(t, err, "where none is well, all are tried")
	require.True(t, p.States()[1].Healthy)
}

// States returns what is known about the two nodes.
func (p *pair) States() []NodeState { return p.Client.Nodes() }

// A node that accepts requests and answers none, not even health checks, loses its calls to the other node once that is noticed.
func TestNodes_aCallLeavesANodeThatHangs(t *testing.T) {
	p := newPair(t, keyring{key: "k"}, Deadlines{Search: time.Hour})
	asked := make(chan struct{}, 10)
	p.answer(0, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			asked <- struct{}{}
		}
		<-r.Context().Done()
	})
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := p.Collections(context.Background())
			done <- err
		}()
	}
	<-asked
	require.NoError(t, p.Examine(t.Context()))
	require.NoError(t, <-done)
	require.NoError(t, <-done)
}

// A call that started before the node's last change says nothing about its current state, whether it succeeded or not.
func TestNodes_aCallOfTheTimeBeforeChangesNothing(t *testing.T) {
	for name, goesWell := range map[string]bool{"an answer comes after the node died": true, "a call breaks off after the node is back": false} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, keyring{key: "k"}, Deadlines{})
			first := p.Client.nodes.list[0]
			during := func(context.Context) error {
				p.answer(0, breaks)
				require.NoError(t, p.Examine(t.Context()))
				require.False(t, p.States()[0].Healthy)
				if goesWell {
					return nil
				}
				p.answer(0, answers)
				require.NoError(t, p.Examine(t.Context()))
				return fmt.Errorf("%w: broken off", ErrUnavailable)
			}
			require.Equal(t, goesWell, p.attempt(t.Context(), first, false, during) == nil)
			require.Equal(t, !goesWell, p.States()[0].Healthy)
			at := len(p.told)
			require.NoError(t, p.attempt(t.Context(), first, false, func(context.Context) error { return nil }))
			require.True(t, p.States()[0].Healthy, "one that began afterwards does")
			require.Equal(t, goesWell, len(p.told) > at)
		})
	}
}

func TestNodes_keepTheDeadlineOfTheWhole(t *testing.T) {
	p := newPair(t, keyring{key: "k"}, Deadlines{Search: 50 * time.Millisecond})
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	p.answer(0, hang)
	p.answer(1, hang)
	_, err := p.Collections(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.LessOrEqual(t, p.asked[0].Load()+p.asked[1].Load(), int64(1), "no second node is asked beyond it")
	require.True(t, p.States()[0].Healthy, "a deadline says nothing of the node")
}

// While a node does not accept the current key yet, the previous one is tried, once.
func TestNodes_getTheKeyBeforeOnce(t *testing.T) {
	takes := func(key string, seen *atomic.Int64) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			seen.Add(1)
			if r.Header.Get(api.APIKeyHeader) != key {
				says(401)(w, r)
				return
			}
			answers(w, r)
		}
	}
	p := newPair(t, keyring{"new", "old"}, Deadlines{})
	var seen [2]atomic.Int64
	p.answer(0, takes("new", &seen[0]))
	p.answer(1, takes("old", &seen[1]))
	for range 4 {
		_, err := p.CreateCollection(t.Context(), []byte(`{}`))
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, seen[0].Load())
	require.EqualValues(t, 4, seen[1].Load())
	p.answer(0, takes("third", &seen[0]))
	p.answer(1, takes("third", &seen[1]))
	_, err := p.Collections(t.Context())
	require.True(t, RefusesKey(err), "%v", err)
	require.EqualValues(t, 8, seen[0].Load()+seen[1].Load())
}

func TestMultiSearch_triesTheKeyBeforeWhereTheAnswerRefusesTheOther(t *testing.T) {
	c, err := Over(NewNodes([]*url.URL{{Scheme: "http", Host: "engine"}}, clock.System, nil), InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(api.APIKeyHeader) == "new" {
			fmt.Fprint(w, `{"results":[{"code":401,"error":"Forbidden"}]}`)
			return
		}
		fmt.Fprint(w, `{"results":[{"found":3,"hits":[]}]}`)
	})), keyring{"new", "old"}, Deadlines{})
	require.NoError(t, err)
	found, err := c.MultiSearch(t.Context(), map[string]any{"collection": "c"})
	require.NoError(t, err)
	require.EqualValues(t, 3, found.Results[0].Found)
}
