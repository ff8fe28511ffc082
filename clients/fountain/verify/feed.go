package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MaxSilence is how long the revocation feed may go unread. After that no token is accepted, because it could have been
// revoked.
const MaxSilence = 30 * time.Second

const (
	longPoll     = 5 * time.Second // how long the kms holds a request open
	callTimeout  = 4 * time.Second // in addition to the wait
	shortestPoll = 200 * time.Millisecond
	pageSize     = 1000
	maxPage      = 1 << 20 // bytes of a page
	maxEnded     = 1 << 20 // limit of revocations in memory, of about 200 bytes each
	firstPause   = 100 * time.Millisecond
	lastPause    = 2 * time.Second
	sweepPause   = time.Minute
)

var (
	errSilent  = fmt.Errorf("the revocation feed was not read for %s", MaxSilence)
	errTooMany = errors.New("more has ended than can be held")
)

// Feed configures the revocation feed. APIKey is required.
type Feed struct {
	// APIKey returns the text of the service's own API key, which needs the scope revocations:read. It is called
	// whenever a token is needed, so that a key in a file can be replaced. A key from enrolment expires after a year.
	APIKey func() (string, error)
	// KMSURL is the address of the kms, or of a gateway in front of it, without /kms/v1. The default is the issuer.
	KMSURL string
	// TokenURL is the token endpoint for the key. The default is the one in the issuer's metadata.
	TokenURL string
}

// follower reads the revocation feed of the kms (openapi/kms.yaml, listRevocations) and keeps the revocations that
// still matter.
type follower struct {
	config     Config
	url        string
	credential *credential
	renewKeys  func(context.Context) error // fetches the key set again

	mu       sync.Mutex
	feed     string
	position int64
	heard    time.Time                       // when the last complete page arrived; zero: never
	byID     map[string]map[string]time.Time // kind -> id -> until
	owners   map[string]ownerEnd
}

// ownerEnd says that a subject's tokens with a lower epoch are revoked.
type ownerEnd struct {
	epoch int64
	until time.Time
}

func newFollower(f Feed, c Config, renewKeys func(context.Context) error) (*follower, error) {
	if f.APIKey == nil {
		return nil, errors.New("verify: the feed needs the service's own API key")
	}
	for what, text := range map[string]string{"KMSURL": f.KMSURL, "TokenURL": f.TokenURL} {
		if text != "" && !isHTTP(text) {
			return nil, fmt.Errorf("verify: Feed.%s is not an http or https URL", what)
		}
	}
	base := f.KMSURL
	if base == "" {
		base = c.Issuer
	}
	out := &follower{config: c, url: strings.TrimSuffix(base, "/") + "/kms/v1/revocations", credential: &credential{config: c, apiKey: f.APIKey, tokenURL: f.TokenURL}, renewKeys: renewKeys}
	out.forget()
	return out, nil
}

// forget drops all known revocations. Outside New the caller holds the lock.
func (f *follower) forget() {
	f.byID = map[string]map[string]time.Time{"token": {}, "session": {}, "key": {}, "signing-key": {}}
	f.owners = map[string]ownerEnd{}
}

func (f *follower) silent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silentLocked()
}

func (f *follower) silentLocked() bool {
	age := f.config.Now().Sub(f.heard)       // monotonic, if Now has a monotonic clock
	return age > MaxSilence || age < -leeway // if the feed was never read, heard is zero and age is very large
}

// ended reports whether the principal's token, signed with the key kid, has been revoked. It returns errSilent if that
// cannot be determined.
func (f *follower) ended(p *Principal, kid string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silentLocked() {
		return false, errSilent
	}
	if end, known := f.owners[p.Subject]; known && p.Epoch < end.epoch {
		return true, nil
	}
	_, token := f.byID["token"][p.TokenID]
	_, key := f.byID["key"][p.ClientID]
	_, session := f.byID["session"][p.SessionID]
	_, signer := f.byID["signing-key"][kid]
	return token || key || signer || session && p.SessionID != "", nil
}

// run follows the feed until ctx ends.
func (f *follower) run(ctx context.Context) error {
	pause, failing, swept := firstPause, false, time.Now()
	for ctx.Err() == nil {
		err := f.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !failing {
				failing = true
				f.config.Log.WarnContext(ctx, "the revocation feed can't be read; after 30 s of it no token is accepted", "error", err)
			}
			if !rest(ctx, pause/2+rand.N(pause/2)) {
				return nil
			}
			pause = min(2*pause, lastPause)
		default:
			if failing {
				f.config.Log.InfoContext(ctx, "the revocation feed is read again")
			}
			pause, failing = firstPause, false
		}
		if time.Since(swept) > sweepPause {
			f.sweep(f.config.Now())
			swept = time.Now()
		}
	}
	return nil
}

