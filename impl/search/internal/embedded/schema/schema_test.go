package schema

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func parse(t require.TestingT, body string) *Schema {
	s, err := Parse([]byte(body), 100)
	require.NoError(t, err)
	return s
}

func check(t require.TestingT, s *Schema, doc string, dirty Dirty) (Document, *Typed, []*Field, error) {
	d, err := ParseDocument([]byte(doc))
	require.NoError(t, err)
	typed, added, err := s.Check(d, dirty)
	return d, typed, added, err
}

func TestRender_everyDefaultIsPresentAndLoadReadsItBack(t *testing.T) {
	s := parse(t, `{"name":"c","default_sorting_field":"n","fields":[{"name":"s","type":"string","facet":true},{"name":"n","type":"int32"},{"name":"a_.*","type":"string[]"},{"name":"id","type":"string"}],"token_separators":["-"],"metadata":{"k":1}}`)
	s.CreatedAt = 7
	body, err := s.Render(3)
	require.NoError(t, err)
	require.JSONEq(t, `{"created_at":7,"default_sorting_field":"n","enable_nested_fields":false,"fields":[
		{"facet":true,"index":true,"infix":false,"locale":"","name":"s","optional":false,"sort":false,"stem":false,"stem_dictionary":"","store":true,"type":"string"},
		{"facet":false,"index":true,"infix":false,"locale":"","name":"n","optional":false,"sort":true,"stem":false,"stem_dictionary":"","store":true,"type":"int32"},
		{"facet":false,"index":true,"infix":false,"locale":"","name":"a_.*","optional":true,"sort":false,"stem":false,"stem_dictionary":"","store":true,"type":"string[]"}],
		"metadata":{"k":1},"name":"c","num_documents":3,"symbols_to_index":[],"token_separators":["-"]}`, string(body))
	stored, err := s.Render(-1)
	require.NoError(t, err)
	again, err := Load(stored)
	require.NoError(t, err)
	restored, err := again.Render(3)
	require.NoError(t, err)
	require.JSONEq(t, string(body), string(restored))
}

func TestCheck_dirtyValues(t *testing.T) {
	s := parse(t, `{"name":"c","fields":[{"name":"s","type":"string","optional":true},{"name":"n","type":"int32","optional":true},{"name":"f","type":"float","optional":true},{"name":"b","type":"bool","optional":true},{"name":"t","type":"string[]","optional":true}]}`)
	for _, c := range []struct {
		in, want string
		dirty    Dirty
	}{
		{`{"s":5}`, "", Reject},
		{`{"s":5,"n":"12","f":"2.5","b":"false","t":["a",1,true,1.5]}`, `{"s":"5","n":12,"f":2.5,"b":false,"t":["a","1","true","1.5"]}`, CoerceOrReject},
		{`{"n":true}`, `{"n":1}`, CoerceOrReject},
		{`{"n":1.9}`, `{"n":1}`, CoerceOrReject},
		{`{"n":"x"}`, "", CoerceOrReject},
		{`{"t":"solo"}`, "", CoerceOrReject},
		{`{"n":"x","s":5}`, `{"s":"5"}`, CoerceOrDrop},
		{`{"n":"12","s":"keep"}`, `{"s":"keep"}`, Drop},
		{`{"n":null,"s":"x"}`, `{"s":"x"}`, Reject},
	} {
		d, _, _, err := check(t, s, c.in, c.dirty)
		if c.want == "" {
			require.Error(t, err, c.in)
			continue
		}
		require.NoError(t, err, c.in)
		body, err := d.Encode()
		require.NoError(t, err)
		require.JSONEq(t, c.want, string(body), c.in)
	}
}

func TestCheck_numbersKeepTheirTextAndTheirValue(t *testing.T) {
	s := parse(t, `{"name":"c","fields":[{"name":"n","type":"int64"},{"name":"f","type":"float"}]}`)
	d, typed, _, err := check(t, s, `{"n":9007199254740993,"f":0.10,"free":1e400}`, Reject)
	require.NoError(t, err)
	body, err := d.Encode()
	require.NoError(t, err)
	require.Equal(t, `{"f":0.10,"free":1e400,"n":9007199254740993}`, string(body))
	require.Equal(t, []int64{9007199254740993}, typed.Values["n"].Ints)
	require.Equal(t, []float64{float64(float32(0.1))}, typed.Values["f"].Floats, "floats are 32 bits wide")
	_, typed, _, err = check(t, s, `{"n":18446744073709551615,"f":1}`, Reject)
	require.NoError(t, err)
	require.Equal(t, []int64{1<<63 - 1}, typed.Values["n"].Ints, "beyond 64 bits the index clamps")
}

