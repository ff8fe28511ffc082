package revocation

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
)

const (
	// MaxAge is the maximum age of the last successful read of the feed. After it no token is accepted any more, because it could have been revoked.
	MaxAge = 30 * time.Second

	longPoll     = 5 * time.Second // for which the kms holds a request open
	callTimeout  = 4 * time.Second // in addition to that
	shortestPoll = 200 * time.Millisecond
	pageSize     = 1000
	maxPage      = 1 << 20 // maximum size of a page in bytes
	firstPause   = 100 * time.Millisecond
	lastPause    = 2 * time.Second
	sweepPause   = time.Minute
	kmsAudience  = "kms"
)

// Credential provides the token for reading the feed; *credential.Source is one.
type Credential interface {
	Token(ctx context.Context, audience string) (string, error)
	Forget(audience string)
}

// Config configures a Follower. All fields except Apply and RenewKeys are required.
type Config struct {
	KMSURL     string // base URL, without /kms/v1
	Client     *http.Client
	Credential Credential
	Clock      clock.Clock // for expired entries; the age of the feed is measured by the machine's monotonic clock
	Log        *slog.Logger
	Registerer prometheus.Registerer

	// RenewKeys fetches the key set again with which tokens are verified. It is called when the kms has another feed than before: the entries of the
	// old one are dropped then, and tokens signed by the old keys must not be accepted any more. nil: there is no cached key set.
	RenewKeys func(ctx context.Context) error

	// Apply handles what an entry demands besides revoking tokens; nil: nothing. An entry may be repeated after a restart, and is repeated until
	// Apply has succeeded.
	Apply func(ctx context.Context, e Entry) error
}

// Follower keeps a Set up to date with the kms's feed. It implements auth.Revocations.
type Follower struct {
	Config
	set      *Set
	failures prometheus.Counter

	mu       sync.Mutex
	feed     string
	position int64
	turns    turns
	heard    time.Time     // time of the last successful read
	first    chan struct{} // closed at the first one
}

// NewFollower returns a follower that has not read the feed: it accepts no token before Run has read it once.
func NewFollower(c Config) *Follower {
	c.KMSURL = strings.TrimSuffix(c.KMSURL, "/")
	f := &Follower{Config: c, set: NewSet(), first: make(chan struct{}), failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fountain_revocation_feed_failures_total", Help: "Requests for the revocation feed that failed.",
	})}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	c.Registerer.MustRegister(f.failures,
		gauge("fountain_revocation_entries", "Endings that can still concern a token.", func() float64 { return float64(f.set.Len()) }),
		gauge("fountain_revocation_position", "Position in the revocation feed up to which everything is known.", func() float64 { return float64(f.at()) }),
		gauge("fountain_kms_copies", "1 while two kms answer in turn, of which one is a restored copy of the other; else 0.", f.copies),
		gauge("fountain_revocation_feed_age_seconds", "Time since the revocation feed was read.", func() float64 { return f.age().Seconds() }))
	return f
}

func (f *Follower) at() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

func (f *Follower) age() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heard.IsZero() {
		return MaxAge + time.Second
	}
	return time.Since(f.heard)
}

// Revoked implements auth.Revocations.
func (f *Follower) Revoked(p *auth.Principal) (bool, error) {
	if f.age() > MaxAge {
		return false, auth.ErrUnknownRevocations
	}
	return f.set.Ended(p), nil
}

// Unended returns keys without those that the feed has revoked, for what is verified apart from access tokens.
func (f *Follower) Unended(keys auth.KeySource) auth.KeySource { return unended{f, keys} }

type unended struct {
	follower *Follower
	keys     auth.KeySource
}

// Key implements auth.KeySource.
func (u unended) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	if u.follower.set.endedKey(kid) {
		return "", nil, auth.ErrUnknownKey
	}
	return u.keys.Key(ctx, kid)
}

// Ready returns nil when tokens can be accepted; otherwise the error says why not, in words that may be published.
func (f *Follower) Ready() error {
	f.mu.Lock()
	heard := f.heard
	f.mu.Unlock()
	switch {
	case heard.IsZero():
		return errors.New("it has not read the revocation feed yet")
	case time.Since(heard) > MaxAge:
		return fmt.Errorf("it has not read the revocation feed for %s", MaxAge)
	case f.copies() > 0:
		return errors.New("two kms answer it in turn, and one of them is a copy of the other")
	}
	return nil
}

