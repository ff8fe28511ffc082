package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/ratelimit"
)

// demands collects what an operation's contract demands.
type demands struct {
	op   *contract.Operation
	list []Demand
}

// say adds a demand; what is a key of contract.Operation.OriginOf.
func (d *demands) say(what, requires string) {
	at := d.op.OriginOf(what)
	d.list = append(d.list, Demand{What: what, Requires: requires, Origin: at.String(), Default: at == contract.Origin{}})
}

// demandsAt maps station names to the part of the contract that each checks.
var demandsAt = map[string]func(*demands){
	httpserver.ByRoute: (*demands).route,
	"pre-auth limit":   func(d *demands) { d.rates(true) },
	"authenticate":     (*demands).authenticate,
	"permit":           (*demands).permit,
	"subject limit":    func(d *demands) { d.rates(false) },
	"target":           func(*demands) {},
	"concurrency":      (*demands).concurrency,
	"step-up":          (*demands).stepUp,
	"media":            (*demands).media,
	"parameters":       (*demands).parameters,
	"body":             (*demands).body,
	"admission":        func(*demands) {},
	"redeem code":      (*demands).redeem,
	"serve":            (*demands).serve,
}

// demandsOf returns what the contract demands at a check, or nothing for a check that no contract configures.
func demandsOf(op *contract.Operation, check string) []Demand {
	d := demands{op: op}
	if say := demandsAt[check]; say != nil {
		say(&d)
	}
	return d.list
}

func (d *demands) route() {
	d.list = append(d.list, Demand{What: "operation", Requires: d.op.Method + " " + d.op.Path, Origin: d.op.Origin.String()})
}

// whose describes for each key of a limit whose requests are counted.
var whose = map[string]string{"ip": "an address", "sub": "a caller", "client": "a client", "operation": "everybody"}

func (d *demands) rates(preauth bool) {
	for _, r := range rates(d.op, preauth) {
		burst := ratelimit.NewLimit(r.Quota, r.Window, r.Burst, r.Cost).Burst()
		requires := fmt.Sprintf("%d in %s, %d at once, of %s", r.Quota, Short(r.Window), burst, whose[r.Key])
		if r.Cost > 1 {
			requires += fmt.Sprintf("; one request counts %d", r.Cost)
		}
		d.say("x-fountain.rate."+r.Name, requires)
	}
}

func (d *demands) authenticate() {
	if d.op.Public {
		d.say("security", "public: credentials are not checked")
		return
	}
	requires := "an access token for " + d.op.Word
	if d.op.Mount != "" {
		requires += " alone"
	}
	d.say("security", requires)
	if d.op.Policy.APIKey {
		d.say("x-fountain.apiKey", "an API key works too: the gateway exchanges it for a token")
	}
}

func (d *demands) permit() {
	if d.op.Public {
		return
	}
	var ways []string
	for _, r := range d.op.Requirements {
		way := "no scope"
		if len(r.Scopes) > 0 {
			way = "scope " + strings.Join(r.Scopes, " and ")
		}
		if !slices.Contains(ways, way) { // the way with a code needs the same
			ways = append(ways, way)
		}
	}
	d.say("security", strings.Join(ways, ", or "))
	d.say("x-fountain.principals", "principal "+strings.Join(d.op.Policy.Principals, " or "))
	if roles := d.op.Policy.Roles; len(roles.AnyOf)+len(roles.AllOf) > 0 {
		var requires []string
		if len(roles.AllOf) > 0 {
			requires = append(requires, "all of the roles "+strings.Join(roles.AllOf, ", "))
		}
		if len(roles.AnyOf) > 0 {
			requires = append(requires, "one of the roles "+strings.Join(roles.AnyOf, ", "))
		}
		d.say("x-fountain.roles", "of a user "+strings.Join(requires, " and "))
	}
}

func (d *demands) concurrency() {
	if most := d.op.Policy.Concurrency; most > 0 {
		d.say("x-fountain.concurrency", fmt.Sprintf("at most %d at a time", most))
	}
	if most := d.op.Policy.PerSubject; most > 0 && !d.op.Public {
		d.say("x-fountain.concurrencyPerSubject", fmt.Sprintf("of one subject at most %d at a time", most))
	}
}

func (d *demands) stepUp() {
	s := d.op.Policy.StepUp
	if s == nil {
		return
	}
	requires := fmt.Sprintf("acr %s within %s, of %s", s.ACR, Short(s.MaxAge), strings.Join(s.For, " and "))
	if s.Dynamic {
		requires += ", if a rule of the service requires it"
	}
	d.say("x-fountain.stepUp", requires)
}

func (d *demands) media() {
	if types := d.op.BodyTypes(); len(types) > 0 {
		requires := "body of type " + strings.Join(types, " or ")
		if d.op.BodyRequired() {
			requires += ", required"
		}
		d.say("requestBody", requires)
	}
	if types := d.op.AnswerTypes(); len(types) > 0 {
		d.say("responses", "Accept, where it is sent, admits "+strings.Join(types, " or "))
	}
}

func (d *demands) parameters() {
	for _, p := range d.op.Parameters() {
		requires := p.Schema
		if p.Required {
			requires += "; required"
		}
		d.say("parameters."+p.In+"."+p.Name, requires)
	}
}

func (d *demands) body() {
	if !d.op.HasBody() {
		return
	}
	d.say("requestBody", "as its schema defines")
	d.say("x-fountain.body", "at most "+size(d.op.Policy.Body.Max))
}

func (d *demands) redeem() {
	if d.op.AcceptsOTP() {
		d.say("security", "a code in X-OTP can replace the second factor")
	}
}

func (d *demands) serve() {
	p := d.op.Policy
	if s := p.Stream; s != nil {
		requires := fmt.Sprintf("%s, idle for at most %s, open for at most %s", s.Kind, Short(s.Idle), Short(s.MaxDuration))
		if s.Kind == contract.StreamNDJSON {
			requires += ", lines of at most " + size(s.LineMax)
		}
		d.say("x-fountain.stream", requires)
	} else {
		d.say("x-fountain.timeout", "done within "+Short(p.Timeout))
		d.say("x-fountain.response", "answer of at most "+size(p.Response.Max))
	}
	if p.Idempotency != "" {
		d.say("x-fountain.idempotency", "Idempotency-Key "+p.Idempotency)
	}
	if p.Retry != nil || d.op.Idempotent() {
		d.say("x-fountain.retry", retryText(d.op.Repeats())+" after a connection that broke before any answer")
	}
	d.say("x-fountain.validate", "answers that violate the contract: "+mode(p.Validate.Response))
	if p.Errors == contract.ErrorsOAuth {
		d.say("x-fountain.errors", "refusals have the form of OAuth")
	}
	if p.Sensitive {
		d.say("x-fountain.sensitive", "its contents are not logged, and responses are not stored")
	}
}

func mode(m contract.Mode) string {
	if m.Kind == contract.ModeSample {
		return fmt.Sprintf("%s, %g of all", m.Kind, m.Sample)
	}
	return m.Kind
}

// size formats bytes as a contract does.
func size(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// Short formats a duration without zero units: 5m, not 5m0s.
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// retryText says how often a request is sent again at most.
func retryText(times int) string {
	if times == 1 {
		return "retried once"
	}
	return fmt.Sprintf("retried up to %d times", times)
}
