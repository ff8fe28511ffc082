// Package compat compares the policies of two versions of a contract: who may call an operation, and under which limits (security and x-fountain).
// Shapes of requests and answers are compared by oasdiff (tools/breaking).
package compat

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/contract"
)

// Severity is the effect of a change on callers.
type Severity int

// The severities. Tightens and Loosens must be accepted by name before a contract may replace another.
const (
	Harmless Severity = iota + 1 // a caller of the old contract gets at most more room
	Tightens                     // what was allowed may be refused: it breaks clients
	Loosens                      // what was refused may be allowed: it weakens the protection
)

// String returns the severity as a word.
func (s Severity) String() string {
	return map[Severity]string{Harmless: "harmless", Tightens: "tightens", Loosens: "loosens"}[s]
}

// Change is one difference.
type Change struct {
	Operation string // "METHOD /path" of the old contract, without its base path; "" for the contract as a whole
	ID        string // its name: the policy key, and the kind of change
	Severity  Severity
	Text      string              // one sentence with the old and the new value
	Old, New  *contract.Operation // nil for the contract as a whole
}

// Compare returns the changes from old to new, by operation. An operation that exists in only one of them is not compared; but where a new operation
// takes over part of an old one's paths, weaker protection there is reported.
func Compare(old, new *contract.Contract) []Change {
	d := &differ{}
	if old.BasePath != new.BasePath {
		d.say(Tightens, "base-path-changed", "the base path is %s instead of %s", new.BasePath, old.BasePath)
	}
	had, parts := map[string]*contract.Operation{}, make([][]string, len(old.Operations))
	for i, op := range old.Operations {
		route := Route(old, op)
		had[route], parts[i] = op, strings.Split(route, "/")
	}
	for _, op := range new.Operations {
		route := Route(new, op)
		if was := had[route]; was != nil {
			d.between(old, was, op)
			continue
		}
		own := strings.Split(route, "/")
		for i, wide := range old.Operations {
			if isPartOf(own, parts[i]) {
				d.between(old, wide, op)
				d.changes = slices.DeleteFunc(d.changes, func(c Change) bool { return c.New == op && c.Severity != Loosens })
			}
		}
	}
	slices.SortStableFunc(d.changes, func(a, b Change) int { return strings.Compare(a.Operation+" "+a.ID, b.Operation+" "+b.ID) })
	return d.changes
}

// Route returns the method and the path without the base path, with every parameter as {}: paths that differ only in parameter names are the same.
func Route(c *contract.Contract, op *contract.Operation) string {
	return RouteOf(op.Method, strings.TrimPrefix(op.Path, c.BasePath))
}

// RouteOf is Route for a method and a path without the base path.
func RouteOf(method, path string) string {
	rest := method + " " + path
	var out strings.Builder
	for {
		before, after, found := strings.Cut(rest, "{")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString("{}")
		_, rest, _ = strings.Cut(after, "}")
	}
}

// isPartOf reports whether every path of a route also belongs to a wider route, segment by segment: /notes/mine and /notes/{}.
func isPartOf(parts, wider []string) bool {
	if len(parts) != len(wider) {
		return false
	}
	for i, part := range parts {
		prefix, suffix, open := strings.Cut(wider[i], "{}")
		if part == wider[i] {
			continue
		}
		if !open || len(part) < len(prefix)+len(suffix) || !strings.HasPrefix(part, prefix) || !strings.HasSuffix(part, suffix) {
			return false
		}
	}
	return true
}

// differ collects the changes, one operation after the other.
type differ struct {
	operation string
	was, is   *contract.Operation
	changes   []Change
}

func (d *differ) between(c *contract.Contract, was, is *contract.Operation) {
	d.operation, d.was, d.is = was.Method+" "+strings.TrimPrefix(was.Path, c.BasePath), was, is
	d.compare(was, is)
}

