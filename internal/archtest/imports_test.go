package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

const module = "github.com/fountainai/fountain"

// consumer is the package with which services outside the family verify tokens. It is an exception among the clients: it imports only golang-jwt and
// the standard library, and the SDK does not import it.
const consumer = "clients/fountain/verify"

// pkg is the output of go list about one package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Standard     bool
}

// local returns the path inside the module, and whether the package belongs to the module.
func local(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

func list(t *testing.T, patterns ...string) []pkg {
	t.Helper()
	args := append([]string{"list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps,Standard"}, patterns...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

// within reports whether path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// service returns the word of impl/<word>/..., or "".
func service(path string) string {
	rest, ok := strings.CutPrefix(path, "impl/")
	if !ok {
		return ""
	}
	word, _, _ := strings.Cut(rest, "/")
	return word
}

// mayImport is the table of DESIGN section 3, for imports inside the module.
func mayImport(from, to string) bool {
	switch {
	case within(from, "cmd"):
		return within(to, "cmd") || within(to, "internal") || within(to, "clients") || to == "openapi" || to == "impl/"+service(to)
	case from == "impl/family":
		return within(to, "internal") || within(to, "clients") || to == "openapi" || to == "impl/"+service(to)
	case within(from, "impl"):
		if within(to, "impl") {
			return service(to) == service(from)
		}
		return within(to, "internal") || within(to, "generated") || within(to, "clients") || to == "openapi" || to == "console" || to == "docs/problems"
	case from == consumer:
		return false
	case within(from, "clients"):
		return within(to, "clients") && to != consumer
	case within(from, "generated"):
		return to == "generated/commonapi"
	case within(from, "internal"):
		return within(to, "internal") || to == "openapi" || (from == "internal/credential" && to == "clients/kms")
	case within(from, "tests"):
		return within(to, "tests") || within(to, "clients") || within(to, "generated") || to == "openapi" || to == "impl/"+service(to)
	}
	return false
}

// mayTest says which imports a test may have beyond those of its package. Contracts: the lint. Package auth: the verifier for services outside the
// family. The commands: the recorder, which every test that talks to a family uses. Twofactor: the authenticator that tests of families use, too.
// Tests of families: the Typesense server that search has for tests.
func mayTest(from, to string) bool {
	if mayImport(from, to) || from == to {
		return true
	}
	switch {
	case from == "openapi":
		return within(to, "internal/contract")
	case from == "internal/auth": // the same attacks are run against both
		return to == consumer
	}
	return (within(from, "cmd") && to == "tests/recorder") || (within(from, "impl/twofactor") && to == "tests/authenticator") ||
		(within(from, "tests") && to == "impl/search/searchtest")
}

func TestImports_keepTheHouse(t *testing.T) {
	packages := list(t, "./...")
	require.Greater(t, len(packages), 20)
	for _, p := range packages {
		from, ok := local(p.ImportPath)
		if !ok {
			continue
		}
		for _, to := range p.Imports {
			if to, inside := local(to); inside && !mayImport(from, to) {
				t.Errorf("%s must not import %s", from, to)
			}
		}
		for _, to := range slices.Concat(p.TestImports, p.XTestImports) {
			if to, inside := local(to); inside && !mayTest(from, to) {
				t.Errorf("a test of %s must not import %s", from, to)
			}
		}
	}
}

func TestClients_dependOnNothingServerSide(t *testing.T) {
	for _, p := range list(t, "./clients/...") {
		for _, dep := range p.Deps {
			inside, isLocal := local(dep)
			switch {
			case isLocal && !within(inside, "clients"),
				strings.Contains(dep, "go-chi/chi"), strings.Contains(dep, "kin-openapi"), strings.Contains(dep, "sqlx"),
				strings.Contains(dep, "golang-jwt") && p.ImportPath != module+"/"+consumer:
				t.Errorf("%s depends on %s", p.ImportPath, dep)
			}
		}
	}
}

func TestConsumer_dependsOnGolangJWTAlone(t *testing.T) {
	packages := list(t, "-deps", "./"+consumer)
	require.NotEmpty(t, packages)
	for _, p := range packages {
		if !p.Standard && p.ImportPath != module+"/"+consumer && !within(p.ImportPath, "github.com/golang-jwt/jwt/v5") {
			t.Errorf("%s depends on %s", consumer, p.ImportPath)
		}
	}
}

// A code generator that the CLI links calls the package testing to find out whether it runs in a test. None of the project's own packages may link
// it.
func TestProducts_linkNoTestCode(t *testing.T) {
	testing := map[string]bool{}
	for _, p := range list(t, "./...") {
		testing[p.ImportPath] = slices.Contains(p.Imports, "testing")
	}
	for _, p := range list(t, "./cmd/...") {
		for _, dep := range append(p.Deps, p.ImportPath) {
			if strings.HasPrefix(dep, "github.com/stretchr/testify") || strings.HasPrefix(dep, "pgregory.net/rapid") || testing[dep] {
				t.Errorf("%s links %s, which is for tests", p.ImportPath, dep)
			}
		}
	}
}

// The image is built from the folders that .dockerignore names, and no others.
func TestProducts_areMadeOfWhatTheImageIsBuiltFrom(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", ".dockerignore"))
	require.NoError(t, err)
	copied := strings.Split(string(text), "\n")
	for _, p := range list(t, "-deps", "./cmd/fountain") {
		if inside, ok := local(p.ImportPath); ok {
			require.True(t, slices.ContainsFunc(copied, func(line string) bool {
				folder, kept := strings.CutPrefix(line, "!")
				return kept && within(inside, folder)
			}), p.ImportPath)
		}
	}
}

// Domain packages use neither HTTP nor SQL terms (DESIGN section 3).
func TestDomain_knowsNeitherHTTPNorSQL(t *testing.T) {
	seen := 0
	for _, p := range list(t, "./impl/...") {
		if !strings.HasSuffix(p.ImportPath, "/internal/domain") {
			continue
		}
		seen++
		for _, to := range p.Imports {
			inside, _ := local(to)
			if to == "net/http" || to == "database/sql" || inside == "internal/store" || inside == "internal/httpserver" || within(inside, "generated") {
				t.Errorf("%s imports %s", p.ImportPath, to)
			}
		}
	}
	require.Positive(t, seen)
}

// domains are the packages of rules and stores. They refuse with errors of their own; problems.go in the handlers of their service translates these
// into problems.
var domains = map[string]bool{
	"impl/sequence/internal/domain": true, "impl/sequence/internal/writer": true, "impl/sequence/internal/store": true, "impl/search/internal/store": true,
	"impl/twofactor/internal/factor": true, "impl/twofactor/internal/passkey": true, "impl/twofactor/internal/proof": true, "impl/twofactor/internal/store": true, "impl/twofactor/internal/totp": true,
}

// isDomain reports whether a package is a domain package. In the kms all packages are, except the handlers and those that call other services.
func isDomain(path string) bool {
	return domains[path] || within(path, "impl/kms/internal") && path != "impl/kms/internal/handlers" && path != "impl/kms/internal/rotator"
}

func TestDomains_knowNoProblemsAndNoHTTP(t *testing.T) {
	seen := 0
	for _, p := range list(t, "./impl/...") {
		from, _ := local(p.ImportPath)
		if !isDomain(from) {
			continue
		}
		seen++
		for _, to := range p.Imports {
			if inside, _ := local(to); inside == "internal/problem" || to == "net/http" || inside == "internal/httpserver" {
				t.Errorf("%s imports %s", from, to)
			}
		}
	}
	require.Greater(t, seen, 20)
	for _, shared := range []string{"internal/page", "internal/requestid", "internal/audit"} {
		for _, p := range list(t, "./"+shared) {
			require.NotContains(t, p.Imports, module+"/internal/problem", "%s, which domains use", shared)
		}
	}
}

func TestHandlers_areImportedByTheirServiceAlone(t *testing.T) {
	for _, p := range list(t, "./impl/...") {
		from, _ := local(p.ImportPath)
		for _, to := range p.Imports {
			if inside, _ := local(to); strings.HasSuffix(inside, "/internal/handlers") && from != "impl/"+service(from) {
				t.Errorf("%s imports %s", from, inside)
			}
		}
	}
}

func TestMayImport_refusesWhatTheDesignForbids(t *testing.T) {
	for _, c := range [][2]string{
		{"impl/kms", "impl/search"}, {"impl/kms/internal/a", "impl/search/internal/b"}, {"clients/kms", "internal/auth"}, {"cmd/fountain", "impl/kms/internal/user"},
		{"internal/store", "clients/kms"}, {"internal/auth", "impl/kms"}, {"generated/kmsapi", "internal/problem"}, {"tests/e2e", "internal/store"}, {"tests/e2e", "impl/kms/internal/user"},
		{"openapi", "internal/contract"}, {"impl/family", "generated/kmsapi"}, {"clients/fountain", consumer}, {consumer, "clients/kms"}, {"internal/auth", consumer},
		{"console", "internal/auth"}, {"console", "impl/twofactor"}, {"internal/httpserver", "console"},
	} {
		require.False(t, mayImport(c[0], c[1]), "%s -> %s", c[0], c[1])
	}
	require.True(t, mayImport("internal/credential", "clients/kms"))
	require.True(t, mayImport("impl/family", "impl/kms"))
	require.True(t, mayImport("impl/kms", "impl/kms/internal/user"))
}

// The SDK repeats the problem codes, because it may not import internal/. It must have all of them.
func TestSDK_knowsEveryProblemCode(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "clients", "fountain", "codes.go"))
	require.NoError(t, err)
	var have []string
	for _, m := range regexp.MustCompile(`Code = "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		have = append(have, m[1])
	}
	for _, c := range problem.Codes() {
		require.Contains(t, have, string(c))
	}
	require.Len(t, have, len(problem.Codes()))
}

// An unverified token decides nothing. It is read only to explain to a user why a request is refused.
func TestUnverifiedTokens_areReadForExplanationsAlone(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte("ReadUnverified(")) {
			return err
		}
		seen++
		inside, err := filepath.Rel(root, path)
		require.Contains(t, []string{filepath.Join("internal", "auth", "unverified.go"), filepath.Join("internal", "explain", "way.go")}, inside)
		return err
	}))
	require.Equal(t, 2, seen)
	for _, p := range list(t, "./...") {
		from, _ := local(p.ImportPath)
		require.False(t, from != "cmd/fountain" && slices.Contains(p.Imports, module+"/internal/explain"), from)
	}
}
