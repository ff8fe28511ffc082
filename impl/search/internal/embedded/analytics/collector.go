// Package analytics counts searches and clicks until the counts are written to collections. It follows the public documentation ("Analytics
// & Query Suggestions"): a query counts if the user pauses after typing it.
package analytics

import (
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

const (
	// Pause is how long a user must pause after a query for it to count. A query that is continued sooner is still being typed.
	Pause = 4 * time.Second
	// maxWaiting limits the queries that may still be continued, maxCounted the distinct queries and documents with a count, and
	// maxQueryBytes the length of a query. What exceeds a limit is not counted.
	maxWaiting    = 10_000
	maxCounted    = 100_000
	maxQueryBytes = 512
	maxUserBytes  = 128
)

// Counts holds, by the name of a rule and then by query or document ID, the numbers of queries or the sums of the weights of a document's
// events.
type Counts map[string]map[string]int64

// Collector counts queries and events. It is safe for concurrent use.
type Collector struct {
	clock clock.Clock

	mu        sync.Mutex
	waiting   map[typist]query
	settled   time.Time
	queries   Counts
	documents Counts
	counted   int
	lost      int64
}

// typist identifies a user and the collection that the user searches.
type typist struct{ user, collection string }

// query is what was typed last, and the rules that count it.
type query struct {
	text  string
	rules []string
	at    time.Time
}

// New returns a Collector without counts.
func New(c clock.Clock) *Collector {
	return &Collector{clock: c, waiting: map[typist]query{}, queries: Counts{}, documents: Counts{}}
}

// Typed records a query of a user in a collection. It counts for the rules, which may be none, unless another query follows within Pause.
func (c *Collector) Typed(user, collection, text string, rules []string) {
	if len(text) > maxQueryBytes { // it is not counted, but ends what was typed before
		text = ""
	}
	// The texts are copied, because each may be a small slice of a large text that it would keep in memory.
	user, text = strings.Clone(user[:min(len(user), maxUserBytes)]), strings.Clone(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	now, who := c.clock.Now(), typist{user, collection}
	before, there := c.waiting[who]
	if there && now.Sub(before.at) >= Pause {
		c.count(c.queries, before.rules, before.text, 1)
	}
	if !there && len(c.waiting) >= maxWaiting {
		if now.Sub(c.settled) >= time.Second {
			c.settle(now)
		}
		if len(c.waiting) >= maxWaiting {
			c.lost++
			return
		}
	}
	c.waiting[who] = query{text, rules, now}
}

// Counted counts a query that was sent as an event.
func (c *Collector) Counted(text string, rules []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(c.queries, rules, text, 1)
}

// Event adds the weight of an event to a document's count.
func (c *Collector) Event(rule, id string, weight int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(c.documents, []string{rule}, id, weight)
}

// settle counts the queries that were followed by a pause. The caller holds mu.
func (c *Collector) settle(now time.Time) {
	c.settled = now
	for who, q := range c.waiting {
		if now.Sub(q.at) >= Pause {
			c.count(c.queries, q.rules, q.text, 1)
			delete(c.waiting, who)
		}
	}
}

// count adds to counts. The caller holds mu.
func (c *Collector) count(to Counts, rules []string, text string, n int64) {
	if text == "" || text == "*" || len(text) > maxQueryBytes {
		return
	}
	for _, rule := range rules {
		if to[rule] == nil {
			to[rule] = map[string]int64{}
		}
		if _, known := to[rule][text]; !known {
			if c.counted >= maxCounted {
				c.lost++
				continue
			}
			c.counted++
			text = strings.Clone(text)
		}
		to[rule][text] += n
	}
}

// Take returns and resets the counts. lost is how many queries and events were not counted because of the limits.
func (c *Collector) Take() (queries, documents Counts, lost int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(c.clock.Now())
	queries, documents, lost = c.queries, c.documents, c.lost
	c.queries, c.documents, c.counted, c.lost = Counts{}, Counts{}, 0, 0
	return queries, documents, lost
}
