package sequence

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const (
	benchClients  = 64
	benchParallel = 16 // transactions at once where each request has its own, on PostgreSQL
)

// BenchmarkAppendOverHTTP measures durable appends of 64 clients over HTTP with a token: in shared commits, with an Idempotency-Key, by the same service with one transaction for each request, by a bare
// chi handler that reads and writes the same JSON in front of the bare writer, and by one without a writer, which shows what client and machine allow. The processor time is that of the process, clients included. The search service is
// unavailable, so the figures do not include delivery to it. Compare only figures of one run.
func BenchmarkAppendOverHTTP(b *testing.B) {
	databases := []string{""}
	if os.Getenv("FOUNTAIN_TEST_POSTGRES_URL") != "" {
		databases = append(databases, "postgres")
	}
	for _, name := range databases {
		open := func(b *testing.B) database.Config {
			if name == "" {
				return database.Config{Name: "bench", Dir: b.TempDir()}
			}
			return storetest.PostgresConfig(b)
		}
		kind := map[string]string{"": "sqlite", "postgres": "postgres"}[name]
		b.Run(kind+"/shared", func(b *testing.B) { appendOverHTTP(b, newServices(b, open(b), 0, 1), false) })
		b.Run(kind+"/keys", func(b *testing.B) { appendOverHTTP(b, newServices(b, open(b), 0, 1), true) })
		services := map[string]int{"": 1, "postgres": benchParallel}[name]
		b.Run(kind+"/each", func(b *testing.B) { appendOverHTTP(b, newServices(b, open(b), 1, services), false) })
		b.Run(kind+"/bare", func(b *testing.B) { appendOverHTTP(b, newBareService(b, open(b)), false) })
		if name == "" {
			b.Run(kind+"/locks", func(b *testing.B) { appendOverHTTP(b, newLockingService(b), false) })
		}
		b.Run(kind+"/nothing", func(b *testing.B) { appendOverHTTP(b, serveBare(b, append1), false) })
	}
}

// target is a server to which a benchmark appends.
type target struct {
	urls    []string
	token   string
	commits prometheus.Gatherer // counts them; nil where there are none
}

func newServices(b *testing.B, db database.Config, maxBatch, n int) (out target) {
	f := newFamily(b)
	f.search.set(func() { f.search.away = true })
	registry := prometheus.NewRegistry()
	for at := range n {
		c := f.settings(b, db)
		c.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"instance": fmt.Sprint(at)}, registry)
		c.Log, c.maxBatch = slog.New(slog.NewJSONHandler(io.Discard, nil)), maxBatch
		i := f.launch(b, c, f)
		i.WaitReady(b)
		out.urls = append(out.urls, i.URL)
	}
	out.token, out.commits = f.token(b, program), registry
	return out
}

// bareElement is what a bare handler reads and writes.
type bareElement struct {
	ID          string          `json:"id,omitempty"`
	Scope       string          `json:"scope,omitempty"`
	ElementType string          `json:"elementType,omitempty"`
	Number      int64           `json:"number,omitempty"`
	Status      string          `json:"status,omitempty"`
	Version     int64           `json:"version,omitempty"`
	Data        json.RawMessage `json:"data"`
	CreatedAt   time.Time       `json:"createdAt"`
	UpdatedAt   time.Time       `json:"updatedAt"`
}

func newBareService(b *testing.B, c database.Config) target {
	c.Migrations, c.Log = []fs.FS{audit.Migrations, idempotency.Migrations, outbox.Migrations, store.Migrations}, slog.New(slog.DiscardHandler)
	if c.URL != "" {
		c.URL = store.Address(c.URL)
	}
	db, err := database.Open(b.Context(), c)
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close() })
	key, err := seal.FromDataKey(seal.NewDataKey())
	require.NoError(b, err)
	audittest.Open(b, db)
	registry := prometheus.NewRegistry()
	w := writer.New(writer.Options{
		DB: db, Keys: idempotency.New(key, key, clock.System), Clock: clock.System, Log: c.Log, Registerer: registry, Enqueue: searchsync.Enqueue, Committed: func(string) {},
	})
	b.Cleanup(w.Close)
	bare := serveBare(b, func(ctx context.Context, create *domain.Create) (domain.Element, error) {
		done, err := w.Do(ctx, writer.Request{Create: create})
		if err != nil {
			return domain.Element{}, err
		}
		return done.Elements[0], nil
	})
	bare.commits = registry
	return bare
}

