package lint

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

var compileRules = []Rule{
	{"compiles", "A contract is valid OpenAPI, and its policy has no unknown key and no contradiction.", func(f *family, r reporter) {
		for _, d := range f.documents {
			if d.broken != nil {
				r("contract", nil, d.file(), "%v", d.broken)
			}
		}
	}},
	{"openapi-version", "A contract is OpenAPI 3.0.3.", func(f *family, r reporter) {
		for _, d := range f.documents {
			if d.model != nil && d.model.OpenAPI != "3.0.3" {
				r("openapi", nil, d.file(), "is %s", d.model.OpenAPI)
			}
		}
	}},
	{"server", "The only server is /<word>/v1, for the gateway /.", func(f *family, r reporter) {
		for _, d := range f.documents {
			want := "/" + d.word + "/v1"
			if d.word == "gateway" {
				want = "/"
			}
			if d.model != nil && (len(d.model.Servers) != 1 || d.model.Servers[0].URL != want) {
				r("servers", nil, d.file(), "must have the one entry %s", want)
			}
		}
	}},
	{"known-extensions", "Only the extensions that the family reads are used: " + strings.Join(knownExtensions, ", ") + ".", func(f *family, r reporter) {
		check := func(where string, origin *openapi3.Origin, file string, extensions map[string]any) {
			for _, name := range sortedKeys(extensions) {
				if !known(name) {
					r(where, origin, file, "%s is not a known extension", name)
				}
			}
		}
		for _, d := range f.documents {
			if d.model == nil {
				continue
			}
			check("root", nil, d.file(), d.model.Extensions)
			d.each(func(op operation) {
				check(op.path, op.item.Origin, d.file(), op.item.Extensions)
				check(op.OperationID, op.Origin, d.file(), op.Extensions)
				for _, p := range op.parameters() {
					check(op.OperationID+" "+p.Name, p.Origin, d.file(), p.Extensions)
				}
			})
		}
		f.schemas(func(v visit) { check(v.where, v.schema.Origin, v.document.file(), v.schema.Extensions) })
	}},
	{"references", "A contract references itself and common.yaml#/components/... alone.", func(f *family, r reporter) {
		f.each(func(op operation) {
			for _, p := range op.Parameters {
				reference(op, r, p.Ref)
			}
			if op.RequestBody != nil {
				reference(op, r, op.RequestBody.Ref)
			}
			for _, ref := range op.responses() {
				reference(op, r, ref.Ref)
				if ref.Value == nil {
					continue
				}
				for _, mt := range ref.Value.Content {
					if mt.Schema != nil {
						reference(op, r, mt.Schema.Ref)
					}
				}
			}
		})
	}},
}

// knownExtensions are those of this project and of oapi-codegen and oasdiff.
var knownExtensions = []string{
	"x-fountain", "x-sensitive", "x-free-form", "x-unconditional", "x-go-type", "x-go-type-import", "x-go-type-skip-optional-pointer", "x-go-name", "x-enum-varnames", "x-extensible-enum", "x-sunset",
}

func known(name string) bool {
	for _, k := range knownExtensions {
		if k == name {
			return true
		}
	}
	return false
}

func reference(op operation, r reporter, ref string) {
	if ref != "" && !strings.HasPrefix(ref, "#/components/") && !strings.HasPrefix(ref, "common.yaml#/components/") {
		op.report(r, "references %s", ref)
	}
}
