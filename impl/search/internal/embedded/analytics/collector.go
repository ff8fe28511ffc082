// Package analytics counts what is searched and clicked between two times at which the counts go into collections. It follows the public documentation ("Analytics & Query Suggestions"):
// a query counts when the one who typed it pauses after it.
package analytics

import (
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

const (
	// Pause is how long nothing follows a query that counts: what is typed on is not one yet.
	Pause = 4 * time.Second
	// maxWaiting bounds the queries that may still be typed on, maxCounted the different queries and documents with a count, maxQueryBytes one query. What is beyond is not counted.
	maxWaiting    = 10_000
	maxCounted    = 100_000
	maxQueryBytes = 512
	maxUserBytes  = 128
)

// Counts are numbers of queries, or for documents what their events add up to, by the name of a rule and the query or the id.
type Counts map[string]map[string]int64

// Collector counts. It is safe for concurrent use.
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

// typist is who types into what.
type typist struct{ user, collection string }

// query is what was typed last, and the rules that count it.
type query struct {
	text  string
	rules []string
	at    time.Time
}

// New makes a collector without counts.
func New(c clock.Clock) *Collector {
	return &Collector{clock: c, waiting: map[typist]query{}, queries: Counts{}, documents: Counts{}}
}

// Typed notes a query of a user in a collection. It counts for the rules, which may be none, when nothing follows it within Pause.
func (c *Collector) Typed(user, collection, text string, rules []string) {
	if len(text) > maxQueryBytes { // it counts for nothing, and ends what was typed before
		text = ""
	}
	// Copies: each may be a small part of a large text, which would be held with it.
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

// settle counts the queries after which there was a pause. The caller holds mu.
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

// Take returns what was counted since the last time, and how much was not for want of room.
func (c *Collector) Take() (queries, documents Counts, lost int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(c.clock.Now())
	queries, documents, lost = c.queries, c.documents, c.lost
	c.queries, c.documents, c.counted, c.lost = Counts{}, Counts{}, 0, 0
	return queries, documents, lost
}
