package contract

import (
	"cmp"
	"fmt"
	"slices"
)

// Warning describes a deviation that was tolerated: something does not apply as the document says, or the document is not valid OpenAPI.
type Warning struct {
	Kind      string // one of the Warn constants
	Origin    Origin
	Pointer   string // the way to it in a file of very long lines, as a JSON pointer; else ""
	Operation string // "GET /pets/{id}" where it is about one operation, else ""
	Cause     string // what the document says and what became of it
	Hint      string // what to write instead, or ""
	More      int    // number of other places with the same deviation; Origin is the first one
}

// Kinds of warnings.
const (
	WarnUnsupported   = "unsupported"   // an operation is answered with 501
	WarnVersion       = "version"       // a keyword of another version of OpenAPI than the document's
	WarnServer        = "server"        // which server's path holds
	WarnSecurity      = "security"      // security schemes and requirements that the family's tokens replace
	WarnPath          = "path"          // a path that is not as OpenAPI says
	WarnOperation     = "operation"     // an operationId that is missing or used twice
	WarnParameter     = "parameter"     // a parameter that is ignored or not checked
	WarnBody          = "body"          // a body that is passed on without a check, or may be missing
	WarnResponse      = "response"      // an answer that is not checked
	WarnOutbound      = "outbound"      // requests that the service itself sends
	WarnActive        = "active"        // an answer of a media type that a browser runs
	WarnSchema        = "schema"        // a keyword that is ignored or read otherwise
	WarnFormat        = "format"        // a format that is not checked
	WarnPattern       = "pattern"       // a pattern of another engine, or none that can be read
	WarnDiscriminator = "discriminator" // a discriminator that does not choose
	WarnReference     = "reference"     // a $ref that leads nowhere
)

// String returns the warning on one line, as pets.yaml:12: cause; hint.
func (w Warning) String() string {
	s := w.Origin.String() + ": "
	if w.Pointer != "" {
		s = w.Origin.String() + " (" + w.Pointer + "): "
	}
	if w.Operation != "" {
		s += w.Operation + ": "
	}
	s += w.Cause
	if w.More > 0 {
		s += fmt.Sprintf(" (and %d more like it)", w.More)
	}
	if w.Hint != "" {
		s += "; " + w.Hint
	}
	return s
}

// maxWarnings is the maximum number of reported warnings.
const maxWarnings = 2000

// warn adds a warning about the element, once.
func (b *adopter) warn(kind string, at *element, hint, format string, args ...any) {
	w := Warning{Kind: kind, Cause: fmt.Sprintf(format, args...), Hint: hint}
	if kind == WarnUnsupported || kind == WarnOperation {
		w.Operation = b.operation
	}
	place := told{w, at}
	if b.said[place] {
		return
	}
	if i, told := b.first[w]; told {
		b.said[place] = true
		b.warnings[i].More++
		return
	}
	if len(b.warnings) >= maxWarnings {
		b.omittedWarnings++
		return
	}
	b.said[place], b.first[w] = true, len(b.warnings)
	if w.Origin = at.origin(); at != nil && at.file.minute {
		w.Pointer = at.pointer()
	}
	b.warnings = append(b.warnings, w)
}

// told identifies a warning at a place.
type told struct {
	what  Warning
	place *element
}

// told returns the warnings in the order of the document.
func (b *adopter) told() []Warning {
	slices.SortStableFunc(b.warnings, func(x, y Warning) int {
		return cmp.Or(cmp.Compare(x.Origin.File, y.Origin.File), cmp.Compare(x.Origin.Line, y.Origin.Line), cmp.Compare(x.Cause, y.Cause))
	})
	if b.omittedWarnings > 0 {
		b.warnings = append(b.warnings, Warning{Kind: WarnSchema, Origin: b.root.origin(), Cause: fmt.Sprintf("%d more warnings are not shown", b.omittedWarnings)})
	}
	return b.warnings
}
