package contract

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// What holds for an operation of a document of others as long as x-fountain says nothing else. Besides, users and services may call, answers are
// checked and faults of them reported (validate.response: report), nothing is retried, and an Idempotency-Key is a header like others.
const (
	// AdoptedTimeout is for a whole request.
	AdoptedTimeout = "30s"
	// AdoptedBody is the largest body that is held and checked.
	AdoptedBody = "1MiB"
	// AdoptedUpload is the largest body where the operation takes bytes or multipart/form-data, which are checked while they pass.
	AdoptedUpload = "16MiB"
	// AdoptedResponse is the largest answer.
	AdoptedResponse = "8MiB"
	// AdoptedConcurrency is how many requests of one operation are under way at once.
	AdoptedConcurrency = 64
	// AdoptedStreams is how many streams of one operation one subject has at once.
	AdoptedStreams = 16
	// AdoptedPerIP is how many requests a minute one address may send before it is known who it is, and AdoptedPerIPBurst how many of them at once.
	AdoptedPerIP, AdoptedPerIPBurst = 3000, 500
	// AdoptedPerSubject is how many requests a minute one caller may send, and AdoptedPerSubjectBurst how many of them at once.
	AdoptedPerSubject, AdoptedPerSubjectBurst = 1200, 200
	// AdoptedStepUpAge is how old a second factor may be, in seconds, where the document accepts X-OTP and says no stepUp.
	AdoptedStepUpAge = 300
)

// What x-fountain of a document of others may say at most: whoever writes the document decides for the own service, and not for the memory and the patience
// of a gateway that guards others too.
const (
	maxAdoptedTimeout     = 5 * time.Minute
	maxAdoptedStream      = 24 * time.Hour
	maxAdoptedHeld        = 16 << 20  // bytes of a body or an answer that is held while it is checked
	maxAdoptedLine        = 256 << 10 // bytes of a line, which is checked whenever it comes
	maxAdoptedConcurrency = 4096
	maxAdoptedRates       = 8
)

// excesses are what a policy has beyond that, or asks of a gateway that nothing does yet.
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
		errs = append(errs, about(extension+".validate", fmt.Errorf("%s.validate.request: only enforce is supported; a shadow tells what it would refuse", extension)))
	}
	if p.Stream != nil {
		most(p.Stream.MaxDuration > maxAdoptedStream, "stream.maxDuration", maxAdoptedStream.String())
		most(p.Stream.LineMax > maxAdoptedLine, "stream.lineMax", "256KiB")
	}
	return errs
}

// adoptedDefaults are the values above as the outermost level of x-fountain.
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

// decodeAdoptedPolicy reads x-fountain of an element, which has one or not.
func decodeAdoptedPolicy(e *element) (*policyText, error) {
	at := e.get(extension)
	if at == nil {
		return &policyText{}, nil
	}
	text, err := at.json(nil)
	if err != nil {
		return nil, wrong(at, "%s: %w", extension, err)
	}
	p, err := decodePolicyText(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; docs/adopt.md tells what x-fountain may say", at.place(), err)
	}
	return p, nil
}

// policy fills in the policy of an operation. Its errors are those of x-fountain, each with its place: what an operator sharpens must hold as it is
// said.
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
	if op.Unsupported == "" {
		errs = append(errs, contradictions(op, b.rootText, onPath, own)...)
	}
	errs = append(errs, excesses(op)...)
	if err := errors.Join(errs...); err != nil {
		return errors.Join(located(err, b.operation+": ", op.Origin, op.nearest)...)
	}
	return nil
}
