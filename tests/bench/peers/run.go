package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// bench is one run over all peers.
type bench struct {
	dir     string
	service *upstream
	tokens  []string
	running []*process // without the row of the load alone
	results results
}

// runAll starts every peer, lets them have their turns, and prints the tables.
func runAll() (err error) {
	dir, err := os.MkdirTemp("", "fountain-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir}
	k, err := newKMS()
	if err != nil {
		return err
	}
	if b.service, err = newUpstream(); err != nil {
		return err
	}
	for i := range callers {
		token, err := k.token(i)
		if err != nil {
			return err
		}
		b.tokens = append(b.tokens, token)
	}
	all, err := peers(dir, b.service.Addr().String(), k)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range b.running {
			p.stop()
		}
	}()
	for _, p := range all {
		if !p.wanted() {
			continue
		}
		running, err := p.start(dir, b.tokens)
		if err != nil {
			return err
		}
		b.running = append(b.running, running)
	}
	return b.measure()
}

func (b *bench) measure() error {
	for round := range *rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, *rounds)
		if err := b.alone(); err != nil {
			return err
		}
		for _, p := range b.running {
			for _, k := range kinds {
				if err := b.turn(p, k); err != nil {
					return fmt.Errorf("%s, %s: %w", p.name, k, err)
				}
			}
		}
	}
	b.results.printThroughput(os.Stdout)
	if *perSecond > 0 {
		b.results.printSteady(os.Stdout, *perSecond)
	}
	return b.profiles()
}

// alone measures the load and the service with nothing in between: what no peer can be faster than here.
func (b *bench) alone() error {
	for _, k := range kinds {
		to := b.service.Addr().String()
		done, err := wrk(b.dir, to, texts(k, to, b.tokens), *seconds)
		if err != nil {
			return err
		}
		b.results.add(upstreamName, k, sample{perSecond: float64(done.Requests) / done.Microseconds * 1e6, p50: done.P50, p99: done.P99})
		if err := b.steadyTurn(upstreamName, to, k); err != nil {
			return err
		}
	}
	return nil
}

// turn lets one peer answer one kind of request for a while, first as fast as it can, then at the constant rate.
func (b *bench) turn(p *process, k kind) error {
	requests := texts(k, p.address, b.tokens)
	if _, err := wrk(b.dir, p.address, requests, 1); err != nil { // connections, pools and caches
		return err
	}
	mallocs, err1 := p.mallocs()
	used, err2 := p.cpu()
	answered := b.service.answered.Load()
	done, err3 := wrk(b.dir, p.address, requests, *seconds)
	usedAfter, err4 := p.cpu()
	mallocsAfter, err5 := p.mallocs()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	// The service's count holds the few requests that wrk did not wait for at its end, too: what the CPU was used for.
	count := b.service.answered.Load() - answered
	if count < done.Requests {
		return fmt.Errorf("wrk had %d answers, and the service gave %d", done.Requests, count)
	}
	b.results.add(p.name, k, sample{
		cpu: float64((usedAfter - used).Microseconds()) / float64(count), mallocs: (mallocsAfter - mallocs) / float64(count),
		perSecond: float64(done.Requests) / done.Microseconds * 1e6, p50: done.P50, p99: done.P99,
	})
	return b.steadyTurn(p.name, p.address, k)
}

func (b *bench) steadyTurn(name, to string, k kind) error {
	if *perSecond == 0 {
		return nil
	}
	done, err := steady(to, texts(k, to, b.tokens), *perSecond, *seconds)
	if err != nil {
		return fmt.Errorf("at a constant rate: %w", err)
	}
	b.results.addSteady(name, k, done)
	return nil
}

// profiles takes a CPU profile of the gateway under each kind of load, when -profile asks for it.
func (b *bench) profiles() error {
	if *profile == "" {
		return nil
	}
	for _, p := range b.running {
		if p.name != gatewayName {
			continue
		}
		for _, k := range kinds {
			if err := b.profileOf(p, k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) profileOf(p *process, k kind) error {
	loaded := make(chan error, 1)
	go func() {
		_, err := wrk(b.dir, p.address, texts(k, p.address, b.tokens), *seconds+2)
		loaded <- err
	}()
	time.Sleep(time.Second) // into the load
	address := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", p.metrics[:len(p.metrics)-len("/metrics")], *seconds)
	answer, err := http.Get(address)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, <-loaded); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*profile, fmt.Sprintf("gateway-%s.pprof", k)), text, 0o600)
}
