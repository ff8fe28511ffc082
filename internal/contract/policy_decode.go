package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// extension is the key of the policy in the contract.
const extension = "x-fountain"

// policyText is the policy as written. A nil field was not written and is inherited.
type policyText struct {
	Principals  []string        `json:"principals"`
	Roles       *Roles          `json:"roles"`
	APIKey      *bool           `json:"apiKey"`
	StepUp      *stepUpText     `json:"stepUp"`
	Rate        []rateText      `json:"rate"`
	Concurrency *int            `json:"concurrency"`
	PerSubject  *int            `json:"concurrencyPerSubject"`
	Timeout     *string         `json:"timeout"`
	Body        *sizeText       `json:"body"`
	Response    *sizeText       `json:"response"`
	Idempotency *string         `json:"idempotency"`
	Retry       *retryText      `json:"retry"`
	Stream      *streamText     `json:"stream"`
	Validate    *validationText `json:"validate"`
	Sensitive   *bool           `json:"sensitive"`
	Errors      *string         `json:"errors"`
}

type stepUpText struct {
	ACR     string   `json:"acr"`
	MaxAge  int64    `json:"maxAge"` // seconds
	For     []string `json:"for"`
	Dynamic bool     `json:"dynamic"`
}

type rateText struct {
	Name   string `json:"name"`
	Key    string `json:"key"`
	Quota  int    `json:"quota"`
	Window string `json:"window"`
	Burst  int    `json:"burst"`
	Cost   *int   `json:"cost"`
	Phase  string `json:"phase"`
}

type sizeText struct {
	Max string `json:"max"`
}

type retryText struct {
	Max int      `json:"max"`
	On  []string `json:"on"`
}

type streamText struct {
	Kind        string `json:"kind"`
	Idle        string `json:"idle"`
	MaxDuration string `json:"maxDuration"`
	LineMax     string `json:"lineMax"`
}

type validationText struct {
	Request  string `json:"request"`
	Response string `json:"response"`
}

// decodePolicy decodes x-fountain of an element's extensions. An unknown key is an error.
func decodePolicy(extensions map[string]any) (*policyText, error) {
	raw, ok := extensions[extension]
	if !ok {
		return &policyText{}, nil
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", extension, err)
	}
	return decodePolicyText(text)
}

// decodePolicyText decodes x-fountain from JSON.
func decodePolicyText(text []byte) (*policyText, error) {
	var p policyText
	if err := policyKeys(text, reflect.TypeFor[policyText](), extension); err != nil {
		return nil, err
	}
	err := json.Unmarshal(text, &p)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped):
		value, _, _ := strings.Cut(mistyped.Value, " ") // what follows is the number itself
		return nil, fmt.Errorf("%s: must be %s, and is a JSON %s", strings.TrimSuffix(extension+"."+mistyped.Field, "."), jsonKind(mistyped.Type), value)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", extension, err)
	}
	return &p, nil
}

