//go:build compose

package compose

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

const password = "a lamp for the whole stack"

// written is what was acknowledged, by four callers at once.
type written struct {
	mu      sync.Mutex
	ids     map[string]bool
	failed  int
	unheard string // the newest failure
}

func (w *written) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids)
}

func (w *written) write(ctx context.Context, c *fountain.Client, id string) {
	_, err := c.Sequence.CreateElement(ctx, "stack", "line", sequence.ElementCreate{ID: &id, Data: json.RawMessage(`{"text":"a lamp in the window"}`)})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed++
		w.unheard = err.Error()
		return
	}
	w.ids[id] = true
}

// begin writes until end is called, about 20 elements a second.
func begin(t *testing.T, c *fountain.Client) (w *written, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w = &written{ids: map[string]bool{}}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				w.write(context.Background(), c, fmt.Sprintf("w%d-%d", worker, n))
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	return w, func() { cancel(); all.Wait() }
}

// The compose file as it is, from nothing: one command to healthy, a first administrator, an import, a search and a second factor through Caddy, whose own
// authority is verified; all of it is there after down and up; and what was acknowledged beside the death of each container is there too.
func TestCompose_fromNothingThroughTheDeathOfEachContainer(t *testing.T) {
	s := newStack(t)
	t.Logf("built, and healthy after %s", s.up().Round(100*time.Millisecond))
	s.images()
	var unknown x509.UnknownAuthorityError
	require.True(t, errors.As(s.stranger(), &unknown), "who does not know Caddy's authority is not served")
	c := harness.Bootstrap(t, s.url(), s.writeToken(), "ada", password, s.trusting())
	ctx := t.Context()

	_, err := c.Search.CreateCollection(ctx, search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "text", Type: "string"}}})
	require.NoError(t, err)
	var items []search.SyncItem
	for n := range 100 {
		document := json.RawMessage(fmt.Sprintf(`{"text":"the ghost walks, %d"}`, n))
		items = append(items, search.SyncItem{Op: search.SyncItemOpUpsert, ID: fmt.Sprint(n), Document: &document})
	}
	_, err = c.Search.SyncDocuments(ctx, "plays", search.DocumentSync{Items: items})
	require.NoError(t, err)
	_, err = c.KMS.PutSecret(ctx, "app.lamp", kms.SecretPut{Value: "oil"}) // asks for a second factor
	require.NoError(t, err)
	require.ErrorIs(t, func() error {
		_, err := c.KMS.PutSecret(ctx, "app.other", kms.SecretPut{Value: "oil"}, fountain.WithoutStepUp(), fountain.WithBearer(bearer(t, c)))
		return err
	}(), fountain.ErrStepUpRequired, "and is refused without one")
	element, err := c.Sequence.CreateElement(ctx, "stack", "scene", sequence.ElementCreate{Data: json.RawMessage(`{"text":"a lamp in the window"}`)})
	require.NoError(t, err)
	found(t, c, 100)

	s.run("down", "--timeout", "45")
	t.Logf("down, and healthy again after %s", s.up().Round(100*time.Millisecond))
	c = again(t, s)
	got, err := c.Sequence.GetElement(ctx, "stack", "scene", element.ID)
	require.NoError(t, err)
	require.Equal(t, element.Number, got.Number)
	found(t, c, 100)

	w, end := begin(t, c)
	for _, service := range []string{"sequence", "kms", "twofactor", "search", "gateway", "caddy"} {
		from := w.count()
		require.Eventually(t, func() bool { return w.count() >= from+10 }, time.Minute, 50*time.Millisecond, "writes are acknowledged before %s dies: %s", service, w.unheard)
		t.Logf("%s was killed and is healthy again after %s; %d writes were acknowledged", service, s.kill(service).Round(100*time.Millisecond), w.count())
	}
	from := w.count()
	require.Eventually(t, func() bool { return w.count() >= from+10 }, time.Minute, 50*time.Millisecond, "writes go on: %s", w.unheard)
	end()
	there := map[string]bool{}
	numbers := map[int64]bool{}
	for e, err := range c.Sequence.Elements(ctx, "stack", "line") {
		require.NoError(t, err)
		there[e.ID] = true
		require.False(t, numbers[e.Number], "number %d was given twice", e.Number)
		numbers[e.Number] = true
	}
	lost := 0
	for id := range w.ids {
		if !there[id] {
			lost++
		}
	}
	t.Logf("%d writes acknowledged, %d refused or without an answer, %d lost", len(w.ids), w.failed, lost)
	require.Zero(t, lost)
	found(t, c, 100)
}

// bearer is a token of who is signed in, which no second factor has raised.
func bearer(t *testing.T, c *fountain.Client) string {
	t.Helper()
	token, err := c.Token(t.Context(), "kms")
	require.NoError(t, err)
	return token
}

// again is a client that signs in after a restart.
func again(t *testing.T, s *stack) *fountain.Client {
	t.Helper()
	c, err := fountain.New(s.url(), fountain.WithUser("ada", password), s.trusting())
	require.NoError(t, err)
	return c
}

func found(t *testing.T, c *fountain.Client, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer, err := c.Search.SearchDocuments(t.Context(), "plays", search.DocumentSearch{Q: "ghost", QueryBy: []string{"text"}})
		return err == nil && int(answer.Found) == n
	}, time.Minute, 100*time.Millisecond, "the documents are found")
}
