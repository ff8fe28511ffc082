// Package searchkeys makes keys by which a browser may ask the search engine itself: of one collection, for a while, within a filter. They are Typesense's scoped search keys: whoever knows a parent, a key of the
// engine that may do nothing but search, makes them without asking the engine.
package searchkeys

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/problem"
)

// SecretName is where the kms keeps the secret that parents come from.
const SecretName = "search.search-keys"

// MaxLife is how long a key may live. Parents outlive every key that is made of them.
const MaxLife = 24 * time.Hour

const (
	// aliasPrefix begins the names by which keys reach their collections. No collection of the contract has capitals.
	aliasPrefix = "SEARCHKEY_"
	// description begins that of each parent at the engine.
	description = "fountain: parent of search keys of "
	// maxParams bounds what a key carries, in bytes: it travels in headers.
	maxParams = 6 << 10
	prefixLen = 4
	day       = 24 * time.Hour
	// parentLife of the day on which it is made first: a key that is made at the day's end lives a day.
	parentLife = 3 * day
)

// Secret gives what parents are derived from.
type Secret interface {
	Key() string
	Refresh(ctx context.Context) error
}

// Minter makes keys. It is safe for concurrent use.
type Minter struct {
	engine *engine.Engine
	secret Secret
	clock  clock.Clock

	mu sync.Mutex
	// there are the aliases, with what they stand for, and parents that the engine had when it was last looked at. Parents are kept by their digests.
	there map[string]string
}

// New returns a Minter.
func New(e *engine.Engine, secret Secret, c clock.Clock) *Minter {
	return &Minter{engine: e, secret: secret, clock: c, there: map[string]string{}}
}

// Alias is the collection's name for keys. A later collection of its name has another, so that a key never reaches it; a reindex keeps it.
func Alias(c *owner.Collection) string {
	return aliasPrefix + strconv.FormatInt(c.Claimed.UnixMicro(), 36) + "_" + c.Name.Engine()
}

// Limits are what a key is held to. Filter is in the engine's language, made of typed values; empty is none.
type Limits struct {
	Filter        string
	ExcludeFields []string
	PerPage       int // 0 is no bound of its own
	Life          time.Duration
	// Overrides lets curations hold; what they pin is not another tenant's then.
	Overrides bool
}

// Key is a key, the name that the collection has for it, and its end.
type Key struct {
	Text       string
	Collection string
	ExpiresAt  time.Time
}

// carried are the parameters that a key carries. A caller can't override them, and its own filter holds beside theirs.
type carried struct {
	Filter          string `json:"filter_by,omitempty"`
	FilterPins      bool   `json:"filter_curated_hits,omitempty"`
	Exclude         string `json:"exclude_fields,omitempty"`
	Overrides       *bool  `json:"enable_overrides,omitempty"`
	Curations       *bool  `json:"enable_curations,omitempty"` // what Typesense 30 calls overrides
	PerPage         int    `json:"per_page,omitempty"`
	LimitMultiQuery int    `json:"limit_multi_searches"`
	ExpiresAt       int64  `json:"expires_at"`
}

// Mint makes a key. Problems: validation_failed (the filter is too long), engine_unavailable.
func (m *Minter) Mint(ctx context.Context, c *owner.Collection, l Limits) (k Key, err error) {
	now := m.clock.Now()
	k = Key{Collection: Alias(c), ExpiresAt: now.Add(min(l.Life, MaxLife)).UTC().Truncate(time.Second)}
	params := carried{Filter: l.Filter, FilterPins: l.Filter != "", Exclude: strings.Join(l.ExcludeFields, ","), PerPage: l.PerPage, LimitMultiQuery: 10, ExpiresAt: k.ExpiresAt.Unix()}
	if !l.Overrides {
		params.Overrides, params.Curations = &l.Overrides, &l.Overrides
	}
	text, err := json.Marshal(params)
	if err != nil {
		return Key{}, fmt.Errorf("write parameters of search key: %w", err)
	}
	if len(text) > maxParams {
		return Key{}, problem.New(problem.ValidationFailed, "The filter is too long for a key.").WithField("body", "/filter", "maxLength", "is too long as a whole")
	}
	parent, err := m.parent(ctx, k.Collection, now)
	if err != nil {
		return Key{}, err
	}
	if err := m.alias(ctx, k.Collection, c.Engine()); err != nil {
		return Key{}, err
	}
	k.Text = scoped(parent, text)
	return k, nil
}

// scoped is Typesense's form of a scoped key.
func scoped(parent string, params []byte) string {
	mac := hmac.New(sha256.New, []byte(parent))
	mac.Write(params)
	raw := base64.StdEncoding.AppendEncode(nil, mac.Sum(nil))
	return base64.StdEncoding.EncodeToString(append(append(raw, parent[:prefixLen]...), params...))
}