func TestCheck_narrowPatternsComeFirst(t *testing.T) {
	s := parse(t, `{"name":"c","fields":[{"name":".*","type":"auto"},{"name":".*_count","type":"int32","facet":true},{"name":"attr_.*","type":"string"}]}`)
	_, typed, added, err := check(t, s, `{"id":"1","a":"x","b":[1,2],"c":1.5,"d":true,"likes_count":3,"attr_x":"y","o":{"p":1},"e":[],"z":null}`, CoerceOrReject)
	require.NoError(t, err)
	var got []string
	for _, f := range added {
		got = append(got, f.Name+" "+f.Type())
	}
	require.Equal(t, []string{"a string", "attr_x string", "b int64[]", "c float", "d bool", "likes_count int32"}, got)
	require.Equal(t, "1", typed.ID)
	s = s.Extend(added)
	f, ok := s.Field("likes_count")
	require.True(t, ok && f.Facet && f.Optional && f.Sort)
	require.True(t, slices.ContainsFunc(s.Fields, (*Field).Pattern))
}

func TestMerge_goesIntoObjectsAndChangesNeitherSide(t *testing.T) {
	old, patch := Document{"a": map[string]any{"b": json.Number("1"), "c": "x"}, "l": []any{"1"}}, Document{"a": map[string]any{"b": json.Number("2")}, "l": []any{"2"}}
	merged := old.Merge(patch)
	require.Equal(t, Document{"a": map[string]any{"b": json.Number("2"), "c": "x"}, "l": []any{"2"}}, merged)
	require.Equal(t, json.Number("1"), old["a"].(map[string]any)["b"])
}

func TestParseDocument_readsWhatEncodeWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Document{"s": rapid.String().Draw(t, "s"), "n": json.Number(rapid.StringMatching(`-?[1-9][0-9]{0,30}(\.[0-9]{1,20})?`).Draw(t, "n"))}
		body, err := d.Encode()
		require.NoError(t, err)
		back, err := ParseDocument(body)
		require.NoError(t, err, "%s", body)
		again, err := back.Encode()
		require.NoError(t, err)
		require.Equal(t, string(body), string(again))
	})
}

// Searches use the old schema while documents extend it. Both share the fields, so that none may be modified.
func TestExtend_leavesTheFieldsThatAreThereAlone(t *testing.T) {
	s := parse(t, `{"name":"c","fields":[{"name":"title","type":"string"},{"name":".*","type":"auto"}]}`)
	title, ok := s.Field("title")
	if !ok {
		t.Fatal("there is no field title")
	}
	before := title.Analyzer()
	added, err := s.derive("note", textKind{}, false), error(nil)
	if err != nil || added == nil {
		t.Fatal("the pattern made no field")
	}
	longer := s.Extend([]*Field{added})
	if again, ok := longer.Field("title"); !ok || again != title || title.Analyzer() != before {
		t.Error("a field that was there was written to")
	}
	if f, ok := longer.Field("note"); !ok || f.Analyzer() == nil {
		t.Error("the added field has no analyzer")
	}
	if _, ok := s.Field("note"); ok {
		t.Error("the schema that was extended has the added field too")
	}
}

// A field with type auto and a plain name is created with the type of its first value, and keeps that type across a restart.
func TestCheck_aFieldOfUnsaidTypeTakesThatOfItsFirstValue(t *testing.T) {
	s := parse(t, `{"name":"c","fields":[{"name":"x","type":"auto"},{"name":"y","type":"string*"}]}`)
	doc, err := ParseDocument([]byte(`{"id":"1","x":"a text","y":7}`))
	require.NoError(t, err)
	dirty, err := s.ParseDirty("")
	require.NoError(t, err)
	typed, added, err := s.Check(doc, dirty)
	require.NoError(t, err)
	require.Equal(t, map[string]Value{"x": {Strings: []string{"a text"}}, "y": {Strings: []string{"7"}}}, typed.Values)
	stored, err := s.Extend(added).Render(-1)
	require.NoError(t, err)
	again, err := Load(stored)
	require.NoError(t, err)
	require.Len(t, again.Fields, 2)
	for _, name := range []string{"x", "y"} {
		f, ok := again.Field(name)
		require.True(t, ok, name)
		require.Equal(t, "string", f.Type(), name)
	}
}