// append1 answers as a writer would, and writes nothing.
func append1(_ context.Context, create *domain.Create) (domain.Element, error) {
	return create.Number(1, time.Now().UTC())[0], nil
}

// serveBare serves a handler that parses a request, calls a function and writes a response.
func serveBare(b *testing.B, do func(ctx context.Context, create *domain.Create) (domain.Element, error)) target {
	router := chi.NewRouter()
	router.Post("/sequence/v1/scopes/{scope}/{elementType}/elements", func(out http.ResponseWriter, r *http.Request) {
		var in bareElement
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		create := &domain.Create{
			Group: domain.Group{Scope: chi.URLParam(r, "scope"), ElementType: chi.URLParam(r, "elementType")}, Drafts: []domain.Draft{{Data: in.Data}}, Actor: domain.Actor{Subject: "usr_bench"},
		}
		create.Name(func() string { return id.New("elm") })
		e, err := do(r.Context(), create)
		if err != nil {
			http.Error(out, err.Error(), http.StatusInternalServerError)
			return
		}
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(out).Encode(bareElement{
			ID: e.ID, Scope: e.Scope, ElementType: e.ElementType, Number: e.Number, Status: string(e.Status), Version: e.Version, Data: e.Data, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
		})
	})
	server := httptest.NewServer(router)
	b.Cleanup(server.Close)
	return target{urls: []string{server.URL}, token: strings.Repeat("x", 700)}
}

