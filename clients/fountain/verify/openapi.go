package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ReadPolicy makes the policy that an OpenAPI 3.0 document says, as the gateway reads it: scopes from security (the scheme of type oauth2; an X-OTP header
// beside it asks for nothing), and principals, roles and stepUp from x-fountain, which an operation inherits from its path and the root. A dynamic
// stepUp is left to the handler (Verifier.StepUp). The document is JSON in one text; a service whose contract is YAML turns it into JSON.
//
// The paths of the policy have the base path of the first server before them.
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
		_ = json.Unmarshal(item, &operations) // it is an object: it was read above
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

// apiDocument is what is read of an OpenAPI document (OpenAPI 3.0.3, section 4.7.1).
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

// apiPolicy is what is read of x-fountain; nil is not said. The gateway enforces the rest of it.
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
		return "", errors.New("the first server's URL is no plain path")
	}
	return strings.TrimSuffix(url, "/"), nil
}

// rule reads one operation.
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
		return Rule{}, errors.New("neither the operation nor the document says security")
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

// scopes reads one alternative.
func (d *apiDocument) scopes(requirement map[string][]string) ([]string, error) {
	var scopes []string
	withToken := false
	for scheme, named := range requirement {
		switch s := d.Components.Schemes[scheme]; {
		case s.Type == "oauth2":
			withToken, scopes = true, append(scopes, named...)
		case s.Type == "apiKey" && s.In == "header" && strings.EqualFold(s.Name, "X-OTP"): // the gateway redeems it
		default:
			return nil, fmt.Errorf("security scheme %s is neither oauth2 nor the header X-OTP", scheme)
		}
	}
	if !withToken {
		return nil, errors.New("an alternative of security asks for no token")
	}
	slices.Sort(scopes)
	return scopes, nil
}

// over puts what a level says over what was said before.
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
		if !s.Dynamic { // then the handler asks, by Verifier.StepUp
			r.StepUp = &StepUp{ACR: s.ACR, MaxAge: time.Duration(s.MaxAge) * time.Second, For: s.For}
		}
	}
}
