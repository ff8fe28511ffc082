package fountain

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Challenge is what a WWW-Authenticate header asks for (RFC 6750, section 3; RFC 9470, section 3).
type Challenge struct {
	Operation string        // the operationId that was called; "" for a token that is asked for by itself (RaisedToken)
	Audience  string        // the service it belongs to
	Error     string        // invalid_token, insufficient_scope or insufficient_user_authentication
	Scope     string        // the scopes that would do, space-separated
	ACRValues []string      // the authentication levels that would do, best first
	MaxAge    time.Duration // how old the second factor may be
	Attempt   int           // in a step-up callback: 1, and more after wrong codes
	Channel   string        // in a step-up callback: email or sms, where the code that is asked for was sent; else ""
	SentTo    string        // in a step-up callback: where it was sent, masked
}

// parseChallenge reads the Bearer challenge of a WWW-Authenticate header; nil when there is none.
func parseChallenge(header string) *Challenge {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	c := &Challenge{}
	for name, value := range authParams(rest) {
		switch strings.ToLower(name) {
		case "error":
			c.Error = value
		case "scope":
			c.Scope = value
		case "acr_values":
			c.ACRValues = strings.Fields(value)
		case "max_age":
			if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
				c.MaxAge = time.Duration(seconds) * time.Second
			}
		}
	}
	return c
}

// authParams yields the auth-params of RFC 9110, section 11.2: name=token or name="quoted", separated by commas.
func authParams(s string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for {
			s = strings.TrimLeft(s, " \t,")
			name, rest, found := strings.Cut(s, "=")
			if !found {
				return
			}
			var value string
			value, s = authValue(rest)
			if !yield(strings.TrimSpace(name), value) {
				return
			}
		}
	}
}

// authValue reads one token or quoted-string and returns what follows it.
func authValue(s string) (value, rest string) {
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return strings.TrimSpace(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

// wantsCode reports whether a second factor would satisfy the challenge. One for aal1 alone asks for a fresh sign-in instead.
func (c *Challenge) wantsCode() bool {
	if c == nil || len(c.ACRValues) == 0 {
		return true
	}
	return slices.ContainsFunc(c.ACRValues, func(acr string) bool { return acr != "aal1" })
}
