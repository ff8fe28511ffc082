package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults for an operation of an adopted document where x-fountain says nothing else. In addition, users and services may call, violations in
// answers are reported only (validate.response: report), nothing is retried, and Idempotency-Key is an ordinary header.
const (
	// AdoptedTimeout bounds a whole request.
	AdoptedTimeout = "30s"
	// AdoptedBody is the largest body that is buffered and checked.
	AdoptedBody = "1MiB"
	// AdoptedUpload is the largest body of an operation that accepts bytes or multipart/form-data, which are checked while they are forwarded.
	AdoptedUpload = "16MiB"
	// AdoptedResponse is the largest answer.
	AdoptedResponse = "8MiB"
	// AdoptedConcurrency is how many requests of one operation may be in progress.
	AdoptedConcurrency = 64
	// AdoptedStreams is how many streams of one operation a subject may have open.
	AdoptedStreams = 16
	// AdoptedPerIP is how many requests a minute one address may send before authentication, and AdoptedPerIPBurst the burst.
	AdoptedPerIP, AdoptedPerIPBurst = 3000, 500
	// AdoptedPerSubject is how many requests a minute one caller may send, and AdoptedPerSubjectBurst the burst.
	AdoptedPerSubject, AdoptedPerSubjectBurst = 1200, 200
	// AdoptedStepUpAge is the maximum age of a second factor, in seconds, where the document accepts X-OTP and has no stepUp.
	AdoptedStepUpAge = 300
)

// Maxima for x-fountain of an adopted document: its author decides for its own service, and not about the memory and the time of a gateway that
// serves others, too.
const (
	maxAdoptedTimeout     = 5 * time.Minute
	maxAdoptedStream      = 24 * time.Hour
	maxAdoptedHeld        = 16 << 20  // bytes of a body or an answer that is buffered for its check
	maxAdoptedLine        = 256 << 10 // bytes of a line, which is checked as soon as it is complete
	maxAdoptedConcurrency = 4096
	maxAdoptedRates       = 8
)

// excesses returns the policies that exceed the maxima or are not supported by the gateway yet.
func excesses(op *Operation) []error {
	p := &op.Policy
	var errs []error
	most := func(exceeded bool, key, bound string) {
		if exceeded {
			errs = append(errs, about(extension+"."+key, fmt.Errorf("%s.%s: must be at most %s for an adopted service", extension, key, bound)))
		}
	}
	most(p.Timeout > maxAdoptedTimeout, "timeout", maxAdoptedTimeout.String())
	most(p.Concurrency > maxAdoptedConcurrency, "concurrency", fmt.Sprint(maxAdoptedConcurrency))
	most(p.Body.Max > maxAdoptedHeld && !op.StreamsBody(), "body.max", "16MiB")
	most(p.Response.Max > maxAdoptedHeld, "response.max", "16MiB")
	most(len(p.Rate) > maxAdoptedRates, "rate", fmt.Sprint(maxAdoptedRates, " limits"))
	if p.Validate.Request.Kind != ModeEnforce {
		errs = append(errs, about(extension+".validate", fmt.Errorf("%s.validate.request: only enforce is supported; a shadow reports what it would refuse", extension)))
	}
	if p.Stream != nil {
		most(p.Stream.MaxDuration > maxAdoptedStream, "stream.maxDuration", maxAdoptedStream.String())
		most(p.Stream.LineMax > maxAdoptedLine, "stream.lineMax", "256KiB")
	}
	return errs
}

// adoptedDefaults returns the values above as the outermost level of x-fountain.
func adoptedDefaults(op *Operation, own *policyText) *policyText {
	timeout, concurrency, body := AdoptedTimeout, AdoptedConcurrency, AdoptedBody
	if op.body.uploads() {
		body = AdoptedUpload
	}
	p := &policyText{Timeout: &timeout, Concurrency: &concurrency, Body: &sizeText{body}, Response: &sizeText{AdoptedResponse}, Rate: []rateText{
		{Name: "per-ip", Key: "ip", Phase: "preauth", Quota: AdoptedPerIP, Window: "60s", Burst: AdoptedPerIPBurst},
		{Name: "per-subject", Key: "sub", Quota: AdoptedPerSubject, Window: "60s", Burst: AdoptedPerSubjectBurst},
	}}
	if slices.Contains(op.accepts, "text/event-stream") && own.Timeout == nil && own.Response == nil {
		p.Stream = &streamText{Kind: StreamSSE} // events are passed on as they come, and not checked
	}
	if op.AcceptsOTP() {
		p.StepUp = &stepUpText{ACR: ACRSecondFactor, MaxAge: AdoptedStepUpAge}
	}
	return p
}

// decodeAdoptedPolicy reads x-fountain of an element, if there is one.
func decodeAdoptedPolicy(e *element) (*policyText, error) {
	at := e.get(extension)
	if at == nil {
		return &policyText{}, nil
	}
	text, err := at.json(nil)
	if err != nil {
		return nil, errorAt(at, "%s: %w", extension, err)
	}
	p, err := decodePolicyText(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; docs/adopt.md describes x-fountain", at.place(), err)
	}
	return p, nil
}

// requireHeader makes a declared header parameter required. Other operations may share the parameter, so the operation gets its own copy.
func (op *Operation) requireHeader(name string) {
	op.parameters = slices.Clone(op.parameters)
	for i, p := range op.parameters {
		if p.in == "header" && strings.EqualFold(p.name, name) {
			own := *p
			own.required = true
			op.parameters[i] = &own
		}
	}
}

// policy compiles the policy of an operation. Errors are those of x-fountain, each with its place: a restriction that an operator writes must apply
// as written.
func (b *adopter) policy(op *Operation, item, o *element) error {
	onPath, err := decodeAdoptedPolicy(item)
	if err != nil {
		return err
	}
	own, err := decodeAdoptedPolicy(o)
	if err != nil {
		return err
	}
	var errs []error
	if op.Policy, err = resolvePolicy(adoptedDefaults(op, own), b.rootText, onPath, own); err != nil {
		errs = append(errs, err)
	}
	if op.Policy.Stream != nil && op.Policy.PerSubject == 0 {
		op.Policy.PerSubject = min(AdoptedStreams, op.Policy.Concurrency)
	}
	op.Policy.APIKey = op.Policy.APIKey && !op.Public // nothing is looked at there
	if op.Public && own.StepUp == nil {
		op.Policy.StepUp = nil
	}
	if op.Policy.Idempotency == IdempotencyRequired {
		op.requireHeader("Idempotency-Key")
	}
	if op.Unsupported == "" {
		errs = append(errs, contradictions(op, b.rootText, onPath, own)...)
	}
	errs = append(errs, excesses(op)...)
	if err := errors.Join(errs...); err != nil {
		return errors.Join(located(err, b.operation+": ", op.Origin, op.nearest)...)
	}
	return nil
}