// ending is one revocation (openapi/kms.yaml, Revocation).
type ending struct {
	Kind  string    `json:"kind"`
	ID    string    `json:"id"`
	Epoch int64     `json:"epoch"`
	Until time.Time `json:"until"` // no token that it revokes can exist after that
}

type feedPage struct {
	Feed     string   `json:"feed"`
	Position int64    `json:"position"`
	Items    []ending `json:"items"`
}

// read requests the page after the known position. If there is nothing new, the kms holds the request open.
func (f *follower) read(ctx context.Context) error {
	f.mu.Lock()
	feed, position, first := f.feed, f.position, f.heard.IsZero()
	f.mu.Unlock()
	wait, asked := longPoll, time.Now()
	if first {
		wait = 0 // to be ready as soon as possible
	}
	page, err := f.fetch(ctx, feed, position, wait)
	if err != nil {
		return fmt.Errorf("read the revocation feed: %w", err)
	}
	if !first && len(page.Items) == 0 && time.Since(asked) < shortestPoll {
		rest(ctx, shortestPoll) // a kms that is shutting down, or a proxy, does not hold requests open
	}
	if page.Feed != feed || page.Position < position {
		// apply drops the revocations of the previous feed. They may concern tokens of keys that the kms no longer has,
		// but that a cached key set still contains. So the key set is fetched again first.
		if err := f.renewKeys(ctx); err != nil {
			return fmt.Errorf("fetch the key set for another revocation feed: %w", err)
		}
	}
	return f.apply(ctx, page, feed, position)
}

// apply adds a page that was requested from a position of a feed. A page of another feed, or from before the position,
// replaces everything known before.
func (f *follower) apply(ctx context.Context, page feedPage, feed string, position int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if page.Feed != feed || page.Position < position {
		if feed != "" {
			f.config.Log.WarnContext(ctx, "the kms has a different revocation feed than before: was its database restored or replaced?")
		}
		f.forget() // the page starts at the beginning of the feed
	}
	for _, e := range page.Items {
		f.add(e)
	}
	f.feed, f.position = page.Feed, page.Position
	if f.held() > maxEnded {
		return fmt.Errorf("read the revocation feed: %w", errTooMany) // heard stays as it is, so the feed counts as silent
	}
	if len(page.Items) < pageSize { // a full page: there may be more that must be read first
		f.heard = f.config.Now()
	}
	return nil
}

// add adds a revocation. Kinds from a later release, and those that concern no token, are ignored.
func (f *follower) add(e ending) {
	if e.Kind == "owner" {
		if known := f.owners[e.ID]; e.Epoch >= known.epoch {
			f.owners[e.ID] = ownerEnd{e.Epoch, e.Until}
		}
		return
	}
	if ids := f.byID[e.Kind]; ids != nil && e.Until.After(ids[e.ID]) {
		ids[e.ID] = e.Until
	}
}

func (f *follower) held() int {
	n := len(f.owners)
	for _, ids := range f.byID {
		n += len(ids)
	}
	return n
}

// sweep removes revocations that can no longer concern any token.
func (f *follower) sweep(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ids := range f.byID {
		for id, until := range ids {
			if now.After(until) {
				delete(ids, id)
			}
		}
	}
	for id, end := range f.owners {
		if now.After(end.until) {
			delete(f.owners, id)
		}
	}
}

func (f *follower) fetch(ctx context.Context, feed string, after int64, wait time.Duration) (feedPage, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+callTimeout)
	defer cancel()
	token, err := f.credential.token(ctx)
	if err != nil {
		return feedPage{}, err
	}
	query := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(pageSize)}}
	if feed != "" {
		query.Set("feed", feed)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"?"+query.Encode(), nil)
	if err != nil {
		return feedPage{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if wait > 0 {
		req.Header.Set("Prefer", "wait="+strconv.Itoa(int(wait/time.Second))) // RFC 7240, section 4.3
	}
	answer, err := f.config.Client.Do(req)
	if err != nil {
		return feedPage{}, err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		f.credential.drop()
		return feedPage{}, errors.New("the kms does not accept the service's token")
	case http.StatusForbidden:
		f.credential.drop() // the scope may be granted in the meantime
		return feedPage{}, errors.New("the service lacks the scope revocations:read")
	default:
		return feedPage{}, fmt.Errorf("the kms answered %d", answer.StatusCode)
	}
	raw, err := readBounded(answer.Body, maxPage)
	if err != nil {
		return feedPage{}, err
	}
	var page feedPage
	if json.Unmarshal(raw, &page) != nil || page.Feed == "" {
		return feedPage{}, errors.New("the kms's answer is not a page of the feed")
	}
	return page, nil
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
