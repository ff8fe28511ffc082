package lint

import (
	"net/http"
	"slices"
	"strings"

	"github.com/fountainai/fountain/internal/contract"
)

// problemRef is the family's problem response, used for default; followed by a status it is that status's response.
const problemRef = "common.yaml#/components/responses/Problem"

// limitHeaders are the headers with which the gateway reports limits to callers, each with its component in common.yaml.
var limitHeaders = map[string]string{"RateLimit": "#/components/headers/RateLimit", "RateLimit-Policy": "#/components/headers/RateLimitPolicy"}

var operationRules = []Rule{
	{"security", "Every operation declares its security: [] when it is public.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.Security == nil {
				op.report(r, "security is missing")
			}
		})
	}},
	{"enforced-policy", "A policy key is used only when something enforces it; other modes of validate.request are reserved.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.compiled == nil {
				return
			}
			if op.compiled.Policy.Validate.Request.Kind != contract.ModeEnforce {
				op.report(r, "nothing enforces x-fountain.validate.request yet")
			}
		})
	}},
	{"scopes-used", "Every scope of the oauth2 map is used, here or by another contract of the family.", func(f *family, r reporter) {
		used := map[string]bool{}
		f.each(func(op operation) {
			if op.compiled == nil {
				return
			}
			for _, requirement := range op.compiled.Requirements {
				for _, scope := range requirement.Scopes {
					used[scope] = true
				}
			}
		})
		for _, d := range f.documents {
			if d.compiled == nil {
				continue
			}
			for _, scope := range sortedKeys(d.compiled.Scopes) {
				if !used[scope] {
					r("securitySchemes", nil, d.file(), "no operation needs the scope %s", scope)
				}
			}
		}
	}},
	{"problem", "Every 4xx and 5xx is the common Problem of that status, default is the common Problem, and is there; 400 and 401 of an OAuth endpoint are RFC 6749 errors.", func(f *family, r reporter) {
		f.each(func(op operation) {
			oauth := op.compiled != nil && op.compiled.Policy.Errors == contract.ErrorsOAuth
			for _, status := range sortedKeys(op.responses()) {
				ref, wanted := op.responses()[status], problemRef
				if status != "default" {
					wanted += status
				}
				if !isErrorStatus(status) || ref.Ref == wanted {
					continue
				}
				if oauth && (status == "400" || status == "401") && ref.Value != nil && ref.Value.Content["application/json"] != nil {
					continue
				}
				op.report(r, "%s must reference %s", status, wanted)
			}
			if op.responses()["default"] == nil {
				op.report(r, "has no default response")
			}
		})
	}},
	{"refusals-declared", "An operation with security declares 401 and 403, one with a limit for its callers 429.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.compiled == nil {
				return
			}
			var wanted []string
			if !op.public() {
				wanted = []string{"401", "403"}
			}
			policy, _ := op.Extensions["x-fountain"].(map[string]any)
			if policy["rate"] != nil || !op.public() && len(op.compiled.Policy.Rate) > 0 {
				wanted = append(wanted, "429")
			}
			for _, status := range wanted {
				if op.responses()[status] == nil {
					op.report(r, "does not declare %s", status)
				}
			}
		})
	}},
	{"limits-declared", "Every answer of an operation with a limit declares the common RateLimit and RateLimit-Policy, which the gateway writes.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.compiled == nil || len(op.compiled.Policy.Rate) == 0 {
				return
			}
			for _, status := range sortedKeys(op.responses()) {
				ref := op.responses()[status]
				for name, component := range limitHeaders {
					if ref.Value != nil && (ref.Value.Headers[name] == nil || !strings.HasSuffix(ref.Value.Headers[name].Ref, component)) {
						op.report(r, "%s must declare %s as common.yaml%s", status, name, component)
					}
				}
			}
		})
	}},
	{"page-policy", "The 304 of what has a Content-Security-Policy declares that header: a browser applies the policy of the 304, and a proxy may write one of its own.", func(f *family, r reporter) {
		const policy = "Content-Security-Policy"
		f.each(func(op operation) {
			page, kept := op.responses()["200"], op.responses()["304"]
			if page == nil || kept == nil || page.Value == nil || kept.Value == nil {
				return
			}
			if page.Value.Headers[policy] != nil && kept.Value.Headers[policy] == nil {
				op.report(r, "304 must declare %s, as common.yaml#/components/responses/PageNotModified does", policy)
			}
		})
	}},
	{"success-declared", "Every operation declares a 2xx or 3xx.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if !slices.ContainsFunc(sortedKeys(op.responses()), func(s string) bool { return s[0] == '2' || s[0] == '3' }) {
				op.report(r, "never succeeds")
			}
		})
	}},
	{"body-method", "GET, HEAD and DELETE have no body; POST, PUT and PATCH bodies are required.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.RequestBody == nil {
				return
			}
			switch op.method {
			case http.MethodGet, http.MethodHead, http.MethodDelete:
				op.report(r, "%s has a body", op.method)
			default:
				if op.RequestBody.Value != nil && !op.RequestBody.Value.Required {
					op.report(r, "the body must be required")
				}
			}
		})
	}},
	{"idempotency", "Every POST takes an Idempotency-Key or has idempotency: none.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.method == http.MethodPost && op.compiled != nil && op.compiled.Policy.Idempotency == "" {
				op.report(r, "does not declare idempotency")
			}
		})
	}},
	{"sensitive", "A property of format password is x-sensitive, and an operation with a sensitive property in its request is sensitive.", func(f *family, r reporter) {
		f.schemas(func(v visit) {
			if v.schema.Format == "password" && v.schema.Extensions["x-sensitive"] != true {
				v.report(r, "is a password and must be x-sensitive")
			}
		})
		f.each(func(op operation) {
			if op.compiled == nil || op.compiled.Policy.Sensitive || op.RequestBody == nil || op.RequestBody.Value == nil {
				return
			}
			for _, mt := range op.RequestBody.Value.Content {
				walk(visit{document: op.document}, mt.Schema, map[*schemaModel]bool{}, func(v visit) {
					if v.schema.Extensions["x-sensitive"] == true {
						op.report(r, "takes %s and must be sensitive", strings.TrimPrefix(v.where, "."))
					}
				})
			}
		})
	}},
}
