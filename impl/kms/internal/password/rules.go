package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/password/blocklist"
)

// The length of a password in code points of its NFC form. There are no composition rules (NIST SP 800-63B, section 3.1.1.2).
const (
	MinLength = 12
	MaxLength = 1024
)

// Reason is a public reason for refusing a password. It reveals nothing else about the password.
type Reason struct {
	Keyword string // of the problem's field, one of a fixed set
	Message string
}

// Error returns the message.
func (r *Reason) Error() string { return r.Message }

// The reasons to refuse a password.
var (
	ErrTooShort  = &Reason{"minLength", "is shorter than 12 characters"}
	ErrTooLong   = &Reason{"maxLength", "is longer than 1024 characters"}
	ErrTooCommon = &Reason{"common", "is little more than widely used passwords or words"}
	ErrTooSimple = &Reason{"pattern", "is little more than repeats, sequences, keyboard runs or dates"}
	ErrContext   = &Reason{"context", "is little more than the username or the name of the service"}
)

// Rejected is the cause of a refused password. errors.Is matches its reasons.
type Rejected struct {
	Reasons []*Reason // one or more
}

// Error names the reasons.
func (r *Rejected) Error() string {
	said := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		said[i] = reason.Message
	}
	return "password " + strings.Join(said, "; ")
}

// Unwrap returns the reasons.
func (r *Rejected) Unwrap() []error {
	out := make([]error, len(r.Reasons))
	for i, reason := range r.Reasons {
		out[i] = reason
	}
	return out
}

// serviceNames are names that users of this product are likely to use in passwords.
var serviceNames = []string{"fountain", "fountainai", "kms", "twofactor", "sequence", "gateway", "search"}

// Check refuses a weak password with domain.WeakPassword, caused by a *Rejected. A password is weak if it is too short or too long, or too easy to guess
// for an attacker who tries these first: common passwords and words, the username and the service's names, in any case, in l33t spelling and backwards;
// repeats; sequences; keyboard runs; years and dates. The check takes time and memory proportional to the square of the length, which is
// bounded.
func Check(password, username string) error {
	password = norm.NFC.String(password)
	switch n := utf8.RuneCountInString(password); {
	case n < MinLength:
		return rejected(ErrTooShort)
	case n > MaxLength:
		return rejected(ErrTooLong)
	}
	text := blocklist.Fold(password)
	text = text[:min(len(text), MaxLength)] // some characters fold to several; the rest could only add strength
	if len(text) == 0 {                     // invisible characters only
		return rejected(ErrTooSimple)
	}
	bits, made := estimate(text, contextNames(username))
	if bits >= enough {
		return nil
	}
	var reasons []*Reason
	for _, r := range []struct {
		kind   kind
		reason *Reason
	}{{word, ErrTooCommon}, {named, ErrContext}, {pattern, ErrTooSimple}} {
		if made&r.kind != 0 {
			reasons = append(reasons, r.reason)
		}
	}
	if len(reasons) == 0 { // only a few ordinary characters, and invisible ones
		reasons = append(reasons, ErrTooSimple)
	}
	return rejected(reasons...)
}

func rejected(reasons ...*Reason) error {
	refusal := domain.Refuse(domain.WeakPassword, "The password is too weak.").Because(&Rejected{reasons})
	for _, r := range reasons {
		refusal.WithField("body", "/password", r.Keyword, r.Message)
	}
	return refusal
}

// contextNames returns the hashes of the service's names, of the username and of its parts.
func contextNames(username string) map[blocklist.Hash]bool {
	names := map[blocklist.Hash]bool{}
	add := func(folded []rune) {
		if len(folded) >= 3 {
			names[blocklist.Sum(folded)] = true
		}
	}
	for _, name := range serviceNames {
		add([]rune(name))
	}
	folded := blocklist.Fold(username)
	folded = folded[:min(len(folded), blocklist.MaxLength)]
	add(folded)
	for _, part := range strings.FieldsFunc(string(folded), func(r rune) bool { return !unicode.IsLetter(r) }) {
		add([]rune(part))
	}
	letters := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return r
	}, string(folded)))
	add(letters)
	return names
}
