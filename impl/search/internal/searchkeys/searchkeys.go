// Package searchkeys creates keys with which browsers can call the search engine directly, limited to one collection, a period and a
// filter. They are Typesense's scoped search keys. They are derived from a parent, a key of the engine that permits only searches, without
// a call to the engine.
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

// SecretName is the name of the kms secret from which parents are derived.
const SecretName = "search.search-keys"

// MaxLife is the maximum lifetime of a key. Parents outlive every key that is derived from them.
const MaxLife = 24 * time.Hour

const (
	// aliasPrefix begins the aliases through which keys reach their collections. Names in the contract have no capitals, so that none
	// collides.
	aliasPrefix = "SEARCHKEY_"
	// description is the start of the description of each parent at the engine.
	description = "fountain: parent of search keys of "
	// maxParams limits the size in bytes of a key's parameters, because the key is sent in headers.
	maxParams = 6 << 10
	prefixLen = 4
	day       = 24 * time.Hour
	// parentLife is counted from the start of the day of the parent. A key that is created at the end of that day still gets MaxLife.
	parentLife = 3 * day
)

// Secret is the source of the secret from which parents are derived.
type Secret interface {
	Key() string
	Refresh(ctx context.Context) error
}

// Minter creates keys. It is safe for concurrent use.
type Minter struct {
	engine *engine.Engine
	secret Secret
	clock  clock.Clock

	mu sync.Mutex
	// there caches the aliases with their targets, and the parents, that the engine is known to have. Parents are stored as digests.
	there map[string]string
}

// New returns a Minter.
func New(e *engine.Engine, secret Secret, c clock.Clock) *Minter {
	return &Minter{engine: e, secret: secret, clock: c, there: map[string]string{}}
}

// Alias returns the alias of a collection for keys. A later collection of the same name has a different alias, so that a key never reaches
// it. A reindex keeps the alias.
func Alias(c *owner.Collection) string {
	return aliasPrefix + strconv.FormatInt(c.Claimed.UnixMicro(), 36) + "_" + c.Name.Engine()
}

// Limits restrict a key. Filter is in the engine's language, translated from typed values; "" means no filter.
type Limits struct {
	Filter        string
	ExcludeFields []string
	PerPage       int // 0 means no limit
	Life          time.Duration
	// Overrides enables curations. It must be false for tenant-scoped collections, because a pinned document could belong to another
	// tenant.
	Overrides bool
}

// Key is a key, the alias of its collection, and its expiry.
type Key struct {
	Text       string
	Collection string
	ExpiresAt  time.Time
}

// embeddedParams are the parameters embedded in a key. Callers can't override them, and their own filter applies in addition.
type embeddedParams struct {
	Filter          string `json:"filter_by,omitempty"`
	FilterPins      bool   `json:"filter_curated_hits,omitempty"`
	Exclude         string `json:"exclude_fields,omitempty"`
	Overrides       *bool  `json:"enable_overrides,omitempty"`
	Curations       *bool  `json:"enable_curations,omitempty"` // what Typesense 30 calls overrides
	PerPage         int    `json:"per_page,omitempty"`
	LimitMultiQuery int    `json:"limit_multi_searches"`
	ExpiresAt       int64  `json:"expires_at"`
}

// Mint creates a key. Problems: validation_failed (the filter is too long), engine_unavailable.
func (m *Minter) Mint(ctx context.Context, c *owner.Collection, l Limits) (k Key, err error) {
	now := m.clock.Now()
	k = Key{Collection: Alias(c), ExpiresAt: now.Add(min(l.Life, MaxLife)).UTC().Truncate(time.Second)}
	params := embeddedParams{Filter: l.Filter, FilterPins: l.Filter != "", Exclude: strings.Join(l.ExcludeFields, ","), PerPage: l.PerPage, LimitMultiQuery: 10, ExpiresAt: k.ExpiresAt.Unix()}
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

// scoped returns a scoped key in Typesense's format.
func scoped(parent string, params []byte) string {
	mac := hmac.New(sha256.New, []byte(parent))
	mac.Write(params)
	raw := base64.StdEncoding.AppendEncode(nil, mac.Sum(nil))
	return base64.StdEncoding.EncodeToString(append(append(raw, parent[:prefixLen]...), params...))
}

// parent returns the parent key of the current day for an alias, and makes sure that the engine has it. All instances derive the same key.
// It expires by itself, so that none is left behind.
func (m *Minter) parent(ctx context.Context, alias string, now time.Time) (string, error) {
	secret := m.secret.Key()
	if secret == "" {
		if err := m.secret.Refresh(ctx); err != nil {
			return "", problem.New(problem.EngineUnavailable, "Keys cannot be created at the moment.").WithRetryAfter(2 * time.Second).Wrap(err)
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
	if err != nil && !errors.Is(err, problem.AlreadyExists) { // another instance was faster
		return "", err
	}
	m.note(mark, "")
	return value, nil
}

// alias makes the engine have the alias of a collection.
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

// Forget deletes the alias of a collection from the engine. It is called before the collection is deleted: another collection may take its
// name at the engine at once, and the alias would then lead to that. It is called again afterwards, because a key may have been created in
// between.
func (m *Minter) Forget(ctx context.Context, c *owner.Collection) error {
	m.mu.Lock()
	delete(m.there, "alias:"+Alias(c))
	m.mu.Unlock()
	if err := m.engine.DeleteRecord(ctx, tsclient.Aliases, "", Alias(c)); err != nil && !errors.Is(err, problem.NotFound) && !engine.Denied(err) { // a key without permission for aliases has not created any
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

// Tend points aliases at the current collections of the engine, which reindexes replace, and deletes aliases and parents that are no longer
// needed. collections returns the existing collections. It is called after the aliases are read, so that the alias of a collection that is
// created in the meantime is kept. What the engine has lost is restored with the next key.
func (m *Minter) Tend(ctx context.Context, collections func(ctx context.Context) ([]*owner.Collection, error)) error {
	m.mu.Lock()
	m.there = map[string]string{}
	m.mu.Unlock()
	aliases, err := m.engine.Records(ctx, tsclient.Aliases, "")
	var keys []engine.KeyInfo
	if err == nil {
		keys, err = m.engine.Keys(ctx)
	}
	if engine.Denied(err) { // the engine's key can't create search keys: there is nothing to do
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

// tendAliases updates or deletes aliases. It continues after an alias that the engine refuses.
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