// commitsOf returns how many commits there were, and how many requests shared them.
func commitsOf(b *testing.B, from prometheus.Gatherer) (commits, requests float64) {
	if from == nil {
		return 0, 0
	}
	families, err := from.Gather()
	require.NoError(b, err)
	for _, family := range families {
		if family.GetName() == "fountain_sequence_commit_requests" {
			for _, m := range family.GetMetric() {
				commits += float64(m.GetHistogram().GetSampleCount())
				requests += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return commits, requests
}

// figures are the measurements of one run of appends.
type figures struct {
	rate, cpu          float64 // appends a second, us of a processor for each
	commits, perCommit float64 // a second, appends in each; 0 where they are not counted
	p50, p99           float64 // ms
}

func appendOverHTTP(b *testing.B, to target, keys bool) {
	l := newLoad(b, to, keys)
	b.ResetTimer()
	f := l.run(b, b.N)
	b.StopTimer()
	b.ReportMetric(f.rate, "appends/s")
	b.ReportMetric(f.cpu, "cpu-us/append")
	if f.commits > 0 {
		b.ReportMetric(f.commits, "commits/s")
		b.ReportMetric(f.perCommit, "appends/commit")
	}
	b.ReportMetric(f.p50, "p50-ms")
	b.ReportMetric(f.p99, "p99-ms")
}

// BenchmarkAppendByTurns runs all rows of AppendOverHTTP on SQLite in one run, by turns: five turns of b.N appends each. It reports the medians; ratios are those of medians.
func BenchmarkAppendByTurns(b *testing.B) {
	const turns = 5
	dir := func() database.Config { return database.Config{Name: "bench", Dir: b.TempDir()} }
	shared := newServices(b, dir(), 0, 1)
	rows := []struct {
		name string
		load *load
		all  []figures
	}{
		{name: "shared", load: newLoad(b, shared, false)}, {name: "keys", load: newLoad(b, shared, true)},
		{name: "each", load: newLoad(b, newServices(b, dir(), 1, 1), false)}, {name: "locks", load: newLoad(b, newLockingService(b), false)},
		{name: "bare", load: newLoad(b, newBareService(b, dir()), false)}, {name: "nothing", load: newLoad(b, serveBare(b, append1), false)},
	}
	b.ResetTimer()
	for range turns {
		for at := range rows {
			rows[at].all = append(rows[at].all, rows[at].load.run(b, b.N))
		}
	}
	b.StopTimer()
	rates := map[string]float64{}
	for _, r := range rows {
		median := func(of func(figures) float64) float64 {
			slices.SortFunc(r.all, func(x, y figures) int { return cmp.Compare(of(x), of(y)) })
			return of(r.all[turns/2])
		}
		rates[r.name] = median(func(f figures) float64 { return f.rate })
		b.ReportMetric(rates[r.name], r.name+"-appends/s")
		b.ReportMetric(median(func(f figures) float64 { return f.cpu }), r.name+"-cpu-us")
		b.ReportMetric(median(func(f figures) float64 { return f.p99 }), r.name+"-p99-ms")
	}
	b.ReportMetric(rates["keys"]/rates["shared"], "keys:shared")
	b.ReportMetric(rates["shared"]/rates["each"], "shared:each")
	b.ReportMetric(rates["shared"]/rates["locks"], "shared:locks")
	b.ReportMetric(0, "ns/op")
}

// newLockingService does what a service does that gives each request a connection and a transaction of its own, and leaves their order to SQLite's lock: a bare handler, the writes of an append, BEGIN
// IMMEDIATE and a busy timeout. It has no token, contract, idempotency, audit or receipt, so it is faster than such a service would be.
func newLockingService(b *testing.B) target {
	c := database.Config{Name: "bench", Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)}
	c.Migrations = []fs.FS{audit.Migrations, idempotency.Migrations, outbox.Migrations, store.Migrations}
	made, err := database.Open(b.Context(), c)
	require.NoError(b, err)
	require.NoError(b, made.Close())
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.Dir, "bench.db")+"?_txlock=immediate&_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=temp_store(MEMORY)")
	require.NoError(b, err)
	db.SetMaxOpenConns(benchClients)
	db.SetMaxIdleConns(benchClients)
	b.Cleanup(func() { _ = db.Close() })
	prepare := func(query string) *sql.Stmt {
		s, err := db.PrepareContext(b.Context(), query)
		require.NoError(b, err)
		return s
	}
	count := prepare("INSERT INTO counters (scope, element_type, last) VALUES (?, ?, 1) ON CONFLICT (scope, element_type) DO UPDATE SET last = counters.last + 1 RETURNING last")
	element := prepare("INSERT INTO elements (scope, element_type, id, number, status, version, created_at, updated_at) VALUES (?, ?, ?, ?, 'active', 1, ?, ?)")
	version := prepare("INSERT INTO versions (scope, element_type, id, version, data, created_at, created_by) VALUES (?, ?, ?, 1, ?, ?, 'usr_bench')")
	message := prepare("INSERT INTO outbox (topic, key, payload, version, lease, due_at, attempts, enqueued_at) VALUES ('elements', ?, '', 1, '', 0, 0, ?)")
	feed := prepare("INSERT INTO feeds (scope, last) VALUES (?, 1) ON CONFLICT (scope) DO UPDATE SET last = feeds.last + 1 RETURNING last")
	change := prepare("INSERT INTO changes (scope, position, kind, element_type, id, version, number, at, actor) VALUES (?, ?, 'created', ?, ?, 1, ?, ?, 'usr_bench')")
	return serveBare(b, func(ctx context.Context, create *domain.Create) (domain.Element, error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return domain.Element{}, err
		}
		defer tx.Rollback()
		var number, position int64
		if err := tx.StmtContext(ctx, count).QueryRowContext(ctx, create.Scope, create.ElementType).Scan(&number); err != nil {
			return domain.Element{}, err
		}
		e := create.Number(number, time.Now().UTC())[0]
		at := e.CreatedAt.UnixMicro()
		for _, write := range []struct {
			statement *sql.Stmt
			args      []any
		}{
			{element, []any{e.Scope, e.ElementType, e.ID, number, at, at}},
			{version, []any{e.Scope, e.ElementType, e.ID, []byte(e.Data), at}},
			{message, []any{e.Scope + ":" + e.ElementType + ":" + e.ID, at}},
		} {
			if _, err := tx.StmtContext(ctx, write.statement).ExecContext(ctx, write.args...); err != nil {
				return domain.Element{}, err
			}
		}
		if err := tx.StmtContext(ctx, feed).QueryRowContext(ctx, e.Scope).Scan(&position); err != nil {
			return domain.Element{}, err
		}
		if _, err := tx.StmtContext(ctx, change).ExecContext(ctx, e.Scope, position, e.ElementType, e.ID, number, at); err != nil {
			return domain.Element{}, err
		}
		return e, tx.Commit()
	})
}

