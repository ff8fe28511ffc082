package clientgen

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"regexp"
	"strings"
)

// clashError lists the names that the client declares more than once.
type clashError struct {
	names []string // names of declarations in the package
	text  string   // the first error
}

func (e *clashError) Error() string { return "the client would not compile: " + e.text }

var (
	redeclared = regexp.MustCompile(`^(\w+) redeclared in this block`)
	duplicate  = regexp.MustCompile(`duplicate typename '(\w+)'`)
)

// check type-checks the declarations of the client. It ignores the imported packages and the function bodies, which the
// generator writes in the same way for every document.
func check(text, door []byte) error {
	set, files := token.NewFileSet(), []*ast.File{}
	for name, source := range map[string][]byte{ClientFile: text, DoorFile: door} {
		file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("the client would not compile: %w", err)
		}
		files = append(files, file)
	}
	var clash clashError
	config := types.Config{Importer: noImports{}, IgnoreFuncBodies: true, Error: func(err error) {
		var fault types.Error
		if !errors.As(err, &fault) || fault.Soft || strings.HasPrefix(fault.Msg, "could not import") || strings.HasPrefix(fault.Msg, "\t") {
			return
		}
		if clash.text == "" {
			clash.text = fault.Msg
		}
		if found := redeclared.FindStringSubmatch(fault.Msg); found != nil {
			clash.names = append(clash.names, found[1])
		}
	}}
	_, _ = config.Check("client", set, files, nil) // the errors were collected in config.Error
	if clash.text != "" {
		return &clash
	}
	return nil
}

// noImports imports no packages. Names from a package that could not be imported are accepted.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }
