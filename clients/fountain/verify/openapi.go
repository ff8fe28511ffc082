package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ReadPolicy derives a policy from an OpenAPI 3.0 document in the way the gateway reads it. Scopes come from security:
// the scheme of type oauth2; an X-OTP header next to it requires nothing. Principals, roles and stepUp come from
// x-fountain, which an operation inherits from its path and the root. A dynamic stepUp is left to the handler
// (Verifier.StepUp). The document must be JSON in a single text; a service with a YAML contract converts it to JSON
// first.
//
// The paths of the policy start with the base path of the first server.
func ReadPolicy(openapi []byte) (Policy, error) {
	var doc apiDocument
	if err := json.Unmarshal(openapi, &doc); err != nil {
		return nil, fmt.Errorf("verify: read OpenAPI document: %w", err)
	}
	base, err := doc.base()
	if err != nil {
		return nil, fmt.Errorf("verify: read OpenAPI document: %w", err)
	}
	p := Policy{}
	for path, item := range doc.Paths {
		var own struct {
			Extension *apiPolicy `json:"x-fountain"`
		}
		if err := json.Unmarshal(item, &own); err != nil {
			return nil, fmt.Errorf("verify: %s: %w", path, err)
		}
		var operations map[string]json.RawMessage
		_ = json.Unmarshal(item, &operations) // cannot fail: item was decoded as an object above
		for _, method := range []string{"get", "head", "post", "put", "patch", "delete", "options"} {
			raw, there := operations[method]
			if !there {
				continue
			}
			key := strings.ToUpper(method) + " " + base + path
			if p[key], err = doc.rule(raw, own.Extension); err != nil {
				return nil, fmt.Errorf("verify: %s: %w", key, err)
			}
		}
	}
	if len(p) == 0 {
		return nil, errors.New("verify: the OpenAPI document has no operation")
	}
	return p, nil
}

// apiDocument is the part of an OpenAPI document that is used (OpenAPI 3.0.3, section 4.7.1).
type apiDocument struct {
	Servers []struct {
		URL string `json:"url"`
	} `json:"servers"`
	Security   []map[string][]string      `json:"security"`
	Extension  *apiPolicy                 `json:"x-fountain"`
	Paths      map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemes map[string]struct {
			Type string `json:"type"`
			In   string `json:"in"`
			Name string `json:"name"`
		} `json:"securitySchemes"`
	} `json:"components"`
}

// apiPolicy is the part of x-fountain that is used; nil means not set. The gateway enforces the rest.
type apiPolicy struct {
	Principals []string `json:"principals"`
	Roles      *struct {
		AnyOf []string `json:"anyOf"`
		AllOf []string `json:"allOf"`
	} `json:"roles"`
	StepUp *struct {
		ACR     string   `json:"acr"`
		MaxAge  int64    `json:"maxAge"`
		For     []string `json:"for"`
		Dynamic bool     `json:"dynamic"`
	} `json:"stepUp"`
}

// base returns the path of the first server, without a slash at its end.
func (d *apiDocument) base() (string, error) {
	if len(d.Servers) == 0 {
		return "", nil
	}
	url := d.Servers[0].URL
	if _, rest, absolute := strings.Cut(url, "://"); absolute {
		_, path, _ := strings.Cut(rest, "/")
		url = "/" + path
	}
	if strings.ContainsAny(url, "{}?#") {
		return "", errors.New("the path of the first server's URL is not a plain path")
	}
	return strings.TrimSuffix(url, "/"), nil
}

// rule reads the rule of one operation.
func (d *apiDocument) rule(raw []byte, onPath *apiPolicy) (Rule, error) {
	var op struct {
		Security  *[]map[string][]string `json:"security"`
		Extension *apiPolicy             `json:"x-fountain"`
	}
	if err := json.Unmarshal(raw, &op); err != nil {
		return Rule{}, err
	}
	security := d.Security
	if op.Security != nil {
		security = *op.Security
	} else if security == nil {
		return Rule{}, errors.New("neither the operation nor the document declares security")
	}
	r := Rule{Public: len(security) == 0}
	if r.Public {
		return r, nil
	}
	for _, requirement := range security {
		scopes, err := d.scopes(requirement)
		if err != nil {
			return Rule{}, err
		}
		if !slices.ContainsFunc(r.Scopes, func(have []string) bool { return slices.Equal(have, scopes) }) {
			r.Scopes = append(r.Scopes, scopes)
		}
	}
	for _, level := range []*apiPolicy{d.Extension, onPath, op.Extension} {
		level.over(&r)
	}
	return r, r.check()
}

// scopes reads the scopes of one security requirement, which is one alternative.
func (d *apiDocument) scopes(requirement map[string][]string) ([]string, error) {
	var scopes []string
	withToken := false
	for scheme, named := range requirement {
		switch s := d.Components.Schemes[scheme]; {
		case s.Type == "oauth2":
			withToken, scopes = true, append(scopes, named...)
		case s.Type == "apiKey" && s.In == "header" && strings.EqualFold(s.Name, "X-OTP"): // redeemed by the gateway
		default:
			return nil, fmt.Errorf("security scheme %s is neither oauth2 nor the header X-OTP", scheme)
		}
	}
	if !withToken {
		return nil, errors.New("an alternative of security requires no token")
	}
	slices.Sort(scopes)
	return scopes, nil
}

// over overrides the rule with what this level sets.
func (l *apiPolicy) over(r *Rule) {
	if l == nil {
		return
	}
	if l.Principals != nil {
		r.Principals = l.Principals
	}
	if l.Roles != nil {
		r.AnyRole, r.AllRoles = l.Roles.AnyOf, l.Roles.AllOf
	}
	if s := l.StepUp; s != nil {
		r.StepUp = nil
		if !s.Dynamic { // if it is dynamic, the handler calls Verifier.StepUp
			r.StepUp = &StepUp{ACR: s.ACR, MaxAge: time.Duration(s.MaxAge) * time.Second, For: s.For}
		}
	}
}
