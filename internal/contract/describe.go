package contract

import (
	"slices"
	"strings"
)

// Parameter describes a declared parameter for people.
type Parameter struct {
	In, Name string
	Required bool
	Schema   string // the valid values: "integer, at least 1, at most 200"
}

// Parameters describes the declared parameters in the order in which they are checked.
func (op *Operation) Parameters() []Parameter {
	out := make([]Parameter, 0, len(op.parameters))
	for _, p := range op.parameters {
		said := p.scalar.describe()
		if p.list {
			said = strings.Join(append([]string{"list of " + said}, p.schema.limits()...), ", ")
		}
		out = append(out, Parameter{In: p.in, Name: p.name, Required: p.required, Schema: said})
	}
	return out
}

// BodyTypes returns the media types of the request body, sorted; none where the contract declares no body.
func (op *Operation) BodyTypes() []string {
	if op.body == nil {
		return nil
	}
	return op.body.types()
}

// AnswerTypes returns the media types of the answers that are not problems, sorted. The Accept header must admit one of them.
func (op *Operation) AnswerTypes() []string { return slices.Sorted(slices.Values(op.accepts)) }

// describe returns what a value must be.
func (s *schema) describe() string {
	name := allTypes(s).String()
	if name == "" {
		name = "anything"
	}
	return strings.Join(append([]string{name}, s.limits()...), ", ")
}

// limits returns the messages of violations, without their common beginning.
func (s *schema) limits() []string {
	var out []string
	say := func(is bool, message string) {
		if is {
			for _, beginning := range []string{"must be ", "must have ", "must "} {
				if rest, found := strings.CutPrefix(message, beginning); found {
					message = rest
					break
				}
			}
			out = append(out, message)
		}
	}
	if s.enum != nil {
		say(true, s.say.enum)
	}
	if s.minimum != nil {
		say(true, s.minimum.message)
	}
	if s.maximum != nil {
		say(true, s.maximum.message)
	}
	say(s.minLength > 0, s.say.minLength)
	say(s.maxLength >= 0, s.say.maxLength)
	say(s.pattern != nil, s.say.pattern)
	say(s.isFormat != nil, s.say.format)
	say(s.minItems > 0, s.say.minItems)
	say(s.maxItems >= 0, s.say.maxItems)
	return out
}