// policyKeys checks that every key is exactly one of the policy: encoding/json accepts Stepup for stepUp, and other parsers do not.
func policyKeys(text json.RawMessage, t reflect.Type, at string) error {
	switch t.Kind() {
	case reflect.Pointer:
		return policyKeys(text, t.Elem(), at)
	case reflect.Slice:
		var items []json.RawMessage
		_ = json.Unmarshal(text, &items) // the decoder reports a value that is not a list
		for _, item := range items {
			if err := policyKeys(item, t.Elem(), at); err != nil {
				return err
			}
		}
	case reflect.Struct:
		var members map[string]json.RawMessage
		_ = json.Unmarshal(text, &members)
		types, known := map[string]reflect.Type{}, []string{}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			types[name], known = t.Field(i).Type, append(known, name)
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if types[name] == nil {
				hint := "it has " + strings.Join(known, ", ")
				if meant := closest(name, known); meant != "" {
					hint = "write " + meant
				}
				return fmt.Errorf("%s has no key %s; %s", at, shortened(name), hint)
			}
			if err := policyKeys(members[name], types[name], at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// jsonKind names the JSON type that is decoded into a Go type.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	}
	return "a whole number"
}

// resolvePolicy merges the levels, outermost first, and converts the result to a Policy.
func resolvePolicy(levels ...*policyText) (Policy, error) {
	merged := policyText{}
	for _, level := range levels {
		merged.override(level)
	}
	p := Policy{Principals: []string{"user", "service"}, Timeout: 10 * time.Second, Body: Size{64 << 10}, Response: Size{1 << 20},
		Validate: Validation{Request: Mode{Kind: ModeEnforce}, Response: Mode{Kind: ModeReport}}, Errors: ErrorsProblem}
	var errs []error
	fault := func(key, format string, args ...any) {
		errs = append(errs, about(extension+"."+key, fmt.Errorf("%s.%s: %s", extension, key, fmt.Sprintf(format, args...))))
	}
	if merged.Principals != nil {
		p.Principals = merged.Principals
	}
	checkWords(fault, "principals", p.Principals, "user", "service")
	if merged.Roles != nil {
		p.Roles = *merged.Roles
	}
	p.APIKey = merged.APIKey != nil && *merged.APIKey
	p.Sensitive = merged.Sensitive != nil && *merged.Sensitive
	if merged.Concurrency != nil {
		if p.Concurrency = *merged.Concurrency; p.Concurrency < 1 {
			fault("concurrency", "must be at least 1")
		}
	}
	if merged.PerSubject != nil {
		p.PerSubject = *merged.PerSubject
		if p.PerSubject < 1 || p.Concurrency > 0 && p.PerSubject > p.Concurrency {
			fault("concurrencyPerSubject", "must be at least 1, and not more than concurrency")
		}
	}
	duration(fault, "timeout", merged.Timeout, &p.Timeout)
	size(fault, "body.max", merged.Body, &p.Body)
	size(fault, "response.max", merged.Response, &p.Response)
	word(fault, "idempotency", merged.Idempotency, &p.Idempotency, IdempotencyRequired, IdempotencyOptional, IdempotencyNone)
	word(fault, "errors", merged.Errors, &p.Errors, ErrorsProblem, ErrorsOAuth)
	p.StepUp = resolveStepUp(fault, merged.StepUp)
	p.Retry = resolveRetry(fault, merged.Retry)
	p.Stream = resolveStream(fault, merged.Stream)
	for _, r := range merged.Rate {
		p.Rate = append(p.Rate, resolveRate(fault, r))
	}
	if v := merged.Validate; v != nil {
		mode(fault, "validate.request", v.Request, &p.Validate.Request)
		mode(fault, "validate.response", v.Response, &p.Validate.Response)
	}
	return p, errors.Join(errs...)
}

// override replaces the values that level sets.
func (p *policyText) override(level *policyText) {
	if level == nil {
		return
	}
	if level.Principals != nil {
		p.Principals = level.Principals
	}
	setIf(&p.Roles, level.Roles)
	setIf(&p.APIKey, level.APIKey)
	setIf(&p.StepUp, level.StepUp)
	setIf(&p.Concurrency, level.Concurrency)
	setIf(&p.PerSubject, level.PerSubject)
	setIf(&p.Timeout, level.Timeout)
	setIf(&p.Body, level.Body)
	setIf(&p.Response, level.Response)
	setIf(&p.Idempotency, level.Idempotency)
	setIf(&p.Retry, level.Retry)
	setIf(&p.Stream, level.Stream)
	setIf(&p.Validate, level.Validate)
	setIf(&p.Sensitive, level.Sensitive)
	setIf(&p.Errors, level.Errors)
	for _, r := range level.Rate {
		i := slices.IndexFunc(p.Rate, func(have rateText) bool { return have.Name == r.Name })
		if i >= 0 {
			p.Rate = slices.Clone(p.Rate)
			p.Rate[i] = r
			continue
		}
		p.Rate = append(slices.Clip(p.Rate), r)
	}
}

func setIf[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}

type faultFunc func(key, format string, args ...any)

func resolveStepUp(fault faultFunc, t *stepUpText) *StepUp {
	if t == nil {
		return nil
	}
	s := &StepUp{ACR: t.ACR, MaxAge: time.Duration(t.MaxAge) * time.Second, For: t.For, Dynamic: t.Dynamic}
	if s.For == nil {
		s.For = []string{"user"}
	}
	if t.ACR != ACRSecondFactor && t.ACR != ACRPhishingResistant {
		fault("stepUp.acr", "must be %s or %s", ACRSecondFactor, ACRPhishingResistant)
	}
	if t.MaxAge < 1 {
		fault("stepUp.maxAge", "must be at least 1 second; write maxAge: 300 for five minutes")
	}
	checkWords(fault, "stepUp.for", s.For, "user", "service")
	return s
}

func resolveRetry(fault faultFunc, t *retryText) *Retry {
	if t == nil {
		return nil
	}
	if t.Max < 0 || t.Max > 5 {
		fault("retry.max", "must be 0 to 5")
	}
	if t.Max > 0 || len(t.On) > 0 {
		checkWords(fault, "retry.on", t.On, "connect")
	}
	return &Retry{Max: t.Max, On: t.On}
}

func resolveStream(fault faultFunc, t *streamText) *Stream {
	if t == nil {
		return nil
	}
	s := &Stream{Kind: t.Kind, Idle: time.Minute, MaxDuration: time.Hour, LineMax: 64 << 10}
	if !slices.Contains([]string{StreamSSE, StreamNDJSON, StreamLongPoll}, t.Kind) {
		fault("stream.kind", "must be sse, ndjson or longpoll")
	}
	if t.Idle != "" {
		duration(fault, "stream.idle", &t.Idle, &s.Idle)
	}
	if t.MaxDuration != "" {
		duration(fault, "stream.maxDuration", &t.MaxDuration, &s.MaxDuration)
	}
	if t.LineMax != "" {
		line := Size{s.LineMax}
		size(fault, "stream.lineMax", &sizeText{t.LineMax}, &line)
		s.LineMax = line.Max
		if t.Kind != StreamNDJSON {
			fault("stream.lineMax", "is for ndjson only")
		}
	}
	return s
}

// maxRateName bounds the length of a limit's name.
const maxRateName = 64

func resolveRate(fault faultFunc, t rateText) Rate {
	r := Rate{Name: t.Name, Key: t.Key, Quota: t.Quota, Burst: t.Burst, Cost: 1, Preauth: t.Phase == "preauth"}
	key := "rate." + t.Name
	if t.Name == "" || len(t.Name) > maxRateName || strings.ContainsFunc(t.Name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"\\;,", r) }) {
		fault("rate", "every limit has a name of at most 64 letters, without spaces, quotes, semicolons and commas: response headers contain it; write name: per-subject")
		return r
	}
	checkWords(fault, key+".key", []string{t.Key}, "sub", "ip", "client", "operation")
	if t.Cost != nil {
		r.Cost = *t.Cost
	}
	if t.Quota < 1 || t.Burst < 0 || r.Cost < 1 {
		fault(key, "quota and cost must be at least 1, burst not negative")
	}
	duration(fault, key+".window", &t.Window, &r.Window)
	if t.Phase != "" && t.Phase != "preauth" {
		fault(key+".phase", "must be preauth or absent")
	}
	if r.Preauth && (t.Key == "sub" || t.Key == "client") {
		fault(key, "the caller is unknown before authentication: key must be ip or operation")
	}
	return r
}

