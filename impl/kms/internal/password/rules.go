package password

import (
	_ "embed"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
)

// Length of a password in characters. There are no rules of composition (NIST SP 800-63B, section 3.1.1.2).
const (
	MinLength = 12
	MaxLength = 1024
)

//go:embed common.txt
var commonText string

// common holds passwords of twelve characters or more that are among the first that anybody tries.
var common = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(commonText) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			set[line] = true
		}
	}
	return set
})

// Check returns weak_password when the password is too short or too long, widely used, made of one thing repeated or counted up,
// or of the username.
func Check(password, username string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case n < MinLength:
		return weak("minLength", "is shorter than 12 characters")
	case n > MaxLength:
		return weak("maxLength", "is longer than 1024 characters")
	}
	lower := strings.ToLower(password)
	core := strings.TrimRight(lower, "0123456789!?.*#$ ")
	switch {
	case common()[lower], common()[core], n < 2*MinLength && (repeated(lower) || counted(lower)):
		return weak("common", "is widely used")
	case len(username) >= 4 && strings.Contains(lower, username) && n-utf8.RuneCountInString(username) < 8:
		return weak("username", "is little more than the username")
	}
	return nil
}

func weak(keyword, message string) error {
	return domain.Refuse(domain.WeakPassword, "The password is not good enough.").
		WithField("body", "/password", keyword, message)
}

// repeated reports whether s is a short piece said over and over.
func repeated(s string) bool {
	for size := 1; size <= 4; size++ {
		if strings.HasPrefix(strings.Repeat(s[:min(size, len(s))], len(s)/size+1), s) {
			return true
		}
	}
	return false
}

// counted reports whether every character is the next or the one before of its neighbour: 123456789012, abcdefghijkl.
func counted(s string) bool {
	for _, step := range []int{1, -1} {
		in := true
		for i := 1; i < len(s) && in; i++ {
			d := int(s[i]) - int(s[i-1])
			wrap := (s[i-1] == '9' && s[i] == '0') || (s[i-1] == '0' && s[i] == '9')
			in = d == step || wrap
		}
		if in {
			return true
		}
	}
	return false
}
