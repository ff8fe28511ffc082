package contract

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/openapi"
)

// Adoption is what an operator said when a document of others is adopted.
type Adoption struct {
	// Name is the member's word: the audience of its tokens, its mount "/<name>", and what its scopes begin with. It is two to 63 of a-z, 0-9
	// and "-", beginning with a letter, and no word of the family.
	Name string
	// File is the name of the document in Files.
	File string
	// Files are the document and the files that it refers to by $ref, by their names relative to each other. Nothing else is read.
	Files map[string][]byte
	// Public are operationIds that stay without credentials: the document says security: [] there, and the operator accepts it by name.
	Public []string
}

// Warning tells what of a document was adopted around: it is not as the document says, or the document is not as OpenAPI says.
type Warning struct {
	Kind      string // one of the Warn constants
	Origin    Origin
	Operation string // "GET /pets/{id}" where it is about one operation, else ""
	Cause     string // what the document says and what became of it
	Hint      string // what to write instead, or ""
	More      int    // of how many other places the same is so; Origin is the first one that was met
}

// Kinds of warnings.
const (
	WarnUnsupported   = "unsupported"   // an operation is answered with 501
	WarnVersion       = "version"       // a keyword of another version of OpenAPI than the document's
	WarnServer        = "server"        // which server's path holds
	WarnSecurity      = "security"      // security schemes and requirements that the family's tokens replace
	WarnPath          = "path"          // a path that is not as OpenAPI says
	WarnOperation     = "operation"     // an operationId that is missing or used twice
	WarnParameter     = "parameter"     // a parameter that is ignored or not checked
	WarnBody          = "body"          // a body that is passed on without a check
	WarnResponse      = "response"      // an answer that is not checked
	WarnSchema        = "schema"        // a keyword that is ignored or read otherwise
	WarnFormat        = "format"        // a format that is not checked
	WarnPattern       = "pattern"       // a pattern of another engine, or none that can be read
	WarnDiscriminator = "discriminator" // a discriminator that does not choose
	WarnReference     = "reference"     // a $ref that leads nowhere
)

// String returns the warning on one line, as pets.yaml:12: cause; hint.
func (w Warning) String() string {
	s := w.Origin.String() + ": " + w.Cause
	if w.Operation != "" {
		s = w.Origin.String() + ": " + w.Operation + ": " + w.Cause
	}
	if w.More > 0 {
		s += fmt.Sprintf(" (here and %d times more)", w.More)
	}
	if w.Hint != "" {
		s += "; " + w.Hint
	}
	return s
}

// Bounds of what is compiled of a document of others.
const (
	// MaxOperations is how many operations a document may have.
	MaxOperations = 2000
	// maxID is how long an operationId may be, which goes into metrics.
	maxID = 128
	// maxWarnings is how many warnings are told.
	maxWarnings = 2000
	// maxAdoptedParameters is how many parameters an operation may have.
	maxAdoptedParameters = 128
)

// Adopt compiles a document of others, OpenAPI 3.0 or 3.1 in YAML or JSON, without x-fountain or with it. What is wrong with the document, or not
// supported, costs the operation alone that needs it: see Operation.Unsupported. The warnings tell what was adopted around, in the order of the
// document.
//
// An error says why there is no contract: the files cannot be read, the name cannot be a member's, x-fountain contradicts itself, or Public names an
// operation that the document does not leave open. Each fault is told with its place, as pets.yaml:12.
func Adopt(a Adoption) (*Contract, []Warning, error) {
	if err := a.check(); err != nil {
		return nil, nil, err
	}
	b := &adopter{adoption: a, files: map[string]*elementFile{}, resolved: map[reference]resolution{}, schemas: map[*element]*schema{},
		patterns: map[string]*pattern{}, first: map[Warning]int{}, said: map[told]bool{}, ids: map[string]string{}, mentioned: map[string]bool{}, places: map[*Operation]*element{}}
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
		return nil, nil, fmt.Errorf("adopt %s: %w", a.Name, wrong(b.root, "the file must hold an object, as every OpenAPI document does"))
	}
	c, err := b.contract()
	if err != nil {
		return nil, b.told(), fmt.Errorf("adopt %s: %w", a.Name, err)
	}
	return c, b.told(), nil
}

