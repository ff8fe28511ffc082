package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// columnsSchema has fields of every type whose values the index holds.
const columnsSchema = `{"name":"%s","fields":[{"name":"s","type":"string","facet":true,"optional":true},{"name":"l","type":"string[]","facet":true,"optional":true},
	{"name":"i","type":"int64","facet":true,"optional":true},{"name":"f","type":"float","facet":true,"optional":true},{"name":"b","type":"bool","facet":true,"optional":true},
	{"name":"n","type":"int32[]","facet":true,"optional":true}]}`

// drawnDocument returns a document with some of the fields.
func drawnDocument(t *rapid.T, id int) []byte {
	doc := map[string]any{"id": fmt.Sprint(id)}
	word := rapid.SampledFrom([]string{"", "a", "b", "A b", "ü"})
	for name, value := range map[string]*rapid.Generator[any]{
		"s": word.AsAny(), "l": rapid.SliceOfN(word, 0, 3).AsAny(), "i": rapid.SampledFrom([]int64{-1 << 63, -5, 0, 7, 1<<63 - 1}).AsAny(),
		"f": rapid.SampledFrom([]float64{-1.5, 0, 0.1, 1e9}).AsAny(), "b": rapid.Bool().AsAny(), "n": rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3).AsAny(),
	} {
		if rapid.Bool().Draw(t, "has") {
			doc[name] = value.Draw(t, name)
		}
	}
	body, err := json.Marshal(doc)
	require.NoError(t, err)
	return body
}

// Groups and the order of facets are computed from columns where possible. The documents are the reference.
func TestTable_columnsTellWhatDocumentsHold(t *testing.T) {
	e, _ := opened(t)
	made := 0
	rapid.Check(t, func(t *rapid.T) {
		made++
		s, err := schema.Parse(fmt.Appendf(nil, columnsSchema, fmt.Sprint("c", made)), 10)
		require.NoError(t, err)
		c, err := e.Create(s)
		require.NoError(t, err)
		defer func() {
			_, err := e.Drop(c.Name())
			require.NoError(t, err)
		}()
		for range rapid.IntRange(1, 5).Draw(t, "batches") { // of updates, deletions and new documents
			var writes []Write
			for range rapid.IntRange(0, 12).Draw(t, "writes") {
				id := rapid.IntRange(0, 20).Draw(t, "id")
				if rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
					writes = append(writes, Write{Remove: true, ID: fmt.Sprint(id)})
					continue
				}
				writes = append(writes, Write{Line: drawnDocument(t, id), Action: Upsert})
			}
			results, err := c.Apply(writes)
			require.NoError(t, err)
			for i, r := range results {
				require.True(t, r.Err == nil || writes[i].Remove, "%v", r.Err)
			}
		}
		r, err := e.prepare(context.Background(), c.Name(), map[string]string{"q": "*", "group_by": "s,i,f,b"})
		require.NoError(t, err)
		plan := *r.index
		plan.Limit = r.everything()
		for _, fields := range [][]*schema.Field{r.groups.fields, c.schema.Load().Fields} {
			_, rows, columns, err := r.tabled(plan, fields, index.Holds)
			require.NoError(t, err)
			require.Nil(t, columns.lacks, "columns were read")
			_, same, documents, err := r.tabled(plan, fields, func(*schema.Field) bool { return false })
			require.NoError(t, err)
			require.Equal(t, same, rows)
			for i := range rows {
				for k, f := range fields {
					want, got := documents.rows[i][k], columns.rows[i][k]
					if f.Text() && f.Array {
						require.ElementsMatch(t, once(want.Strings), got.Strings, "%s", f.Name)
						continue
					}
					require.Equal(t, fmt.Sprint(want), fmt.Sprint(got), "%s of row %d", f.Name, i)
					require.True(t, f.Array || columns.absent(i, k) == documents.absent(i, k), "%s of row %d", f.Name, i)
				}
			}
		}
	})
}

// once returns each value once.
func once(list []string) (out []string) {
	seen := map[string]bool{}
	for _, v := range list {
		if !seen[v] {
			out, seen[v] = append(out, v), true
		}
	}
	return out
}