func (d *differ) say(s Severity, id, format string, args ...any) {
	d.changes = append(d.changes, Change{d.operation, id, s, fmt.Sprintf(format, args...), d.was, d.is})
}

// either adds Tightens when worse, Loosens when better.
func (d *differ) either(worse, better bool, id, format string, args ...any) {
	switch {
	case worse:
		d.say(Tightens, id+"-tightened", format, args...)
	case better:
		d.say(Loosens, id+"-loosened", format, args...)
	}
}

// room adds Tightens when callers get less, Harmless when they get more.
func (d *differ) room(less, more bool, id, format string, args ...any) {
	switch {
	case less:
		d.say(Tightens, id+"-lowered", format, args...)
	case more:
		d.say(Harmless, id+"-raised", format, args...)
	}
}

func (d *differ) compare(old, new *contract.Operation) {
	d.security(old, new)
	was, is := old.Policy, new.Policy
	d.set("principals", was.Principals, is.Principals)
	d.roles(was.Roles, is.Roles)
	d.either(was.APIKey && !is.APIKey, !was.APIKey && is.APIKey, "api-key", "apiKey is %t instead of %t", is.APIKey, was.APIKey)
	d.stepUp(was.StepUp, is.StepUp)
	d.rates(was.Rate, is.Rate)
	d.room(atMost(is.Concurrency) < atMost(was.Concurrency), atMost(is.Concurrency) > atMost(was.Concurrency), "concurrency", "concurrency is %d instead of %d (0: no limit)", is.Concurrency, was.Concurrency)
	d.room(atMost(is.PerSubject) < atMost(was.PerSubject), atMost(is.PerSubject) > atMost(was.PerSubject), "concurrency-per-subject", "concurrencyPerSubject is %d instead of %d (0: no limit)", is.PerSubject, was.PerSubject)
	d.room(is.Timeout < was.Timeout, is.Timeout > was.Timeout, "timeout", "timeout is %s instead of %s", is.Timeout, was.Timeout)
	d.room(is.Body.Max < was.Body.Max, is.Body.Max > was.Body.Max, "body-max", "body.max is %d instead of %d bytes", is.Body.Max, was.Body.Max)
	d.room(is.Response.Max < was.Response.Max, is.Response.Max > was.Response.Max, "response-max", "response.max is %d instead of %d bytes", is.Response.Max, was.Response.Max)
	d.idempotency(was.Idempotency, is.Idempotency)
	d.retry(was.Retry, is.Retry)
	d.stream(was.Stream, is.Stream)
	d.either(strictness(is.Validate.Request) > strictness(was.Validate.Request), strictness(is.Validate.Request) < strictness(was.Validate.Request),
		"validate-request", "validate.request is %s instead of %s", modeText(is.Validate.Request), modeText(was.Validate.Request))
	d.responses(was.Validate.Response, is.Validate.Response)
	d.either(false, was.Sensitive && !is.Sensitive, "sensitive", "the operation is no longer sensitive")
	if was.Errors != is.Errors {
		d.say(Tightens, "errors-changed", "errors have the form %s instead of %s", is.Errors, was.Errors)
	}
}

// security compares the alternative credentials. A removed alternative refuses its users; a new one that demands less admits others.
func (d *differ) security(old, new *contract.Operation) {
	if old.Public != new.Public {
		d.either(old.Public, new.Public, "security", "public is %t instead of %t", new.Public, old.Public)
		return
	}
	for _, r := range old.Requirements {
		if !slices.ContainsFunc(new.Requirements, func(other contract.Requirement) bool { return requiresNoMore(other, r) }) {
			d.say(Tightens, "security-tightened", "%s is no longer sufficient", requirementText(r))
		}
	}
	for _, r := range new.Requirements {
		if !slices.ContainsFunc(old.Requirements, func(other contract.Requirement) bool { return requiresNoMore(other, r) }) {
			d.say(Loosens, "security-loosened", "%s is enough now", requirementText(r))
		}
	}
}

