// Package services knows the family's services: where they are, whether they are ready, and which contract they keep.
package services

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"sort"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/contract"
)

const (
	pollEvery   = 2 * time.Second // once a service is ready
	pollStarter = 100 * time.Millisecond
	pollTimeout = 2 * time.Second
)

// The states of a service.
const (
	Ready    = "ready"
	Starting = "starting" // it answers, and says that it is not ready
	Down     = "down"     // it does not answer
)

// Status is one service.
type Status struct {
	Word, BasePath, State   string
	ContractVersion, Digest string // info.version, and SHA-256 of the text as RFC 9530 writes digests
}

// Watcher asks every service again and again whether it is ready.
type Watcher struct {
	client  *http.Client
	targets map[string]*url.URL

	mu     sync.RWMutex
	status map[string]Status
}

// NewWatcher returns a watcher of the services at targets, by word; all are down until they were asked.
func NewWatcher(contracts []*contract.Contract, targets map[string]*url.URL, client *http.Client) *Watcher {
	w := &Watcher{client: client, targets: targets, status: map[string]Status{}}
	for _, c := range contracts {
		if targets[c.Word] == nil {
			continue
		}
		sum := sha256.Sum256(c.Document)
		w.status[c.Word] = Status{
			Word: c.Word, BasePath: c.BasePath, State: Down, ContractVersion: c.Version,
			Digest: "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
		}
	}
	return w
}

// List returns the services by word.
func (w *Watcher) List() []Status {
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := make([]Status, 0, len(w.status))
	for _, s := range w.status {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Word < out[j].Word })
	return out
}

// Run asks until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for word, target := range w.targets {
		all.Go(func() { w.watch(ctx, word, target) })
	}
	all.Wait()
	return nil
}

func (w *Watcher) watch(ctx context.Context, word string, target *url.URL) {
	address := target.JoinPath("/" + word + "/v1/ready").String()
	for {
		state := w.ask(ctx, address)
		w.mu.Lock()
		s := w.status[word]
		s.State = state
		w.status[word] = s
		w.mu.Unlock()
		pause := pollEvery
		if state != Ready {
			pause = pollStarter
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (w *Watcher) ask(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Down
	}
	res, err := w.client.Do(req)
	if err != nil {
		return Down
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Starting
	}
	return Ready
}