func checkWords(fault faultFunc, key string, words []string, allowed ...string) {
	if len(words) == 0 {
		fault(key, "must not be empty")
	}
	for i, w := range words {
		if !slices.Contains(allowed, w) {
			fault(key, "%q is not one of %s", w, strings.Join(allowed, ", "))
		}
		if slices.Contains(words[:i], w) {
			fault(key, "%q occurs twice", w)
		}
	}
}

func word(fault faultFunc, key string, text, to *string, allowed ...string) {
	if text == nil {
		return
	}
	if !slices.Contains(allowed, *text) {
		fault(key, "%q is not one of %s", *text, strings.Join(allowed, ", "))
	}
	*to = *text
}

func duration(fault faultFunc, key string, text *string, to *time.Duration) {
	if text == nil {
		return
	}
	d, err := time.ParseDuration(*text)
	if err != nil || d <= 0 {
		fault(key, "must be a positive duration such as 3s")
		return
	}
	*to = d
}

func size(fault faultFunc, key string, text *sizeText, to *Size) {
	if text == nil {
		return
	}
	n, err := ParseSize(text.Max)
	if err != nil {
		fault(key, "%v", err)
		return
	}
	to.Max = n
}

func mode(fault faultFunc, key, text string, to *Mode) {
	kind, share, sampled := strings.Cut(text, ":")
	switch {
	case text == "":
	case !sampled && slices.Contains([]string{ModeEnforce, ModeReport, ModeOff}, kind):
		*to = Mode{Kind: kind}
	case sampled && kind == ModeSample:
		p, err := strconv.ParseFloat(share, 64)
		if err != nil || !(p > 0 && p <= 1) {
			fault(key, "sample needs a share above 0 and at most 1")
			return
		}
		*to = Mode{Kind: ModeSample, Sample: p}
	default:
		fault(key, "must be enforce, report, sample:p or off")
	}
}

// ParseSize parses a size such as "64KiB", "1MiB", "1GiB" or "512B" and returns bytes.
func ParseSize(s string) (int64, error) {
	for _, unit := range []struct {
		suffix string
		bytes  int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}} {
		digits, ok := strings.CutSuffix(s, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil || n < 1 || digits[0] == '+' {
			break
		}
		return n * unit.bytes, nil
	}
	return 0, errors.New("must be a size such as 64KiB or 1MiB")
}
