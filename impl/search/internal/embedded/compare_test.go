package embedded

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// After any batches, merges, flushes and restarts, the index matches the documents.
func TestCheck_anIndexIsThatOfItsDocuments(t *testing.T) {
	e, made := flushing(t), 0
	rapid.Check(t, func(t *rapid.T) {
		made++
		c, docs := shaken(t, e, fmt.Sprint("c", made))
		done, err := e.Check(context.Background())
		require.NoError(t, err)
		require.Equal(t, Checked{Collections: 1, Documents: len(docs)}, done)
		_, err = e.Drop(c.Name())
		require.NoError(t, err)
	})
}

// TestCheck_findsEachDocumentThatIsIndexedOtherwise changes the index without the store.
func TestCheck_findsEachDocumentThatIsIndexedOtherwise(t *testing.T) {
	fields := `{"name":"s","type":"string","sort":true,"optional":true},{"name":"tags","type":"string[]","facet":true,"optional":true},{"name":"n","type":"int64","optional":true},
		{"name":"x","type":"float","optional":true},{"name":"v","type":"float[]","num_dim":2,"optional":true},{"name":"at","type":"geopoint","optional":true}`
	whole := map[string]schema.Value{
		"s": {Strings: []string{"to be or not"}}, "tags": {Strings: []string{"a", "b"}}, "n": {Ints: []int64{1 << 60}}, "x": {Floats: []float64{0.5}},
		"v": {Floats: []float64{1, 0}}, "at": {Floats: []float64{1, 2}},
	}
	but := func(name string, v schema.Value) *schema.Typed {
		t := &schema.Typed{ID: "1", Values: map[string]schema.Value{}}
		for n, v := range whole {
			t.Values[n] = v
		}
		if t.Values[name] = v; len(v.Strings)+len(v.Ints)+len(v.Floats) == 0 {
			delete(t.Values, name)
		}
		return t
	}
	otherID := but("", schema.Value{})
	otherID.ID = "one"
	for name, c := range map[string]struct {
		change index.Change
		fault  Fault
	}{
		"it is gone":                  {index.Change{Seq: 1, Old: &schema.Typed{}}, Fault{Lacking: 1}},
		"there is another":            {index.Change{Seq: 9, New: but("", schema.Value{})}, Fault{Excess: 1}},
		"its id":                      {index.Change{Seq: 1, Old: &schema.Typed{}, New: otherID}, Fault{Different: 1}},
		"the order of its words":      {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("s", schema.Value{Strings: []string{"not to be or"}})}, Fault{Different: 1}},
		"a word less":                 {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("s", schema.Value{Strings: []string{"to be or"}})}, Fault{Different: 1}},
		"a text less":                 {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("s", schema.Value{})}, Fault{Different: 1}},
		"a facet's capital":           {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("tags", schema.Value{Strings: []string{"A", "b"}})}, Fault{Different: 1}},
		"a whole number":              {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("n", schema.Value{Ints: []int64{1<<60 + 1}})}, Fault{Different: 1}},
		"a number":                    {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("x", schema.Value{Floats: []float64{0.25}})}, Fault{Different: 1}},
		"a vector":                    {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("v", schema.Value{Floats: []float64{0, 1}})}, Fault{Different: 1}},
		"a place":                     {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("at", schema.Value{Floats: []float64{2, 1}})}, Fault{Different: 1}},
		"nothing, as it is put again": {index.Change{Seq: 1, Old: &schema.Typed{}, New: but("", schema.Value{})}, Fault{}},
	} {
		t.Run(name, func(t *testing.T) {
			e := flushing(t)
			s, err := schema.Parse([]byte(`{"name":"c","fields":[`+fields+`]}`), 10)
			require.NoError(t, err)
			made, err := e.Create(s)
			require.NoError(t, err)
			for id := range 3 {
				_, err = made.Apply([]Write{{Line: fmt.Appendf(nil, `{"id":"%d","s":"to be or not","tags":["a","b"],"n":%d,"x":0.5,"v":[1,0],"at":[1,2]}`, id, 1<<60)}})
				require.NoError(t, err)
			}
			made.idx().Rest()
			c.change.Schema = s
			require.NoError(t, made.idx().Apply(index.Batch{c.change}))
			done, err := e.Check(t.Context())
			require.NoError(t, err)
			want := Checked{Collections: 1, Documents: 3}
			if c.fault != (Fault{}) {
				c.fault.Collection = "c"
				want.Faults = []Fault{c.fault}
			}
			require.Equal(t, want, done)
		})
	}
}
