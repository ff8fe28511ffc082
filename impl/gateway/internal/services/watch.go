// Package services monitors the services behind the gateway: their targets, their readiness, and the contracts that they report.
package services

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sort"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/generated/commonapi"
	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/openapi"
)

const (
	pollEvery   = 2 * time.Second // while a target is ready
	pollStarter = 100 * time.Millisecond
	pollTimeout = 2 * time.Second
	missedMost  = 3 // consecutive checks without an answer until a target is down, since a busy one may miss some
)

// Status is the state of one service.
type Status struct {
	Word, BasePath, State   string
	ContractVersion, Digest string // info.version, and the SHA-256 of the text in the form of RFC 9530
	Adopted                 bool   // it is an adopted service
	Targets, Ready, Skewed  int    // number of targets, of ready ones, and of those with a different text of the contract
}

// Standing says which version of an adopted contract is in force, and whether the last one was refused.
type Standing struct {
	Revision int64  // version at the kms that is in force; 0 if it is not from the kms
	Refused  int64  // version at the kms that was refused last; 0 if it is not from the kms
	Cause    string // what was refused: upstreams or contract; "" if nothing was
}

// Watcher periodically checks every target of every service for readiness.
type Watcher struct {
	client    *http.Client
	upstreams *upstream.Set
	skew      *skew

	mu      sync.Mutex
	watched map[string]*watched // by word
	running context.Context     // nil before Run and after it has ended
	asking  sync.WaitGroup
}

// watched is a service whose targets are checked.
type watched struct {
	Status
	service *upstream.Service
	ask     Ask
	leave   context.CancelFunc // nil: it is not being checked
}

// Ask checks the state of a target. It returns the digest of the target's contract if the target reports one, and an error if the target did not answer.
type Ask func(ctx context.Context, target *upstream.Target) (state upstream.Health, digest string, err error)

// NewWatcher returns a watcher of the services that have targets.
func NewWatcher(contracts []*contract.Contract, upstreams *upstream.Set, client *http.Client, log *slog.Logger, to prometheus.Registerer) *Watcher {
	w := &Watcher{client: client, upstreams: upstreams, skew: newSkew(log, to), watched: map[string]*watched{}}
	for _, c := range contracts {
		if upstreams.Service(c.Word) != nil {
			w.Watch(c, w.readiness(c.BasePath))
		}
	}
	return w
}

// Watch starts checking the current targets of a contract's service, instead of its previous ones.
func (w *Watcher) Watch(c *contract.Contract, ask Ask) {
	w.mu.Lock()
	defer w.mu.Unlock()
	service := w.upstreams.Service(c.Word)
	made := &watched{
		Status:  Status{Word: c.Word, BasePath: c.BasePath, Adopted: c.Mount != "", ContractVersion: c.Version, Digest: openapi.DigestOf(c.Document)},
		service: service, ask: ask,
	}
	before := w.watched[c.Word]
	w.watched[c.Word] = made
	if before != nil && before.service == service { // the targets are the same, and their health is known
		before.Status, before.ask = made.Status, ask
		w.watched[c.Word] = before
		return
	}
	before.stop()
	w.skew.forget(c.Word)
	w.begin(made)
}

// Leave stops checking the targets of a service.
func (w *Watcher) Leave(word string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched[word].stop()
	delete(w.watched, word)
	w.skew.drop(word)
}

func (s *watched) stop() {
	if s != nil && s.leave != nil {
		s.leave()
	}
}

// begin starts checking. The caller holds the lock.
func (w *Watcher) begin(s *watched) {
	if w.running == nil {
		return
	}
	ctx, leave := context.WithCancel(w.running)
	s.leave = leave
	for _, target := range s.service.Targets() {
		w.asking.Go(func() { w.watch(ctx, s, target) })
	}
}

// List returns the services by word. A service is ready when any of its targets is.
func (w *Watcher) List() []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Status, 0, len(w.watched))
	for word, s := range w.watched {
		status := s.Status
		best, ready := s.service.Health()
		status.State, status.Targets, status.Ready, status.Skewed = best.String(), len(s.service.Targets()), ready, w.skew.count(word)
		out = append(out, status)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Word < out[j].Word })
	return out
}

// Run checks the targets until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	w.mu.Lock()
	w.running = ctx
	for _, s := range w.watched {
		w.begin(s)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.mu.Lock()
	w.running = nil
	w.mu.Unlock()
	w.asking.Wait()
	return nil
}

// now returns the current status and check of a service: they change with a new version of the contract, without restarting the checks.
func (w *Watcher) now(s *watched) (Status, Ask) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.Status, s.ask
}

func (w *Watcher) watch(ctx context.Context, s *watched, target *upstream.Target) {
	for missed := 0; ; {
		status, ask := w.now(s)
		asked := time.Now()
		state, digest, err := ask(ctx, target)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			missed = 0
		} else {
			missed++
		}
		if err == nil || missed >= missedMost || errors.Is(err, syscall.ECONNREFUSED) {
			target.Report(state, asked)
		}
		if digest != "" {
			w.skew.note(ctx, status, target, digest)
		}
		pause := pollEvery
		if state != upstream.Ready {
			pause = pollStarter
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-target.Asked(): // a request found the target not ready
			timer.Reset(pollStarter)
			<-timer.C
		case <-timer.C:
		}
	}
}

// readiness returns a check by the readiness operation, which every service of the family has.
func (w *Watcher) readiness(basePath string) Ask {
	return func(ctx context.Context, target *upstream.Target) (upstream.Health, string, error) {
		return w.get(ctx, target.URL.JoinPath(basePath, "ready").String())
	}
}

// Connecting is the check for adopted services: a target that accepts a connection is ready, since nothing else about it is known.
func Connecting(ctx context.Context, target *upstream.Target) (upstream.Health, string, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	if err := target.Connect(ctx); err != nil {
		return upstream.Down, "", err
	}
	return upstream.Ready, "", nil
}

// get returns the state of a target and the digest of its contract if it reports one, and an error if it did not answer.
func (w *Watcher) get(ctx context.Context, address string) (state upstream.Health, digest string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return upstream.Down, "", err
	}
	res, err := w.client.Do(req)
	if err != nil {
		return upstream.Down, "", err
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxMetadata)) // an error does not matter: the status is sufficient
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return upstream.Starting, "", nil
	}
	var said commonapi.Readiness
	if json.Unmarshal(body, &said) == nil && said.ContractDigest != nil {
		digest = *said.ContractDigest
	}
	return upstream.Ready, digest, nil
}
