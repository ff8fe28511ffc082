package contract

import (
	"cmp"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// adoptedSecurity is the part of a document's security that applies.
type adoptedSecurity struct {
	kinds map[string]schemeKind // of the schemes that the family's tokens and codes satisfy; nil: the document's own requirements do not apply
}

var scopeVerb = regexp.MustCompile(`^[a-z0-9][a-z0-9:._-]{0,63}$`)

// readSecurity decides whether the document's requirements apply: they do when it has an oauth2 scheme whose scopes are all <name>:<verb>. Otherwise
// reading needs <name>:read, and everything else <name>:write.
func (b *adopter) readSecurity(scopes map[string]string) {
	schemes := b.root.get("components", "securitySchemes")
	kinds := map[string]schemeKind{}
	var others []string
	own := false
	schemes.each(func(name string, at *element) {
		s, err := b.deref(at)
		switch {
		case err == nil && s.get("type").str() == "oauth2" && b.ownScopes(s, scopes):
			kinds[name], own = schemeOAuth, true
		case err == nil && s.get("type").str() == "apiKey" && s.get("in").str() == "header" && strings.EqualFold(s.get("name").str(), "X-OTP"):
			kinds[name] = schemeOTP
		default:
			others = append(others, strings.TrimSpace(name+" "+said(s)))
		}
	})
	if len(others) > 0 {
		b.warn(WarnSecurity, schemes, "describe an oauth2 scheme with scopes "+b.adoption.Name+":<verb> to choose scopes for each operation",
			"the security schemes are replaced by bearer tokens for %s: %s", b.adoption.Name, strings.Join(others, ", "))
	}
	if own {
		b.security.kinds = kinds
		return
	}
	clear(scopes)
	b.defaultScopes(scopes)
	if schemes == nil {
		b.warn(WarnSecurity, b.root, "", "the document has no security schemes; bearer tokens for %s are still required", b.adoption.Name)
	}
}

// defaultScopes adds the scopes of operations without applicable scopes in the document.
func (b *adopter) defaultScopes(scopes map[string]string) {
	title := cmp.Or(sentence("%s", b.root.get("info", "title").str()), b.adoption.Name)
	for scope, description := range map[string]string{":read": "Read from " + title + ".", ":write": "Change things at " + title + "."} {
		if scopes[b.adoption.Name+scope] == "" {
			scopes[b.adoption.Name+scope] = description
		}
	}
}

// said describes a security scheme briefly.
func said(scheme *element) string {
	words := []string{scheme.get("type").str(), scheme.get("scheme").str(), scheme.get("in").str(), scheme.get("name").str()}
	return "(" + shortened(strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")) + ")"
}

// ownScopes reports whether all scopes of an oauth2 scheme belong to the service, and collects them.
func (b *adopter) ownScopes(scheme *element, scopes map[string]string) bool {
	own, count := true, 0
	scheme.get("flows").each(func(_ string, flow *element) {
		flow.get("scopes").each(func(scope string, description *element) {
			verb, found := strings.CutPrefix(scope, b.adoption.Name+":")
			own = own && found && scopeVerb.MatchString(verb)
			scopes[scope] = description.str()
			count++
		})
	})
	return own && count > 0
}

// requirements compiles what an operation demands of a caller. The result is never empty, unless the document says security: [] and the operator
// accepts it.
func (b *adopter) requirements(op *Operation, o *element) {
	said := cmp.Or(o.get("security"), b.root.get("security"))
	if said != nil && said.kind == elementList && len(said.items) == 0 {
		if slices.Contains(b.adoption.Public, op.ID) {
			b.mentioned[op.ID], op.Public = true, true
			return
		}
		b.warn(WarnSecurity, said, "to leave it open, name "+shortened(op.ID)+" under public (fountain adopt --public "+shortened(op.ID)+")", "%s is open in the document; a token is still required", b.operation)
	}
	for _, alternative := range said.list() {
		if r, ok := b.requirement(alternative); ok && b.security.kinds != nil {
			op.Requirements = append(op.Requirements, r)
		}
	}
	if len(op.Requirements) == 0 {
		if b.security.kinds != nil {
			b.defaultScopes(b.made.Scopes)
		}
		verb := ":write"
		if readsOnly(op.Method) {
			verb = ":read"
		}
		op.Requirements = []Requirement{{Scopes: []string{b.adoption.Name + verb}}}
		return
	}
	for _, r := range op.Requirements {
		plain := func(other Requirement) bool { return !other.OTP && slices.Equal(other.Scopes, r.Scopes) }
		if r.OTP && !slices.ContainsFunc(op.Requirements, plain) {
			op.Requirements = append(op.Requirements, Requirement{Scopes: r.Scopes}) // the session's second factor may serve
		}
	}
	sort.SliceStable(op.Requirements, func(i, j int) bool { return !op.Requirements[i].OTP && op.Requirements[j].OTP })
}

// ownScope reports whether a scope belongs to the service. A scope that the document does not list is required all the same.
func (b *adopter) ownScope(scope string) bool {
	verb, own := strings.CutPrefix(scope, b.adoption.Name+":")
	if own = own && scopeVerb.MatchString(verb); !own {
		return false
	}
	if _, listed := b.made.Scopes[scope]; !listed {
		b.made.Scopes[scope] = ""
	}
	return true
}

// requirement compiles one alternative. It returns false when it would need no token, or a foreign scope. Schemes besides the service's own are
// replaced by its token.
func (b *adopter) requirement(alternative *element) (r Requirement, ok bool) {
	withToken, held := false, true
	alternative.each(func(name string, scopes *element) {
		switch b.security.kinds[name] {
		case schemeOAuth:
			withToken = true
			for _, scope := range scopes.list() {
				held = b.ownScope(scope.str()) && held
				r.Scopes = append(r.Scopes, scope.str())
			}
		case schemeOTP:
			r.OTP = true
		}
	})
	if b.security.kinds != nil && (!withToken || !held) {
		b.warn(WarnSecurity, alternative, "name the oauth2 scheme with scopes of "+b.adoption.Name,
			"an alternative of security is ignored: it requires no token with the member's own scopes")
	}
	sort.Strings(r.Scopes)
	return r, withToken && held
}
