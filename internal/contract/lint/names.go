package lint

import (
	"net/textproto"
	"regexp"
	"strings"
)

var (
	verbNoun    = regexp.MustCompile(`^[a-z]+([A-Z][a-z0-9]*)+$`)
	camelCase   = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)
	kebabCase   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*([.][a-z0-9]+)?$`)
	placeholder = regexp.MustCompile(`^\{([a-z][a-zA-Z0-9]*)\}$`)
)

// rfcNames are names that RFC 6749, 7009, 7517, 7636, 7662, 8414, 8707 and 9207 and OpenID Connect prescribe, in JSON and in queries.
var rfcNames = map[string]bool{
	"access_token": true, "token_type": true, "expires_in": true, "refresh_token": true, "grant_type": true, "client_id": true,
	"client_secret": true, "error_description": true, "error_uri": true, "jwks_uri": true, "token_endpoint": true,
	"token_endpoint_auth_methods_supported": true, "introspection_endpoint_auth_methods_supported": true,
	"revocation_endpoint_auth_methods_supported": true, "auth_time": true, "grant_types_supported": true, "response_types_supported": true,
	"scopes_supported": true, "revocation_endpoint": true, "introspection_endpoint": true, "token_type_hint": true,
	"response_type": true, "response_mode": true, "redirect_uri": true, "code_challenge": true, "code_challenge_method": true, "code_verifier": true,
	"max_age": true, "acr_values": true, "login_hint": true, "logout_hint": true, "id_token_hint": true, "ui_locales": true, "claims_locales": true,
	"access_type": true, "request_uri": true, "post_logout_redirect_uri": true, "id_token": true, "preferred_username": true,
	"authorization_endpoint": true, "authorization_response_iss_parameter_supported": true, "userinfo_endpoint": true, "end_session_endpoint": true,
	"response_modes_supported": true, "code_challenge_methods_supported": true, "subject_types_supported": true,
	"id_token_signing_alg_values_supported": true, "prompt_values_supported": true, "acr_values_supported": true, "claims_supported": true,
	"claims_parameter_supported": true, "request_parameter_supported": true, "request_uri_parameter_supported": true,
}

// fixedPaths are prescribed by an RFC, or name a single resource that is not a collection.
var fixedPaths = []string{"/.well-known/", "/openapi/", "/console/"}

var nameRules = []Rule{
	{"operation-id", "operationId is verbNoun in camelCase.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if !verbNoun.MatchString(op.OperationID) {
				op.report(r, "operationId must be verbNoun")
			}
		})
	}},
	{"operation-id-unique", "An operationId is used once in the family.", func(f *family, r reporter) {
		owner := map[string]string{}
		f.each(func(op operation) {
			here := op.document.word + " " + op.method + " " + op.path
			if other, taken := owner[strings.ToLower(op.OperationID)]; taken && other != here {
				op.report(r, "is also the operationId of %s", other)
			}
			owner[strings.ToLower(op.OperationID)] = here
		})
	}},
	{"path-kebab", "Path segments are kebab-case, path parameters camelCase; a slash at the end only redirects.", func(f *family, r reporter) {
		f.each(func(op operation) {
			path := strings.TrimPrefix(op.path, "/")
			if path == "" {
				return // the start page
			}
			if op.Responses.Value("308") != nil && op.Responses.Value("200") == nil {
				path = strings.TrimSuffix(path, "/")
			}
			for segment := range strings.SplitSeq(path, "/") {
				if !kebabCase.MatchString(segment) && !placeholder.MatchString(segment) && segment != ".well-known" {
					op.report(r, "segment %s of %s", segment, op.path)
				}
			}
		})
	}},
	{"path-plural", "What a path parameter chooses from is named in the plural.", func(f *family, r reporter) {
		f.each(func(op operation) {
			for _, fixed := range fixedPaths {
				if strings.HasPrefix(op.path, fixed) {
					return
				}
			}
			before, _, hasParameter := strings.Cut(op.path, "{")
			if collection, _, _ := strings.Cut(strings.TrimPrefix(before, "/"), "/"); hasParameter && !strings.HasSuffix(collection, "s") {
				op.report(r, "%s begins with the singular %s", op.path, collection)
			}
		})
	}},
	{"property-name", "JSON properties and query parameters are camelCase, except where an RFC fixes the name; headers are Train-Case; cookies are __Host-fountain-...: " +
		"of this host alone, and for no adopted service.", func(f *family, r reporter) {
		f.schemas(func(v visit) {
			for _, name := range sortedKeys(v.schema.Properties) {
				if !camelCase.MatchString(name) && !rfcNames[name] {
					v.report(r, "property %s", name)
				}
			}
		})
		f.each(func(op operation) {
			for _, p := range op.parameters() {
				good := camelCase.MatchString(p.Name) || p.In == "query" && rfcNames[p.Name]
				switch p.In {
				case "header":
					good = p.Name == textproto.CanonicalMIMEHeaderKey(p.Name) || p.Name == "X-OTP"
				case "cookie":
					good = strings.HasPrefix(p.Name, "__Host-fountain-")
				}
				if !good {
					op.report(r, "%s parameter %s", p.In, p.Name)
				}
			}
		})
	}},
	{"documented", "Every operation has a summary and one tag of the root's list.", func(f *family, r reporter) {
		f.each(func(op operation) {
			if op.Summary == "" {
				op.report(r, "has no summary")
			}
			if len(op.Tags) != 1 || op.document.model.Tags.Get(op.Tags[0]) == nil {
				op.report(r, "needs exactly one tag, declared at the root")
			}
		})
	}},
}
