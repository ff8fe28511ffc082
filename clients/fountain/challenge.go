package fountain

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Challenge describes what a WWW-Authenticate header asks for (RFC 6750, section 3; RFC 9470, section 3).
type Challenge struct {
	Operation string        // the operationId that was called; "" when RaisedToken asks for a token
	Audience  string        // the service it belongs to
	Error     string        // invalid_token, insufficient_scope or insufficient_user_authentication
	Scope     string        // the scopes that would suffice, space-separated
	ACRValues []string      // the authentication levels that would suffice, best first
	MaxAge    time.Duration // maximum age of the second factor
	Attempt   int           // in a step-up callback: 1 for the first code, one more after each wrong code
	Channel   string        // in a step-up callback: email or sms when the code was sent by that channel; else ""
	SentTo    string        // in a step-up callback: the masked address that the code was sent to
}

// parseChallenge reads the Bearer challenge of a WWW-Authenticate header. It returns nil if there is none.
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

// authValue reads one token or quoted-string and returns it with the text that follows.
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

// wantsCode reports whether a second factor would satisfy the challenge. A challenge for aal1 alone asks for a new
// sign-in instead.
func (c *Challenge) wantsCode() bool {
	if c == nil || len(c.ACRValues) == 0 {
		return true
	}
	return slices.ContainsFunc(c.ACRValues, func(acr string) bool { return acr != "aal1" })
}
