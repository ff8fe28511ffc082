package embedded

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func TestCollection_rebuildsAnIndexThatIsMostlyDead(t *testing.T) {
	e, err := Open(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer e.Close()
	require.NoError(t, e.WaitReady(context.Background()))
	s, err := schema.Parse([]byte(`{"name":"a","fields":[{"name":"s","type":"string"}]}`), 10)
	require.NoError(t, err)
	c, err := e.Create(s)
	require.NoError(t, err)
	put := func(from, to int) {
		var writes []Write
		for i := from; i < to; i++ {
			writes = append(writes, Write{Line: fmt.Appendf(nil, `{"id":"%d","s":"w%d"}`, i, i)})
		}
		_, err := c.Apply(writes)
		require.NoError(t, err)
	}
	put(0, compactFrom+50)
	_, err = e.OverFilter(context.Background(), c, "", func(id string) Write { return Write{Remove: true, ID: id} })
	require.NoError(t, err)
	put(compactFrom+50, compactFrom+60)
	require.Less(t, c.idx().Stats().Dead, compactFrom)
	require.Equal(t, 10, c.idx().Stats().Documents)
	found, err := e.Search(context.Background(), "a", map[string]string{"q": fmt.Sprintf("w%d", compactFrom+55), "query_by": "s"})
	require.NoError(t, err)
	require.Equal(t, 1, found.Found)
	require.Equal(t, 10, found.OutOf)
}
