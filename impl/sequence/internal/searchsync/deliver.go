package searchsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/outbox"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	topic = "elements"
	// Batch is how many elements are delivered to the search service together.
	Batch = 500
	// maxCall bounds the documents of one call, in bytes; the contract's limit of its body is 16 MiB.
	maxCall = 8 << 20
	walk    = 1000 // elements enqueued in one transaction of a rebuild
)

// Options configure a Syncer.
type Options struct {
	DB         *database.DB
	Store      *store.Store
	URL        string // of the search service, without /search/v1
	Client     *http.Client
	Identity   Identity
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Syncer delivers elements to the search service, and searches there.
type Syncer struct {
	Options
	remote  *remote
	missing chan struct{} // tells Run that the collection may be missing
	synced  *prometheus.CounterVec
}

// New returns a Syncer.
func New(o Options) (*Syncer, error) {
	r, err := newRemote(o.URL, o.Client, o.Identity)
	if err != nil {
		return nil, err
	}
	s := &Syncer{
		Options: o, remote: r, missing: make(chan struct{}, 1),
		synced: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fountain_sequence_search_documents_total",
			Help: "Documents sent to the search service by outcome: ok, reduced (without what can be filtered by), error (tried again, or a dead letter).",
		}, []string{"outcome"}),
	}
	o.Registerer.MustRegister(s.synced)
	return s, nil
}

// Enqueue marks elements as changed, in the transaction that changes them.
func Enqueue(ctx context.Context, tx *database.Tx, touched []domain.Ref) (err error) {
	defer tried.To(&err, "mark elements for search")
	keys := make([]string, len(touched))
	for i, r := range touched {
		keys[i] = Key(r)
	}
	return outbox.EnqueueKeys(ctx, tx, topic, keys)
}

// item is one message of a batch that is being delivered.
type item struct {
	index   int // in the batch
	element domain.Element
	exists  bool
	key     string
}

// Deliver sends the present state of the elements to the search service. Elements that the service refuses are reported one by one in an *outbox.PartialError: those that it would refuse
// again become dead letters, and the others are tried again. Any other error is one of the whole batch.
func (s *Syncer) Deliver(ctx context.Context, batch []outbox.Message) error {
	items, failed, err := s.load(ctx, batch)
	if err != nil {
		return err
	}
	refused, err := s.send(ctx, items, true)
	if err != nil {
		return err
	}
	// A document that is refused for good may be accepted without its attributes. Then the element can at least be found by its words.
	var again []item
	for _, i := range refused {
		if i.exists && i.forGood {
			again = append(again, i.item)
		} else {
			failed[i.index] = i.failure()
		}
	}
	stillRefused, err := s.send(ctx, again, false)
	if err != nil {
		return err
	}
	for _, i := range stillRefused {
		failed[i.index] = i.failure()
	}
	s.count(len(items)-len(refused), len(again)-len(stillRefused), len(failed))
	if len(failed) > 0 {
		return &outbox.PartialError{Failed: failed}
	}
	return nil
}

func (s *Syncer) count(whole, reduced, refused int) {
	s.synced.WithLabelValues("ok").Add(float64(whole))
	s.synced.WithLabelValues("reduced").Add(float64(reduced))
	s.synced.WithLabelValues("error").Add(float64(refused))
}

// load reads the present state of the elements. failed has the messages, by index, whose key is not that of an element.
func (s *Syncer) load(ctx context.Context, batch []outbox.Message) (items []item, failed map[int]error, err error) {
	failed = map[int]error{}
	var refs []domain.Ref
	for i, m := range batch {
		r, err := ParseKey(m.Key)
		if err != nil {
			failed[i] = &outbox.FinalError{Reason: reasonBadKey, Err: err}
			continue
		}
		refs = append(refs, r)
		items = append(items, item{index: i, key: m.Key})
	}
	elements, err := s.Store.Current(ctx, refs)
	if err != nil {
		return nil, nil, err
	}
	byRef := make(map[domain.Ref]domain.Element, len(elements))
	for _, e := range elements {
		byRef[e.Ref] = e
	}
	for i := range items {
		items[i].element, items[i].exists = byRef[refs[i]]
	}
	return items, failed, nil
}

// refusedItem is an item that was not taken, and why.
type refusedItem struct {
	item
	err     error
	code    string // the reason, as a code
	forGood bool   // the same document would be refused again
}