func (f *Follower) copies() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turns.taken(time.Now()) {
		return 1
	}
	return 0
}

// Heard returns a channel that is closed when the whole feed was read for the first time.
func (f *Follower) Heard() <-chan struct{} { return f.first }

// Run follows the feed until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	pause, failing, swept := firstPause, false, time.Now()
	for ctx.Err() == nil {
		err := f.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			f.failures.Inc()
			if pause == lastPause && !failing {
				failing = true
				f.Log.WarnContext(ctx, "the revocation feed can't be read", "error", err)
			}
			if !rest(ctx, pause/2+rand.N(pause/2)) {
				return nil
			}
			pause = min(2*pause, lastPause)
		default:
			if failing {
				f.Log.InfoContext(ctx, "the revocation feed is read again")
			}
			pause, failing = firstPause, false
		}
		if time.Since(swept) > sweepPause {
			f.set.Sweep(f.Clock.Now())
			swept = time.Now()
		}
	}
	return nil
}

// page is the answer of listRevocations.
type page struct {
	Feed     string  `json:"feed"`
	Position int64   `json:"position"`
	Items    []Entry `json:"items"`
}

// read requests the entries after the known position; when there are none the kms holds the request open.
func (f *Follower) read(ctx context.Context) error {
	f.mu.Lock()
	feed, position, first := f.feed, f.position, f.heard.IsZero()
	f.mu.Unlock()
	wait, asked := longPoll, time.Now()
	if first {
		wait = 0 // become ready at once
	}
	p, err := f.fetch(ctx, feed, position, wait)
	if err != nil {
		return fmt.Errorf("read the revocation feed: %w", err)
	}
	if !first && len(p.Items) == 0 && time.Since(asked) < shortestPoll {
		rest(ctx, shortestPoll) // a kms that is stopping, or a proxy, does not hold requests open
	}
	if p.Feed != feed || p.Position < position {
		if feed != "" {
			f.logFeedChange(ctx, feed, p.Feed, position)
		}
		if f.RenewKeys != nil {
			if err := f.RenewKeys(ctx); err != nil {
				return fmt.Errorf("fetch the key set for another revocation feed: %w", err)
			}
		}
		f.set.Reset() // the page starts at the feed's beginning
	}
	f.set.Add(p.Items...)
	for _, e := range p.Items {
		if f.Apply == nil {
			break
		}
		if err := f.Apply(ctx, e); err != nil {
			return fmt.Errorf("apply entry %d of the revocation feed: %w", e.Position, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.feed, f.position = p.Feed, p.Position
	if len(p.Items) == pageSize {
		return nil // the rest must be read first
	}
	if f.heard.IsZero() {
		close(f.first)
	}
	f.heard = time.Now()
	return nil
}

// logFeedChange logs that the kms has another feed than before, or an older state of it.
func (f *Follower) logFeedChange(ctx context.Context, from, to string, position int64) {
	f.mu.Lock()
	before := f.turns.taken(time.Now())
	f.turns.change(from, to, time.Now())
	taken := f.turns.taken(time.Now())
	f.mu.Unlock()
	switch {
	case taken && !before:
		f.Log.ErrorContext(ctx, "two kms answer in turn, and one of them is a copy of the other: stop the copy; until then revocations are unknown", "position", position)
	case !taken:
		f.Log.WarnContext(ctx, "the kms has a different revocation feed than before: was its database restored or replaced?", "position", position)
	}
}

func (f *Follower) fetch(ctx context.Context, feed string, after int64, wait time.Duration) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+callTimeout)
	defer cancel()
	token, err := f.Credential.Token(ctx, kmsAudience)
	if err != nil {
		return page{}, err
	}
	query := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(pageSize)}}
	if feed != "" {
		query.Set("feed", feed)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.KMSURL+"/kms/v1/revocations?"+query.Encode(), nil)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if wait > 0 {
		req.Header.Set("Prefer", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	answer, err := f.Client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusUnauthorized {
		f.Credential.Forget(kmsAudience)
	}
	if answer.StatusCode != http.StatusOK {
		return page{}, fmt.Errorf("the kms answered %d", answer.StatusCode)
	}
	var p page
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxPage)).Decode(&p); err != nil {
		return page{}, errors.New("the kms's answer is not a page of the feed")
	}
	if p.Feed == "" {
		return page{}, errors.New("the kms's answer names no feed")
	}
	return p, nil
}

func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
