package contract

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/fountainai/fountain/openapi"
)

// Adoption is what an operator specifies to adopt another team's document.
type Adoption struct {
	// Name is the service's word: the audience of its tokens, the name of its mount "/<name>", and the prefix of its scopes. It has 2 to 63
	// characters of a-z, 0-9 and "-", begins with a letter, and must not be a first segment of the family's paths or a prefix of its scopes.
	Name string
	// File is the name of the document in Files.
	File string
	// Files are the document and the files that it refers to by $ref, keyed by their names relative to each other. No other file is read.
	Files map[string][]byte
	// Public lists the operationIds that need no credentials: the document says security: [] there, and the operator accepts each by name.
	Public []string
}

// Bounds of what is compiled of an adopted document.
const (
	// MaxOperations is how many operations a document may have.
	MaxOperations = 2000
	// maxID is the maximum length of an operationId, which is used as a metric label.
	maxID = 128
	// maxAdoptedParameters is how many parameters an operation may have.
	maxAdoptedParameters = 128
)

// Adopt compiles a foreign document, OpenAPI 3.0 or 3.1 in YAML or JSON, with or without x-fountain. A part that is invalid or not supported makes
// only the operations that need it unsupported: see Operation.Unsupported. The warnings list the deviations that were tolerated, in the order of the
// document.
//
// It fails when there is no contract at all: the files cannot be read, the name is not allowed, x-fountain contradicts itself, or Public names an
// operation that the document does not leave open. Each fault is reported with its place, as pets.yaml:12.
func Adopt(a Adoption) (*Contract, []Warning, error) {
	if err := a.check(); err != nil {
		return nil, nil, err
	}
	b := &adopter{adoption: a, files: map[string]*elementFile{}, resolved: map[reference]resolution{}, schemas: map[*element]*schema{},
		patterns: map[string]*pattern{},
		first:    map[Warning]int{}, said: map[told]bool{}, ids: map[string]string{}, mentioned: map[string]bool{}, places: map[*Operation]*element{}}
	values := 0
	for _, name := range slices.Sorted(maps.Keys(a.Files)) {
		file, err := readElements(name, a.Files[name])
		if err != nil {
			return nil, nil, fmt.Errorf("adopt %s: %w", a.Name, err)
		}
		if values += int(file.root.size); values > maxElements {
			return nil, nil, fmt.Errorf("adopt %s: %s: the files have more than %d values together", a.Name, file.root.place(), maxElements)
		}
		b.files[name] = file
	}
	b.root = b.files[a.File].root
	if !b.root.isMap() {
		return nil, nil, fmt.Errorf("adopt %s: %w", a.Name, errorAt(b.root, "the file must contain an object, as every OpenAPI document does"))
	}
	c, err := b.contract()
	if err != nil {
		return nil, b.told(), fmt.Errorf("adopt %s: %w", a.Name, err)
	}
	return c, b.told(), nil
}

// reservedNames are first segments of the family's paths or prefixes of its scopes, present or future, besides its words.
var reservedNames = []string{
	"docs", "console", "openapi", "problems", "health", "ready", "well-known", "metrics", "api", "jwks",
	"audit", "challenges", "clients", "collections", "contracts", "deliveries", "documents", "elements", "factors", "invitations", "keyrings", "keys", "mails", "oauth2", "openid", "proofs", "revocations", "root-key", "secret-policies", "secrets", "services", "session", "signing-keys", "upkeep", "users",
}

func (a *Adoption) check() error {
	switch {
	case !memberName.MatchString(a.Name):
		return errors.New("adopt: the name must be two to 63 of a-z, 0-9 and \"-\", beginning with a letter")
	case slices.Contains(openapi.Words(), a.Name) || slices.Contains(reservedNames, a.Name):
		return fmt.Errorf("adopt: %s is a service of the family, the beginning of its paths or of its scopes; choose another name", a.Name)
	case len(a.Files) > MaxDocumentFiles:
		return fmt.Errorf("adopt %s: %d files; a document and its files are at most %d", a.Name, len(a.Files), MaxDocumentFiles)
	case a.Files[a.File] == nil:
		return fmt.Errorf("adopt %s: the document %q is not among the files", a.Name, a.File)
	}
	for name := range a.Files {
		if name == "" || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "../") {
			return fmt.Errorf("adopt %s: the file name %q must be relative, without dot segments", a.Name, shortened(name))
		}
	}
	return nil
}