func (a *Adoption) check() error {
	switch {
	case !memberName.MatchString(a.Name):
		return errors.New("adopt: a name has 2 to 63 small letters, digits and hyphens, and begins with a letter")
	case slices.Contains(openapi.Words(), a.Name):
		return fmt.Errorf("adopt: %s is a service of the family; choose another name", a.Name)
	case len(a.Files) > MaxDocumentFiles:
		return fmt.Errorf("adopt %s: %d files are given; a document and its files are at most %d", a.Name, len(a.Files), MaxDocumentFiles)
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

// adopter compiles one document of others.
type adopter struct {
	adoption Adoption
	files    map[string]*elementFile
	root     *element
	later    bool // the document is of OpenAPI 3.1 or later: schemas are JSON Schema 2020-12
	rootText *policyText
	security adoptedSecurity
	made     *Contract

	resolved     map[reference]resolution
	schemas      map[*element]*schema
	all          []*schema  // in the order in which they were begun
	open         []*element // the schemas that are being compiled, outermost first
	patterns     map[string]*pattern
	patternSizes int

	operation string // which one is being compiled, as "GET /pets", for warnings
	ids       map[string]string
	mentioned map[string]bool // operationIds of Public that were found
	warnings  []Warning
	first     map[Warning]int // where in warnings one is, without its place
	said      map[told]bool
	places    map[*Operation]*element
	unsaid    int // warnings beyond maxWarnings
}

// warn notes a warning about the element, once.
func (b *adopter) warn(kind string, at *element, hint, format string, args ...any) {
	w := Warning{Kind: kind, Cause: fmt.Sprintf(format, args...), Hint: hint}
	if kind == WarnUnsupported || kind == WarnOperation {
		w.Operation = b.operation
	}
	place := told{w, at.origin()}
	if b.said[place] {
		return
	}
	if i, told := b.first[w]; told {
		b.said[place] = true
		b.warnings[i].More++
		return
	}
	if len(b.warnings) >= maxWarnings {
		b.unsaid++
		return
	}
	b.said[place], b.first[w] = true, len(b.warnings)
	w.Origin = at.origin()
	b.warnings = append(b.warnings, w)
}

// told is a warning, without its place, at a place.
type told struct {
	what  Warning
	place Origin
}

// told returns the warnings in the order of the document.
func (b *adopter) told() []Warning {
	slices.SortStableFunc(b.warnings, func(x, y Warning) int {
		return cmp.Or(cmp.Compare(x.Origin.File, y.Origin.File), cmp.Compare(x.Origin.Line, y.Origin.Line), cmp.Compare(x.Cause, y.Cause))
	})
	if b.unsaid > 0 {
		b.warnings = append(b.warnings, Warning{Kind: WarnSchema, Origin: b.root.origin(), Cause: fmt.Sprintf("%d more warnings are not told", b.unsaid)})
	}
	return b.warnings
}

// wrong returns an error with the place of an element.
func wrong(at *element, format string, args ...any) error {
	return fmt.Errorf("%s: %w", at.place(), fmt.Errorf(format, args...))
}

func (b *adopter) contract() (*Contract, error) {
	if err := b.version(); err != nil {
		return nil, err
	}
	name := b.adoption.Name
	c := &Contract{Word: name, Mount: "/" + name, Version: b.root.get("info", "version").str(), Scopes: map[string]string{}, Document: b.adoption.Files[b.adoption.File]}
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
		return wrong(b.root.get("swagger"), "the document is of Swagger 2.0; convert it to OpenAPI 3.0 (npx swagger2openapi)")
	case said == nil:
		return wrong(b.root, "the document does not say its version; write openapi: 3.0.3 and the rest of an OpenAPI document")
	}
	version := said.text
	switch {
	case strings.HasPrefix(version, "3.0"), version == "3":
	case strings.HasPrefix(version, "3.1"), strings.HasPrefix(version, "3.2"):
		b.later = true
	default:
		return wrong(said, "OpenAPI %s is not supported; write the document for 3.0 or 3.1", shortened(version))
	}
	if !b.root.get("paths").isMap() {
		return wrong(b.root, "the document has no paths; write paths: with at least one operation")
	}
	return nil
}

// methods of a path item, in the order in which operations are compiled.
var adoptedMethods = []string{"get", "head", "post", "put", "patch", "delete", "options", "trace"}

// operations compiles every operation of the document.
func (b *adopter) operations(c *Contract) error {
	var errs []error
	taken := map[string]*Operation{} // by method and matched path
	b.root.get("paths").each(func(template string, item *element) {
		if strings.HasPrefix(template, "x-") {
			return
		}
		at := item
		item, err := b.deref(item)
		if err != nil || !item.isMap() {
			b.warn(WarnPath, at, "", "path %s has no operations that can be read", shortened(template))
			return
		}
		for _, method := range adoptedMethods {
			o := item.get(method)
			if o == nil {
				continue
			}
			if len(c.Operations) >= MaxOperations {
				errs = append(errs, wrong(o, "the document has more than %d operations; adopt it in parts", MaxOperations))
				return
			}
			b.operation = strings.ToUpper(method) + " " + shortened(template)
			op, err := b.adoptOperation(template, strings.ToUpper(method), item, o)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if op == nil {
				continue
			}
			key := op.Method + " " + op.route
			b.places[op] = o
			other := taken[key]
			if other == nil {
				taken[key] = op
				c.Operations = append(c.Operations, op)
				continue
			}
			main, joined := join(other, op)
			taken[key] = main
			c.Operations[slices.Index(c.Operations, other)] = main
			if joined {
				b.warn(WarnPath, o, "give it a path of its own", "requests of %s cannot be told from those of %s; they fit when they fit one of the two", op.ID, other.ID)
			} else {
				b.warn(WarnPath, o, "give it a path of its own, or ask the same of callers", "requests of %s cannot be told from those of %s, which asks something else of callers; %s holds", op.ID, other.ID, main.ID)
			}
		}
	})
	b.operation = ""
	return errors.Join(errs...)
}

// operationID returns the document's operationId, or one that is made of method and path.
func (b *adopter) operationID(method, template string, o *element) string {
	id := o.get("operationId").str()
	if id == "" || len(id) > maxID {
		id = derivedID(method, template)
		id = id[:min(len(id), maxID)]
		b.warn(WarnOperation, o, "write operationId: "+id, "the operation has no operationId, or a very long one; it is called %s", id)
	}
	unique := id
	for n := 2; b.ids[unique] != ""; n++ {
		unique = id + strconv.Itoa(n)
	}
	if unique != id {
		b.warn(WarnOperation, o, "give each operation an operationId of its own", "the operationId %s is used by %s too; this one is called %s", shortened(id), b.ids[id], unique)
	}
	b.ids[unique] = b.operation
	return unique
}

// derivedID makes an operationId of a method and a path: getPetsByPetId.
func derivedID(method, template string) string {
	id := strings.ToLower(method)
	for _, segment := range strings.Split(template, "/") {
		if strings.Contains(segment, "{") {
			id += "By"
		}
		for _, word := range strings.FieldsFunc(segment, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
		}) {
			id += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return id
}

// adoptOperation compiles one operation; nil when its path cannot be one. What it needs and is not supported becomes op.Unsupported. The error is one of
// x-fountain.
func (b *adopter) adoptOperation(template, method string, item, o *element) (*Operation, error) {
	clean := b.cleanPath(template, item)
	op := &Operation{Word: b.adoption.Name, Method: method, Path: b.made.BasePath + clean, template: template, adopted: true,
		Origin: o.origin(), origins: b.origins(item, o), statuses: map[int]*responseContract{}}
	for _, tag := range o.get("tags").list() {
		op.Tags = append(op.Tags, tag.str())
	}
	op.ID = b.operationID(method, template, o)
	op.Mount, op.label = b.made.Mount, op.Word+"."+op.ID
	b.requirements(op, o)
	var parts []error
	var err error
	if op.route, op.pathNames, err = adoptedRoute(op.Path); err != nil {
		b.warn(WarnPath, o, "", "the path cannot be matched: %v; the operation is left out", err)
		return nil, nil
	}
	if op.parameters, err = b.parameters(op, item, o); err != nil {
		parts = append(parts, err)
	}
	if op.body, err = b.body(o.get("requestBody")); err != nil {
		parts = append(parts, err)
	}
	b.responses(op, o.get("responses"))
	if err := errors.Join(parts...); err != nil {
		b.unsupported(op, o, err)
	}
	return op, b.policy(op, item, o)
}

// unsupported marks an operation that cannot be checked.
func (b *adopter) unsupported(op *Operation, o *element, err error) {
	if op.Unsupported != "" {
		return
	}
	op.Unsupported = sentence("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	op.parameters, op.body, op.statuses = nil, nil, map[int]*responseContract{}
	b.warn(WarnUnsupported, o, "", "requests are answered with 501: %s", op.Unsupported)
}

// origins finds the places that OriginOf knows.
func (b *adopter) origins(item, o *element) map[string]Origin {
	out := map[string]Origin{}
	put := func(what string, at *element) {
		if _, have := out[what]; !have && at != nil {
			out[what] = at.origin()
		}
	}
	put("security", cmp.Or(o.get("security"), b.root.get("security")))
	put("requestBody", o.get("requestBody"))
	put("responses", o.get("responses"))
	o.get("responses").each(func(status string, at *element) { put("responses."+status, at) })
	for _, level := range []*element{o, item, b.root} {
		put(extension, level.get(extension))
		level.get(extension).each(func(key string, at *element) {
			if key != "rate" {
				put(extension+"."+key, at)
				return
			}
			for _, limit := range at.list() {
				put(extension+".rate."+limit.get("name").str(), limit)
			}
		})
	}
	for _, level := range []*element{o, item} {
		for _, at := range level.get("parameters").list() {
			if p, err := b.deref(at); err == nil {
				put("parameters."+p.get("in").str()+"."+p.get("name").str(), p)
			}
		}
	}
	return out
}

// publicFound checks that every name of Public was that of an operation which the document leaves open.
func (b *adopter) publicFound() error {
	var errs []error
	for _, id := range b.adoption.Public {
		if !b.mentioned[id] {
			errs = append(errs, fmt.Errorf("%s: operation %s was to stay without credentials, but the document has no such operation with security: []",
				b.root.place(), shortened(id)))
		}
	}
	return errors.Join(errs...)
}

// readsOnly reports whether a method only reads.
func readsOnly(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
