package writer_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// sized returns a request for n elements, each with the given number of bytes of data.
func sized(elements, size int) writer.Request {
	r := create(lines, make([]string, elements)...)
	for i := range r.Create.Drafts {
		r.Create.Drafts[i].Data = append(append([]byte(`{"text":"`), bytes.Repeat([]byte("x"), size-len(`{"text":""}`))...), `"}`...)
	}
	return r
}

// The load of a request is the number of its elements, or of 8 KiB units of its data if that is more.
func TestRequest_isLoadByItsElementsOrItsData(t *testing.T) {
	require.Equal(t, 1, sized(1, 100).Load())
	require.Equal(t, 8, sized(1, 64<<10).Load())
	require.Equal(t, 1000, sized(1000, 100).Load())
	require.Equal(t, 1024, sized(128, 64<<10).Load())
	data := sized(1, 64<<10).Create.Drafts[0].Data
	require.Equal(t, 8, writer.Request{Revise: &domain.Revise{Data: data}}.Load())
	require.Equal(t, 1, writer.Request{Revise: &domain.Revise{Data: []byte(`{}`)}}.Load())
}

// The largest request exceeds the bound of a commit, and is made all the same.
func TestDo_commitsTheLargestRequest(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		w := newWriter(t, open(t), 0)
		for _, r := range []writer.Request{sized(128, 64<<10), sized(1000, 8<<10)} {
			done, err := w.Do(t.Context(), r)
			require.NoError(t, err)
			require.Len(t, done.Elements, len(r.Create.Drafts))
		}
	})
}