// parent is the key of the day for an alias, which the engine has when this returns. All instances derive the same; one ends with its day and those after, so that none is left behind.
func (m *Minter) parent(ctx context.Context, alias string, now time.Time) (string, error) {
	secret := m.secret.Key()
	if secret == "" {
		if err := m.secret.Refresh(ctx); err != nil {
			return "", problem.New(problem.EngineUnavailable, "Keys can't be made at the moment.").WithRetryAfter(2 * time.Second).Wrap(err)
		}
		secret = m.secret.Key()
	}
	today := now.Truncate(day)
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "parent\x00%s\x00%d", alias, today.Unix())
	value := hex.EncodeToString(mac.Sum(nil))
	digest := sha256.Sum256([]byte(value))
	mark := "parent:" + hex.EncodeToString(digest[:])
	if m.has(mark, "") {
		return value, nil
	}
	err := m.engine.CreateKey(ctx, engine.SearchOnly{
		Description: description + alias, Value: value, Actions: []string{"documents:search"}, Collections: []string{regexp.QuoteMeta(alias)}, ExpiresAt: today.Add(parentLife).Unix(),
	})
	if err != nil && !errors.Is(err, problem.AlreadyExists) { // another instance was quicker
		return "", err
	}
	m.note(mark, "")
	return value, nil
}

// alias makes the engine know a collection by its name for keys.
func (m *Minter) alias(ctx context.Context, alias, physical string) error {
	if m.has("alias:"+alias, physical) {
		return nil
	}
	body, err := json.Marshal(map[string]string{"collection_name": physical})
	if err != nil {
		return fmt.Errorf("write alias: %w", err)
	}
	if err := m.engine.PutRecord(ctx, tsclient.Aliases, "", alias, body); err != nil {
		return err
	}
	m.note("alias:"+alias, physical)
	return nil
}

// Forget takes the collection's name for keys away from the engine: before the collection is deleted, whose own name another may take at once, and after, since a key may be made meanwhile.
func (m *Minter) Forget(ctx context.Context, c *owner.Collection) error {
	m.mu.Lock()
	delete(m.there, "alias:"+Alias(c))
	m.mu.Unlock()
	if err := m.engine.DeleteRecord(ctx, tsclient.Aliases, "", Alias(c)); err != nil && !errors.Is(err, problem.NotFound) && !engine.Denied(err) { // who may not take a name away has given none
		return err
	}
	return nil
}

func (m *Minter) has(what, value string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	is, ok := m.there[what]
	return ok && is == value
}

func (m *Minter) note(what, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.there[what] = value
}

// Tend keeps the names for keys on their collections, which a reindex replaces, and removes names and parents that are of no use any more. collections gives the collections that there are; it is called after the engine's
// names are read, so that one that is made meanwhile stays. What the engine has lost is made again with the next key.
func (m *Minter) Tend(ctx context.Context, collections func(ctx context.Context) ([]*owner.Collection, error)) error {
	m.mu.Lock()
	m.there = map[string]string{}
	m.mu.Unlock()
	aliases, err := m.engine.Records(ctx, tsclient.Aliases, "")
	var keys []engine.KeyInfo
	if err == nil {
		keys, err = m.engine.Keys(ctx)
	}
	if engine.Denied(err) { // the engine's key can make no search keys: there is nothing to tend
		return nil
	}
	if err != nil {
		return err
	}
	all, err := collections(ctx)
	if err != nil {
		return err
	}
	live := make(map[string]string, len(all))
	for _, c := range all {
		live[Alias(c)] = c.Engine()
	}
	return errors.Join(m.tendAliases(ctx, aliases, live), m.tendParents(ctx, keys, live))
}

// tendAliases goes on after an alias that the engine refuses.
func (m *Minter) tendAliases(ctx context.Context, aliases map[string]json.RawMessage, live map[string]string) error {
	var refused []error
	for name, record := range aliases {
		if !strings.HasPrefix(name, aliasPrefix) {
			continue
		}
		var is struct {
			Collection string `json:"collection_name"`
		}
		if err := json.Unmarshal(record, &is); err != nil {
			return fmt.Errorf("read alias: %w", err)
		}
		physical, there := live[name]
		var err error
		switch {
		case !there:
			err = m.engine.DeleteRecord(ctx, tsclient.Aliases, "", name)
		case physical != is.Collection:
			err = m.alias(ctx, name, physical)
		}
		if err == nil || errors.Is(err, problem.NotFound) {
			continue
		}
		refused = append(refused, fmt.Errorf("alias %s: %w", name, err))
		if engine.Passing(err) {
			break
		}
	}
	return errors.Join(refused...)
}

func (m *Minter) tendParents(ctx context.Context, keys []engine.KeyInfo, live map[string]string) error {
	now := m.clock.Now().Unix()
	for _, k := range keys {
		alias, ours := strings.CutPrefix(k.Description, description)
		if _, there := live[alias]; !ours || there && k.ExpiresAt > now {
			continue
		}
		if err := m.engine.DeleteKey(ctx, k.ID); err != nil && !errors.Is(err, problem.NotFound) {
			return err
		}
	}
	return nil
}