// adopter compiles one adopted document.
type adopter struct {
	adoption Adoption
	files    map[string]*elementFile
	root     *element
	later    bool // the document is OpenAPI 3.1 or later: schemas are JSON Schema 2020-12
	rootText *policyText
	security adoptedSecurity
	made     *Contract

	resolved     map[reference]resolution
	schemas      map[*element]*schema
	all          []*schema  // in the order in which they were begun
	open         []*element // the schemas that are being compiled, outermost first
	patterns     map[string]*pattern
	patternSizes int

	operation       string // the operation being compiled, as "GET /pets", for warnings
	ids             map[string]string
	mentioned       map[string]bool // operationIds of Public that were found
	warnings        []Warning
	first           map[Warning]int // where in warnings one is, without its place
	said            map[told]bool
	places          map[*Operation]*element
	omittedWarnings int // number of warnings beyond maxWarnings

	unknownKeys int // number of unknown keys met
}

// errorAt returns an error with the place of an element.
func errorAt(at *element, format string, args ...any) error {
	return fmt.Errorf("%s: %w", at.place(), fmt.Errorf(format, args...))
}

func (b *adopter) contract() (*Contract, error) {
	if err := b.version(); err != nil {
		return nil, err
	}
	b.misspelled(WarnSchema, b.root, documentKeys)
	b.outbound(b.root, "webhooks")
	name := b.adoption.Name
	c := &Contract{Word: name, Mount: "/" + name, Version: b.root.get("info", "version").str(), Scopes: map[string]string{},
		Document: b.adoption.Files[b.adoption.File]}
	if c.Version == "" {
		b.warn(WarnOperation, cmp.Or(b.root.get("info"), b.root), "write version: 1.0.0", "info.version is empty")
	}
	c.BasePath = c.Mount + b.basePath()
	b.made = c
	b.readSecurity(c.Scopes)
	var err error
	if b.rootText, err = decodeAdoptedPolicy(b.root); err != nil {
		return nil, err
	}
	if err := b.operations(c); err != nil {
		return nil, err
	}
	if err := b.publicFound(); err != nil {
		return nil, err
	}
	b.finish(c)
	slices.SortFunc(c.Operations, func(x, y *Operation) int { return strings.Compare(x.ID, y.ID) })
	if c.table, err = NewTable(c); err != nil {
		return nil, err
	}
	return c, nil
}

// version checks that the document is one of OpenAPI 3.
func (b *adopter) version() error {
	said := b.root.get("openapi")
	switch {
	case b.root.get("swagger") != nil:
		return errorAt(b.root.get("swagger"), "the document is of Swagger 2.0; convert it to OpenAPI 3.0 (npx swagger2openapi)")
	case said == nil:
		return errorAt(b.root, "the document does not declare its version; write openapi: 3.0.3 and the rest of an OpenAPI document")
	}
	version := said.text
	switch {
	case strings.HasPrefix(version, "3.0"), version == "3":
	case strings.HasPrefix(version, "3.1"), strings.HasPrefix(version, "3.2"):
		b.later = true
	default:
		return errorAt(said, "OpenAPI %s is not supported; write the document for 3.0 or 3.1", shortened(version))
	}
	if !b.root.get("paths").isMap() {
		return errorAt(b.root, "the document has no paths; write paths: with at least one operation")
	}
	return nil
}

// publicFound checks that every name in Public is that of an operation which the document leaves open.
func (b *adopter) publicFound() error {
	var errs []error
	for _, id := range b.adoption.Public {
		if !b.mentioned[id] {
			errs = append(errs, fmt.Errorf("%s: public names %s (fountain adopt --public), but the document has no such operation with security: []",
				b.root.place(), shortened(id)))
		}
	}
	return errors.Join(errs...)
}
