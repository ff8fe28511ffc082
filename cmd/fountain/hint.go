package main

import (
	"errors"
	"os"
	"strings"

	"github.com/fountainai/fountain/clients/fountain"
)

// hinted adds the next step to a refusal where the service cannot say it, because a service knows neither the command
// line nor its user.
func hinted(err error) error {
	var refused *fountain.Error
	if !errors.As(err, &refused) {
		return err
	}
	hint := hintOf(refused, os.Getenv("FOUNTAIN_API_KEY") != "")
	if hint == "" {
		return err
	}
	return &rewordedError{err.Error() + "; " + hint, err}
}

func hintOf(refused *fountain.Error, byKey bool) string {
	switch refused.Code {
	case fountain.CodeInsufficientScope:
		if c := refused.Challenge; c != nil && c.Scope != "" && !strings.ContainsFunc(c.Scope, unprintable) {
			return "it requires " + c.Scope + "; fountain whoami shows what you have"
		}
	case fountain.CodeInvalidTarget:
		return "you have no scope of that service, or no service has that name: fountain whoami shows your scopes, which come from your roles or the API key"
	case fountain.CodeInvalidClient:
		if byKey {
			return "the key of FOUNTAIN_API_KEY has expired, was revoked, or is from another family"
		}
	case fountain.CodeInvitationRequired:
		return "--invitation-file takes the invitation of fountain bootstrap, or of another administrator's fountain users invite NAME"
	case fountain.CodeInsufficientUserAuthentication:
		if byKey {
			return "a code cannot raise a person's API key: sign in, without FOUNTAIN_API_KEY, or use the key of a service (fountain keys create NAME --service SERVICE)"
		}
	}
	return ""
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }
