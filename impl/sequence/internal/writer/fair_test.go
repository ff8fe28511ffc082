package writer_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// TestDo_hasNobodyWaitBehindWhoeverWritesMuch queues 1,500 appends of one subject behind a transaction, and then each kind of change of other subjects, and an append of the same subject to
// another scope. All of the latter are in the first commit.
func TestDo_hasNobodyWaitBehindWhoeverWritesMuch(t *testing.T) {
	const much = 1500
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		if db.Dialect() != database.SQLite {
			return // whose one writer can be held in a test; the turns are taken before the database
		}
		w := newWriter(t, db, 0)
		scene := domain.Group{Scope: "lear", ElementType: "scene"}
		_, err := w.Do(t.Context(), create(scene, "a", "b"))
		require.NoError(t, err)
		held, release := make(chan struct{}), make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			_ = db.Write(context.Background(), func(context.Context, *database.Tx) error {
				close(held)
				<-release
				return nil
			})
		})
		<-held
		do := func(r writer.Request, told func(n int64)) {
			group.Go(func() {
				done, err := w.Do(context.Background(), r)
				if err != nil {
					t.Errorf("change: %v", err)
					return
				}
				if told != nil {
					told(done.Elements[0].Number)
				}
			})
		}
		wait := func(n int) {
			for w.Waiting() < n {
				runtime.Gosched()
			}
		}
		for range much {
			do(create(lines, ""), nil)
		}
		wait(much - 1) // the first has begun the commit that waits
		var last int64
		of := func(subject string) domain.Actor {
			return domain.Actor{Subject: subject, Kind: author.Kind, RequestID: author.RequestID}
		}
		others := []writer.Request{
			{Create: &domain.Create{Group: lines, Drafts: []domain.Draft{{ID: "theirs", Data: []byte(`{}`)}}, Actor: of("usr_1")}},
			{Restate: &domain.Restate{Ref: domain.Ref{Group: scene, ID: "a"}, Status: domain.Omitted, Actor: of("usr_2")}},
			create(domain.Group{Scope: "lear", ElementType: "line"}, ""),
		}
		do(others[0], func(n int64) { last = n })
		do(others[1], nil)
		do(others[2], nil)
		wait(much - 1 + len(others))
		for _, r := range others {
			require.NotEmpty(t, r.Owner())
			require.NotEmpty(t, r.Part())
		}
		close(release)
		group.Wait()
		require.Positive(t, last)
		require.LessOrEqual(t, last, int64(512), "one of a commit of 512")
		requireWhole(t, db, lines, much+1)
	})
}
