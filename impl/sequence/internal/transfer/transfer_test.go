package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/scopefile"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/transfer"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/outbox"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var (
	migrations = []fs.FS{audit.Migrations, idempotency.Migrations, outbox.Migrations, store.Migrations}
	who        = domain.Actor{Subject: "usr_admin", Kind: audit.User, RequestID: "req"}
)

// service is a Service and a writer on one database.
func service(t testing.TB, db *database.DB) (*transfer.Service, *writer.Writer) {
	audittest.Open(t, db)
	key, log := audittest.Sealer(t), slog.New(slog.DiscardHandler)
	w := writer.New(writer.Options{
		DB: db, Keys: idempotency.New(key, key, clock.System), Clock: clock.System, Log: log, Registerer: prometheus.NewRegistry(), Enqueue: searchsync.Enqueue, Committed: func(string) {},
	})
	t.Cleanup(w.Close)
	return transfer.New(transfer.Options{
		DB: db, Store: store.New(db), Clock: clock.System, Log: log, NewID: func() string { return id.New("imp") }, Imported: func(string) {},
	}), w
}

// file returns a file of n elements that is generated while it is read.
func file(n int) io.Reader {
	read, write := io.Pipe()
	go func() {
		w, err := scopefile.NewWriter(write, "hamlet")
		at := time.UnixMicro(1_700_000_000_000_000)
		for k := 1; k <= n && err == nil; k++ {
			ref := domain.Ref{Group: domain.Group{ElementType: "line"}, ID: fmt.Sprint("e", k)}
			err = errors.Join(w.Element(domain.Element{Ref: ref, Number: int64(k), Status: domain.Active, Version: 1, CreatedAt: at, UpdatedAt: at}),
				w.Version(domain.Version{Version: 1, Data: fmt.Appendf(nil, `{"text":"the words of line %d, and some more of them"}`, k), CreatedAt: at, CreatedBy: "usr_1"}))
		}
		write.CloseWithError(errors.Join(err, w.Close()))
	}()
	return read
}

// TestImport_holdsUpNobodyElse appends while a scope is imported. The appends commit in between, and see nothing of the import. With FOUNTAIN_PROVE=1 the
// file has 100,000 elements, and the longest wait and the largest heap are printed.
func TestImport_holdsUpNobodyElse(t *testing.T) {
	n := 3_000
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		n = 100_000
	}
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s, w := service(t, db)
		var over atomic.Bool
		var waits []time.Duration
		largest := uint64(0)
		var beside sync.WaitGroup
		beside.Go(func() {
			for k := 0; !over.Load(); k++ {
				began := time.Now()
				_, err := w.Do(context.Background(), writer.Request{Create: &domain.Create{
					Group: domain.Group{Scope: "lear", ElementType: "line"}, Drafts: []domain.Draft{{ID: fmt.Sprint("l", k), Data: []byte("{}")}}, Actor: who,
				}})
				if err != nil {
					t.Error(err)
					return
				}
				waits = append(waits, time.Since(began))
				if k%100 == 0 {
					var memory runtime.MemStats
					runtime.ReadMemStats(&memory)
					largest = max(largest, memory.HeapInuse)
				}
			}
		})
		began := time.Now()
		done, err := s.Import(t.Context(), "hamlet", who, file(n))
		took := time.Since(began)
		over.Store(true)
		beside.Wait()
		require.NoError(t, err)
		require.EqualValues(t, n, done.Elements)
		require.Greater(t, len(waits), 2, "others write between the parts")
		slices.Sort(waits)
		t.Logf("%d elements in %s; %d appends beside, median %s, longest %s; heap %d MiB", n, took, len(waits), waits[len(waits)/2], waits[len(waits)-1], largest>>20)
		types, err := store.New(db).Types(t.Context(), "hamlet")
		require.NoError(t, err)
		require.EqualValues(t, n, types[0].Count)
	})
}

func TestExport_refusesMoreThanItHasPlacesFor(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		s, _ := service(t, open(t))
		_, err := s.Import(t.Context(), "hamlet", who, file(2))
		require.NoError(t, err)
		begun, leave := make(chan struct{}), make(chan struct{})
		var slow sync.WaitGroup
		for range 2 {
			slow.Go(func() {
				if err := s.Export(context.Background(), "hamlet", func() io.Writer { begun <- struct{}{}; <-leave; return io.Discard }); err != nil {
					t.Error(err)
				}
			})
		}
		<-begun
		<-begun
		require.ErrorIs(t, s.Export(t.Context(), "hamlet", func() io.Writer { return io.Discard }), transfer.ErrBusy)
		close(leave)
		slow.Wait()
		require.NoError(t, s.Export(t.Context(), "hamlet", func() io.Writer { return io.Discard }), "places are given back")
		require.ErrorIs(t, s.Export(t.Context(), "nobody", nil), domain.ErrUnknownScope)
	})
}
