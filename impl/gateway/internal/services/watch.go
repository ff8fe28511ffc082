// Package services knows the family's services: where they are, whether they are ready, and which contract they keep.
package services

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
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
	pollEvery   = 2 * time.Second // once a target is ready
	pollStarter = 100 * time.Millisecond
	pollTimeout = 2 * time.Second
	missedMost  = 3 // answers that may be missing before a target is down: one that is busy is not gone
)

// Status is one service.
type Status struct {
	Word, BasePath, State   string
	ContractVersion, Digest string // info.version, and SHA-256 of the text as RFC 9530 writes digests
	Targets, Ready, Skewed  int    // how many targets there are, are ready, and keep another text of the contract
}

// Watcher asks every target of every service again and again whether it is ready.
type Watcher struct {
	client    *http.Client
	upstreams *upstream.Set
	services  []Status // by word
	skew      *skew
}

// NewWatcher returns a watcher of those services that have an address.
func NewWatcher(contracts []*contract.Contract, upstreams *upstream.Set, client *http.Client, log *slog.Logger, to prometheus.Registerer) *Watcher {
	w := &Watcher{client: client, upstreams: upstreams, skew: newSkew(log, to)}
	for _, c := range contracts {
		if upstreams.Service(c.Word) == nil {
			continue
		}
		w.services = append(w.services, Status{Word: c.Word, BasePath: c.BasePath, ContractVersion: c.Version, Digest: openapi.DigestOf(c.Document)})
		w.skew.count(c.Word)
	}
	sort.Slice(w.services, func(i, j int) bool { return w.services[i].Word < w.services[j].Word })
	return w
}

// List returns the services by word. One is ready when any of its targets is.
func (w *Watcher) List() []Status {
	out := slices.Clone(w.services)
	for i := range out {
		service := w.upstreams.Service(out[i].Word)
		best, ready := service.Health()
		out[i].State, out[i].Targets, out[i].Ready, out[i].Skewed = best.String(), len(service.Targets()), ready, w.skew.count(out[i].Word)
	}
	return out
}

// Run asks until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, s := range w.services {
		for _, target := range w.upstreams.Service(s.Word).Targets() {
			all.Go(func() { w.watch(ctx, s, target) })
		}
	}
	all.Wait()
	return nil
}

func (w *Watcher) watch(ctx context.Context, s Status, target *upstream.Target) {
	address := target.URL.JoinPath(s.BasePath, "ready").String()
	for missed := 0; ; {
		asked := time.Now()
		state, digest, err := w.ask(ctx, address)
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
			w.skew.note(ctx, s, target, digest)
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
		case <-target.Asked(): // a request was refused there
			timer.Reset(pollStarter)
			<-timer.C
		case <-timer.C:
		}
	}
}

// ask returns what a target says of itself, the digest of its contract where it tells one, and why it said nothing.
func (w *Watcher) ask(ctx context.Context, address string) (state upstream.Health, digest string, err error) {
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
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxMetadata)) // whatever it is: the status says what counts
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