// requiresNoMore reports whether credentials that satisfy b satisfy a.
func requiresNoMore(a, b contract.Requirement) bool {
	if a.OTP && !b.OTP {
		return false
	}
	return !slices.ContainsFunc(a.Scopes, func(scope string) bool { return !slices.Contains(b.Scopes, scope) })
}

func requirementText(r contract.Requirement) string {
	text := "a token with scope " + strings.Join(r.Scopes, " ")
	if len(r.Scopes) == 0 {
		text = "any token"
	}
	if r.OTP {
		text += " and a code"
	}
	return text
}

// set compares the sets of permitted callers.
func (d *differ) set(id string, was, is []string) {
	for _, one := range was {
		d.either(!slices.Contains(is, one), false, id, "%s does not name %s any more", id, one)
	}
	for _, one := range is {
		d.either(false, !slices.Contains(was, one), id, "%s names %s now", id, one)
	}
}

// roles compares the role requirements; an empty one requires nothing.
func (d *differ) roles(was, is contract.Roles) {
	switch {
	case len(was.AnyOf) == 0 && len(is.AnyOf) > 0:
		d.say(Tightens, "roles-tightened", "one of the roles %s is needed now", strings.Join(is.AnyOf, ", "))
	case len(was.AnyOf) > 0 && len(is.AnyOf) == 0:
		d.say(Loosens, "roles-loosened", "none of the roles %s is needed any more", strings.Join(was.AnyOf, ", "))
	default:
		d.set("roles", was.AnyOf, is.AnyOf)
	}
	for _, role := range is.AllOf {
		d.either(!slices.Contains(was.AllOf, role), false, "roles", "the role %s is needed now", role)
	}
	for _, role := range was.AllOf {
		d.either(false, !slices.Contains(is.AllOf, role), "roles", "the role %s is not needed any more", role)
	}
}

func (d *differ) stepUp(was, is *contract.StepUp) {
	const id = "step-up"
	switch {
	case was == nil && is == nil:
	case was == nil:
		d.say(Tightens, id+"-tightened", "a second factor is required now")
	case is == nil:
		d.say(Loosens, id+"-loosened", "no second factor is required any more")
	default:
		d.either(!contract.ACRSatisfies(was.ACR, is.ACR), !contract.ACRSatisfies(is.ACR, was.ACR), id, "stepUp.acr is %s instead of %s", is.ACR, was.ACR)
		d.either(is.MaxAge < was.MaxAge, is.MaxAge > was.MaxAge, id, "stepUp.maxAge is %s instead of %s", is.MaxAge, was.MaxAge)
		d.either(was.Dynamic && !is.Dynamic, !was.Dynamic && is.Dynamic, id, "stepUp.dynamic is %t instead of %t", is.Dynamic, was.Dynamic)
		for _, kind := range is.For {
			d.either(!slices.Contains(was.For, kind), false, id, "stepUp is required of a %s now", kind)
		}
		for _, kind := range was.For {
			d.either(false, !slices.Contains(is.For, kind), id, "stepUp does not ask a %s any more", kind)
		}
	}
}

// rates compares limits by name. A limit protects the service, so a weaker one loosens the protection.
func (d *differ) rates(was, is []contract.Rate) {
	find := func(list []contract.Rate, name string) *contract.Rate {
		i := slices.IndexFunc(list, func(r contract.Rate) bool { return r.Name == name })
		if i < 0 {
			return nil
		}
		return &list[i]
	}
	for _, old := range was {
		new := find(is, old.Name)
		if new == nil {
			d.say(Loosens, "rate-loosened", "the limit %s was removed", old.Name)
			continue
		}
		if old.Key != new.Key || old.Preauth != new.Preauth {
			d.say(Tightens, "rate-tightened", "the limit %s counts by %s instead of %s, or at another time", old.Name, new.Key, old.Key)
		}
		slower := perSecond(*new) < perSecond(old) || burst(*new) < burst(old)
		d.either(slower, !slower && (perSecond(*new) > perSecond(old) || burst(*new) > burst(old)), "rate",
			"the limit %s allows %d in %s and %d at once, instead of %d in %s and %d", old.Name, new.Quota/max(new.Cost, 1), new.Window, burst(*new), old.Quota/max(old.Cost, 1), old.Window, burst(old))
	}
	for _, new := range is {
		if find(was, new.Name) == nil {
			d.say(Tightens, "rate-tightened", "the limit %s is new", new.Name)
		}
	}
}