// load runs 64 clients that append to a target, each on a connection of its own.
type load struct {
	to    target
	keys  bool
	wires []*wire
	next  atomic.Int64
}

func newLoad(b *testing.B, to target, keys bool) *load {
	l := &load{to: to, keys: keys}
	for client := range benchClients { // connections, and what is made at the first use
		w, err := dial(to.urls[client%len(to.urls)])
		require.NoError(b, err)
		b.Cleanup(func() { _ = w.conn.Close() })
		l.wires = append(l.wires, w)
		require.NoError(b, l.one(w))
	}
	return l
}

func (l *load) one(w *wire) error {
	key := ""
	if l.keys {
		key = strconv.FormatInt(time.Now().UnixMilli(), 36) + "-" + rand.Text() // as the SDK's are
	}
	return w.append(l.next.Add(1), l.to.token, key)
}

func (l *load) run(b *testing.B, n int) (f figures) {
	took := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	commits, requests := commitsOf(b, l.to.commits)
	before, start := processorTime(b), time.Now()
	for _, w := range l.wires {
		group.Go(func() {
			for at := next.Add(1) - 1; at < int64(n); at = next.Add(1) - 1 {
				began := time.Now()
				if err := l.one(w); err != nil {
					b.Errorf("append: %v", err)
					return
				}
				took[at] = time.Since(began)
			}
		})
	}
	group.Wait()
	used, elapsed := processorTime(b)-before, time.Since(start).Seconds()
	slices.Sort(took)
	f.rate, f.cpu = float64(n)/elapsed, float64(used)/float64(n)/1e3
	f.p50, f.p99 = float64(took[n/2].Microseconds())/1000, float64(took[n*99/100].Microseconds())/1000
	if committed, asked := commitsOf(b, l.to.commits); committed > commits {
		f.commits, f.perCommit = (committed-commits)/elapsed, (asked-requests)/(committed-commits)
	}
	return f
}

// wire is the connection of a client that only sends a request and reads the response to its end. The client of net/http would take as much of the two processors as the service.
type wire struct {
	conn net.Conn
	host string
	in   *bufio.Reader
	out  []byte
}

func dial(address string) (*wire, error) {
	host := strings.TrimPrefix(address, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, host: host, in: bufio.NewReader(conn)}, nil
}

const benchBody = `{"data":{"character":"HAMLET","text":"To be, or not to be, that is the question"}}`

// append sends a request to create an element; key may be empty.
func (w *wire) append(n int64, token, key string) error {
	w.out = fmt.Appendf(w.out[:0], "POST /sequence/v1/scopes/bench/type%d/elements HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n",
		n%8, w.host, token, len(benchBody))
	if key != "" {
		w.out = fmt.Appendf(w.out, "Idempotency-Key: %s\r\n", key)
	}
	w.out = append(append(w.out, "\r\n"...), benchBody...)
	if _, err := w.conn.Write(w.out); err != nil {
		return err
	}
	return w.answer()
}

// answer reads a response, which must be 201.
func (w *wire) answer() error {
	status, length := "", -1
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := bytes.TrimRight(line, "\r\n")
		switch {
		case status == "":
			status = string(text)
		case len(text) == 0:
			if length < 0 {
				return fmt.Errorf("%s, without a length", status)
			}
			body := make([]byte, length)
			if _, err := io.ReadFull(w.in, body); err != nil {
				return err
			}
			if !strings.HasPrefix(status, "HTTP/1.1 201 ") {
				return fmt.Errorf("%s: %s", status, body)
			}
			return nil
		default:
			name, value, _ := bytes.Cut(text, []byte(": "))
			if bytes.EqualFold(name, []byte("Content-Length")) {
				if length, err = strconv.Atoi(string(value)); err != nil {
					return err
				}
			}
		}
	}
}

// processorTime returns the processor time that the process has used.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
