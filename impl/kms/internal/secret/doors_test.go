package secret_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every operation passes the gate. The test finds a method with a caller that does not, or that begins a transaction before it does.
func TestSecrets_everyDoorGoesThroughTheGate(t *testing.T) {
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	doors := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			method, ok := decl.(*ast.FuncDecl)
			if !ok || !ofSecrets(method) || !method.Name.IsExported() || !takesCaller(method) {
				continue
			}
			doors++
			require.True(t, calls(method, "entered") || calls(method, "enteredTogether") || calls(method, "Grants") || calls(method, "Enter") && calls(method, "Recorded") || calls(method, "described"), "%s does not ask the policies", method.Name.Name)
		}
	}
	require.Equal(t, 15, doors, "the operations of the contract on secrets, and listSecrets")
}

func ofSecrets(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return false
	}
	pointer, ok := f.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	name, ok := pointer.X.(*ast.Ident)
	return ok && name.Name == "Secrets"
}

func takesCaller(f *ast.FuncDecl) bool {
	for _, p := range f.Type.Params.List {
		pointer, ok := p.Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		if of, ok := pointer.X.(*ast.SelectorExpr); ok && of.Sel.Name == "Principal" {
			return true
		}
	}
	return false
}

func calls(f *ast.FuncDecl, name string) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			found = true
		}
		return true
	})
	return found
}