// perSecond returns how many requests per second a limit allows in the long run.
func perSecond(r contract.Rate) float64 {
	return float64(r.Quota) / float64(max(r.Cost, 1)) / r.Window.Seconds()
}

// burst returns how many requests a limit allows at once.
func burst(r contract.Rate) int { return max(r.Burst, r.Cost, 1) / max(r.Cost, 1) }

// idempotency: a key that was accepted must still be accepted, and none may become required.
func (d *differ) idempotency(was, is string) {
	if was == is {
		return
	}
	takes := func(s string) bool { return s == contract.IdempotencyRequired || s == contract.IdempotencyOptional }
	worse := is == contract.IdempotencyRequired || takes(was) && !takes(is)
	d.room(worse, !worse, "idempotency", "idempotency is %q instead of %q", is, was)
}

func (d *differ) retry(was, is *contract.Retry) {
	text := func(r *contract.Retry) string {
		switch {
		case r == nil:
			return "as by default"
		case r.Max == 0:
			return "never"
		}
		return fmt.Sprintf("%d on %s", r.Max, strings.Join(r.On, ", "))
	}
	if text(was) != text(is) {
		d.say(Harmless, "retry-changed", "retry is %s instead of %s", text(is), text(was))
	}
}

func (d *differ) stream(was, is *contract.Stream) {
	kind := func(s *contract.Stream) string {
		if s == nil {
			return "none"
		}
		return s.Kind
	}
	if kind(was) != kind(is) {
		d.say(Tightens, "stream-changed", "stream is %s instead of %s", kind(is), kind(was))
		return
	}
	if was == nil {
		return
	}
	for _, limit := range []struct {
		name    string
		was, is time.Duration
	}{{"idle", was.Idle, is.Idle}, {"maxDuration", was.MaxDuration, is.MaxDuration}} {
		d.room(limit.is < limit.was, limit.is > limit.was, "stream", "stream.%s is %s instead of %s", limit.name, limit.is, limit.was)
	}
	d.room(is.LineMax < was.LineMax, is.LineMax > was.LineMax, "stream", "stream.lineMax is %d instead of %d bytes", is.LineMax, was.LineMax)
}

// responses: answers whose validation is no longer enforced may disclose what they should not.
func (d *differ) responses(was, is contract.Mode) {
	d.either(false, strictness(is) < strictness(was), "validate-response", "validate.response is %s instead of %s", modeText(is), modeText(was))
	if strictness(is) > strictness(was) {
		d.say(Harmless, "validate-response-raised", "validate.response is %s instead of %s", modeText(is), modeText(was))
	}
}

// strictness returns a number that orders the modes.
func strictness(m contract.Mode) float64 {
	switch m.Kind {
	case contract.ModeEnforce:
		return 3
	case contract.ModeReport:
		return 2
	case contract.ModeSample:
		return 1 + m.Sample
	}
	return 0
}

func modeText(m contract.Mode) string {
	if m.Kind == contract.ModeSample {
		return fmt.Sprintf("sample:%g", m.Sample)
	}
	return m.Kind
}

// atMost converts 0, "no limit", to a number that compares.
func atMost(n int) int {
	if n == 0 {
		return int(^uint(0) >> 1)
	}
	return n
}