// The reasons of dead letters that are not codes of the search service.
const (
	reasonBadKey      = "invalid_key"      // written by another release
	reasonBadDocument = "invalid_document" // the element's data can't be read
)

// failure returns the error of the item for the outbox: an *outbox.FinalError when a repeat would be refused too.
func (r refusedItem) failure() error {
	if r.forGood {
		return &outbox.FinalError{Reason: r.code, Err: r.err}
	}
	return r.err
}

// send sends items to the search service in calls of bounded size. It returns the items that were refused one by one.
func (s *Syncer) send(ctx context.Context, items []item, attributes bool) (refused []refusedItem, err error) {
	var call []search.SyncItem
	var of []item
	size := 0
	flush := func() error {
		if len(call) == 0 {
			return nil
		}
		some, err := s.call(ctx, call, of)
		refused = append(refused, some...)
		call, of, size = nil, nil, 0
		return err
	}
	for _, i := range items {
		sync := search.SyncItem{ID: i.key, Op: search.SyncItemOpDelete} // the element is gone since a backup was restored
		if i.exists {
			doc, err := document(i.element, attributes)
			if err != nil {
				refused = append(refused, refusedItem{i, err, reasonBadDocument, true})
				continue
			}
			sync.Op, sync.Document = search.SyncItemOpUpsert, &doc
			size += len(doc)
		}
		call, of = append(call, sync), append(of, i)
		if size >= maxCall {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return refused, flush()
}

// call makes one call. When the collection is missing, the call fails and Run is asked to create the collection, so that a later try succeeds.
func (s *Syncer) call(ctx context.Context, call []search.SyncItem, of []item) (refused []refusedItem, err error) {
	result, err := s.remote.sync(ctx, call)
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusNotFound {
		s.Rebuild()
	}
	if err != nil {
		return nil, err
	}
	if len(result.Results) != len(call) {
		return nil, errors.New("search service did not report the outcome of every document")
	}
	for i, outcome := range result.Results {
		if outcome.Status != search.SyncOutcomeStatusOk {
			refused = append(refused, refusedItem{
				of[i], fmt.Errorf("search service refused the document: %s", text(outcome.Code)), text(outcome.Code), outcome.Retryable == nil || !*outcome.Retryable,
			})
		}
	}
	return refused, nil
}

func text(s *string) string {
	if s == nil {
		return "unknown"
	}
	return *s
}

// Rebuild asks Run to create the collection if it is missing.
func (s *Syncer) Rebuild() {
	select {
	case s.missing <- struct{}{}:
	default: // Run has been asked already
	}
}

// Run creates the collection whenever it is missing, until ctx ends.
func (s *Syncer) Run(ctx context.Context) error {
	for lifecycle.Retry(ctx, s.Log, "the search collection", s.ensure) == nil {
		select {
		case <-s.missing:
		case <-ctx.Done():
		}
	}
	return nil
}

// ensure creates the collection if it is missing. It first adds all elements to the outbox, so that a lost collection becomes
// complete again even when the process ends halfway.
func (s *Syncer) ensure(ctx context.Context) error {
	_, err := s.remote.collection(ctx)
	var r *refusal
	if !errors.As(err, &r) || r.status != http.StatusNotFound {
		return err
	}
	n, err := s.enqueueAll(ctx)
	if err != nil {
		return err
	}
	err = s.remote.create(ctx)
	if errors.As(err, &r) && r.status == http.StatusConflict {
		return nil // another replica has created it
	}
	if err == nil {
		s.Log.InfoContext(ctx, "search collection created", "elements", n)
	}
	return err
}

// EnqueueAll marks every element as changed, in one transaction. It is for a restored database, which no service uses yet.
func EnqueueAll(ctx context.Context, tx *database.Tx) error {
	var last domain.Ref
	for {
		refs, err := store.After(ctx, tx, last, walk)
		if err != nil || len(refs) == 0 {
			return err
		}
		if err := Enqueue(ctx, tx, refs); err != nil {
			return err
		}
		last = refs[len(refs)-1]
	}
}

func (s *Syncer) enqueueAll(ctx context.Context) (n int, err error) {
	var last domain.Ref
	for {
		refs, err := s.Store.After(ctx, last, walk)
		if err != nil || len(refs) == 0 {
			return n, err
		}
		err = s.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return Enqueue(ctx, tx, refs) })
		if err != nil {
			return n, err
		}
		n += len(refs)
		last = refs[len(refs)-1]
	}
}
