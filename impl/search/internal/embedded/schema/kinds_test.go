package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A kind is named in its file and in the registry only, so that a new kind takes one file and one line. Other packages can't name one, and
// none makes decisions by the name of a field's type.
func TestKinds_areKnownToTheRegistryAlone(t *testing.T) {
	named := 0
	files := parsed(t, ".")
	for name, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || len(id.Name) <= len("Kind") || !strings.HasSuffix(id.Name, "Kind") {
				return true
			}
			named++
			require.True(t, name == "kinds.go" || strings.HasPrefix(name, "kind_"), "%s names %s", name, id.Name)
			return true
		})
	}
	require.Greater(t, named, len(kinds))
	for _, tree := range []string{"..", "."} {
		for name, file := range parsed(t, tree) {
			ast.Inspect(file, func(n ast.Node) bool {
				require.False(t, decides(n), "%s decides by the name of a field's type", name)
				return true
			})
		}
	}
}

// decides reports whether a node compares the result of a Type method, or uses it as a map key.
func decides(n ast.Node) bool {
	typed := func(e ast.Expr) bool {
		call, ok := e.(*ast.CallExpr)
		if !ok || len(call.Args) > 0 {
			return false
		}
		s, ok := call.Fun.(*ast.SelectorExpr)
		return ok && s.Sel.Name == "Type"
	}
	switch n := n.(type) {
	case *ast.SwitchStmt:
		return n.Tag != nil && typed(n.Tag)
	case *ast.BinaryExpr:
		_, left := n.X.(*ast.BasicLit)
		_, right := n.Y.(*ast.BasicLit)
		equal := n.Op == token.EQL || n.Op == token.NEQ
		return equal && (left && typed(n.Y) || right && typed(n.X))
	case *ast.IndexExpr:
		return typed(n.Index)
	}
	return false
}

// parsed parses the Go files below a directory, without tests. Files in the directory itself are listed by their base name.
func parsed(t *testing.T, dir string) map[string]*ast.File {
	files := map[string]*ast.File{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, 0)
		return err
	}))
	require.NotEmpty(t, files)
	return files
}

func TestDecides_findsWhatIsForbidden(t *testing.T) {
	for text, want := range map[string]bool{
		`f.Type() == "bool"`: true, `"bool" != f.Type()`: true, `rules[f.Type()]`: true, `a.Type() == b.Type()`: false, `f.Type() + "_field"`: false, `f.Text()`: false,
		"func() { switch f.Type() { case \"bool\": } }": true, "func() { switch { case f.Text(): } }": false,
	} {
		e, err := parser.ParseExpr(text)
		require.NoError(t, err, text)
		found := false
		ast.Inspect(e, func(n ast.Node) bool { found = found || decides(n); return true })
		require.Equal(t, want, found, text)
	}
}

// Each type can be used by its name, and as a list if allowed, and its values come back from the methods of its field.
func TestKinds_putFilterCompareAndCount(t *testing.T) {
	for _, c := range []struct{ typ, value, filter, shown string }{
		{"string", `"The Light"`, "light", "The Light"},
		{"int32", `7`, ">6", "7"},
		{"int64", `9007199254740993`, "9007199254740993", "9007199254740993"},
		{"float", `0.5`, "<=0.5", "0.5"},
		{"bool", `true`, "true", "true"},
		{"geopoint", `[1, 2]`, "(1, 2, 1 km)", ""},
		{"geopolygon", `"0, 0, 2, 0, 2, 2, 0, 2"`, "(1, 1)", ""},
	} {
		s, err := Parse([]byte(`{"name":"c","fields":[{"name":"f","type":"`+c.typ+`","facet":true}]}`), 10)
		require.NoError(t, err, c.typ)
		f, ok := s.Field("f")
		require.True(t, ok)
		require.Equal(t, c.typ, f.Type())
		doc, err := ParseDocument([]byte(`{"id":"1","f":` + c.value + `}`))
		require.NoError(t, err)
		typed, _, err := s.Check(doc, Reject)
		require.NoError(t, err, c.typ)
		want, err := f.Filter(Written{Items: []Item{{Text: c.filter}}}, nil)
		require.NoError(t, err, c.typ)
		require.True(t, want.Meets(f, typed.Values["f"]), c.typ)
		require.False(t, want.Meets(f, Value{}), c.typ)
		require.Equal(t, typed.Values["f"], f.In(doc), c.typ)
		_, ordered := f.Order(typed.Values["f"])
		require.Equal(t, c.shown != "", ordered && f.Counted(), c.typ)
		if c.shown != "" {
			require.Equal(t, []string{c.shown}, f.Texts(nil, typed.Values["f"]), c.typ)
		}
	}
}

// versionKind is a version such as "1.2", which is a number in the index. It shows what a new type consists of.
type versionKind struct{ wholeKind }

func (versionKind) name() string { return "version" }

func (k versionKind) read(f *Field, raw any, dirty Dirty) (Value, any, bool, error) {
	return readValues(k, "a version", f, raw, dirty)
}

func (versionKind) one(raw any, _ bool, v *Value) (any, bool) {
	text, _ := raw.(string)
	var major, minor int64
	_, err := fmt.Sscanf(text, "%d.%d", &major, &minor)
	if err == nil {
		v.Ints = append(v.Ints, major<<16|minor)
	}
	return raw, err == nil
}

func (k versionKind) filter(_ *Field, w Written, _ func() error) (Condition, error) {
	var v Value
	for _, it := range w.Items {
		if _, ok := k.one(it.Text, false, &v); !ok {
			return nil, errSyntax
		}
	}
	var want Wholes
	for _, n := range v.Ints {
		want = append(want, Range[int64]{n, n})
	}
	return want, nil
}

func (versionKind) texts(to []string, v Value) []string {
	for _, n := range v.Ints {
		to = append(to, fmt.Sprintf("%d.%d", n>>16, n&0xffff))
	}
	return to
}

// A new type works in schemas and documents, filters, sorting and counts once it is in the registry. The index has a column for it.
func TestKinds_aFurtherOneIsAFileAndALine(t *testing.T) {
	before := kinds
	defer func() { kinds = before }()
	kinds = append(slices.Clone(kinds), versionKind{})
	s := parse(t, `{"name":"c","fields":[{"name":"v","type":"version[]","facet":true},{"name":"least","type":"version"}],"default_sorting_field":"least"}`)
	doc, err := ParseDocument([]byte(`{"id":"1","v":["1.2","10.0"],"least":"1.2"}`))
	require.NoError(t, err)
	typed, _, err := s.Check(doc, Reject)
	require.NoError(t, err)
	v, _ := s.Field("v")
	require.Equal(t, []string{"1.2", "10.0"}, v.Texts(nil, typed.Values["v"]))
	want, err := v.Filter(Written{Items: []Item{{Text: "10.0"}}}, nil)
	require.NoError(t, err)
	require.True(t, LookedUp(want) && want.Meets(v, typed.Values["v"]))
	require.Equal(t, Columns{Array: true, Ints: true}, v.Columns())
	least, _ := s.Field("least")
	order, ok := least.Order(typed.Values["least"])
	require.True(t, ok)
	require.Equal(t, int64(1<<16|2), order.Whole)
	_, _, err = s.Check(Document{"id": "2", "v": []any{"x"}, "least": "1.2"}, Reject)
	require.EqualError(t, err, "Field `v` must be an array of version.")
}
