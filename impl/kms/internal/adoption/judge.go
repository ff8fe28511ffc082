package adoption

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/service"
)

// maxWaiting is how many documents may wait to be checked.
const maxWaiting = 8

// Bench runs a Judge on one document at a time. It is safe for concurrent use.
type Bench struct {
	by      Judge
	waiting chan struct{} // has a value for each document that is waiting or being checked
	turn    chan struct{} // has a value while a document is being checked
}

// NewBench returns the bench of a judge.
func NewBench(j Judge) *Bench {
	return &Bench{by: j, waiting: make(chan struct{}, maxWaiting+1), turn: make(chan struct{}, 1)}
}

// Waiting returns how many documents are waiting or being checked.
func (b *Bench) Waiting() int { return len(b.waiting) }

// judge waits for its turn and checks the document; domain.Overloaded when too many wait.
func (b *Bench) judge(ctx context.Context, before *Document, d Document) (Verdict, error) {
	select {
	case b.waiting <- struct{}{}:
	default:
		return Verdict{}, domain.Refuse(domain.Overloaded, "Too many documents are waiting to be checked.").After(2 * time.Second)
	}
	defer func() { <-b.waiting }()
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return Verdict{}, fmt.Errorf("wait for the judge: %w", ctx.Err())
	}
	defer func() { <-b.turn }()
	verdict, err := b.by.Judge(before, d)
	if err != nil {
		return Verdict{}, fmt.Errorf("judge document: %w", err)
	}
	return verdict, nil
}

// judge returns the edition for the draft, and the scopes that its operations require. It refuses a document that can't be adopted with
// domain.InvalidContract, and one with breaking changes that are not accepted with domain.ContractBreaking. A shadow is not refused for changes; they are
// stored with it.
func (a *Adoptions) judge(ctx context.Context, d Draft, seen state) (e Edition, scopes []string, err error) {
	var before *Document
	if seen.found {
		before = &seen.before.Live.Document
	}
	verdict, err := a.Judge.judge(ctx, before, d.Document)
	if err != nil {
		return Edition{}, nil, err
	}
	if len(verdict.Faults) > 0 {
		return Edition{}, nil, invalid(verdict.Faults)
	}
	if err := checkDeclared(seen.service, verdict.Scopes); err != nil {
		return Edition{}, nil, err
	}
	verdict.Changes = slices.Clone(verdict.Changes)
	for i := range verdict.Changes {
		verdict.Changes[i].Name = printableName(verdict.Changes[i].Name)
	}
	if !d.Shadow {
		if open := slices.DeleteFunc(verdict.Changes, func(c Change) bool { return slices.Contains(d.Accept, c.Name) }); len(open) > 0 {
			return Edition{}, nil, breaking(open)
		}
		verdict.Changes = nil
	}
	e, err = edition(d.Document, verdict)
	return e, verdict.Scopes, err
}

// edition returns the document in its stored form.
func edition(d Document, v Verdict) (Edition, error) {
	e := Edition{
		Document: d, Digest: digest(d), Version: truncate(v.Version), WarningCount: len(v.Warnings), ChangeCount: len(v.Changes),
		Warnings: slices.Clone(v.Warnings[:min(len(v.Warnings), maxFindings)]), Changes: slices.Clone(v.Changes[:min(len(v.Changes), maxFindings)]),
	}
	for i, w := range e.Warnings {
		e.Warnings[i] = Finding{truncate(w.At), truncate(w.Message), truncate(w.Hint)}
	}
	for i, c := range e.Changes {
		e.Changes[i].Message = truncate(c.Message)
	}
	for _, part := range []any{e.Files, e.Public, e.Warnings, e.Changes} {
		text, err := json.Marshal(part)
		if err != nil {
			return Edition{}, fmt.Errorf("measure document: %w", err)
		}
		e.Size += int64(len(text))
	}
	return e, nil
}

// digest returns the SHA-256 of the document's file names and texts, each preceded by its length.
func digest(d Document) string {
	sum := sha256.New()
	write := func(part string) { fmt.Fprintf(sum, "%d:%s", len(part), part) }
	write(d.File)
	for _, f := range d.Files {
		write(f.Name)
		write(f.Text)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// checkDeclared refuses scopes that the service does not declare.
func checkDeclared(s service.Service, scopes []string) error {
	r := domain.Refuse(domain.InvalidContract, "The document requires scopes that the service does not declare.")
	for _, scope := range scopes {
		if !slices.Contains(s.Declared, scope) {
			r = r.WithField("body", "/files", "scope",
				truncate("the scope "+scope+" is not declared: add it to the service's declaredScopes, or take it from the document"))
		}
	}
	if len(r.Fields) == 0 {
		return nil
	}
	return r
}

func invalid(faults []Finding) error {
	r := domain.Refuse(domain.InvalidContract, "The document can't be adopted.")
	for _, f := range faults {
		sentence := f.Message
		if f.At != "" {
			sentence = f.At + ": " + sentence
		}
		if f.Hint != "" {
			sentence += " " + f.Hint
		}
		r = r.WithField("body", "/files", "adoptable", truncate(sentence))
	}
	return r
}

func breaking(changes []Change) error {
	r := domain.Refuse(domain.ContractBreaking, "The document would break clients of the live contract, or requires less of callers.")
	for _, c := range changes {
		r.Fields = append(r.Fields, domain.Field{In: "body", Pointer: "/files", Rule: c.Kind, Message: truncate(c.Message), Name: c.Name})
	}
	return r
}

// printableName returns a unique name that a request can contain: printable ASCII of at most maxName characters.
func printableName(name string) string {
	var plain strings.Builder
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' {
			fmt.Fprintf(&plain, "%%%02X", c)
		} else {
			plain.WriteByte(c)
		}
	}
	if plain.Len() <= maxName {
		return plain.String()
	}
	sum := sha256.Sum256([]byte(name))
	return plain.String()[:maxName-17] + "~" + hex.EncodeToString(sum[:8])
}

// truncate shortens a text to maxSentence characters.
func truncate(sentence string) string {
	runes := []rune(sentence)
	if len(runes) <= maxSentence {
		return sentence
	}
	return string(runes[:maxSentence-1]) + "…"
}
