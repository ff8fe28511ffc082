package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
)

// typed maps members of requests to what the user typed: a flag or another input.
var typed = map[string]string{
	"scopes": "--scope", "declaredScopes": "--declare", "roles": "--role", "tenant": "--tenant", "email": "the address", "to": "--to", "label": "--label", "metadata": "--metadata",
	"rateLimit": "--rate", "expiresAt": "--expires-in", "overlapSeconds": "--overlap", "environment": "--environment",
	"username": "the username", "name": "the name", "password": "the password", "newPassword": "the new password", "currentPassword": "the current password",
	"roleName": "the name", "code": "the code", "first": "the first code", "second": "the second code", "invitation": "the invitation", "token": "the token",
}

// rewordedError is a refusal in the words of the command line. It wraps the service's error.
type rewordedError struct {
	text string
	err  error
}

func (w *rewordedError) Error() string { return w.text }
func (w *rewordedError) Unwrap() error { return w.err }

// rewordRefusal names the refused parts of a request as they were typed. It returns err unchanged unless every refused part
// has such a name.
func rewordRefusal(cmd *cobra.Command, err error) error {
	var refused *fountain.Error
	if !errors.As(err, &refused) || len(refused.Errors) == 0 {
		return err
	}
	if noID(refused) && cmd.HasParent() {
		return &rewordedError{"not a valid " + idName(refused.Errors[0].Pointer) + ": see `" + cmd.Parent().CommandPath() + " list` [" + refused.RequestID + "]", err}
	}
	var said []string
	for _, fault := range refused.Errors {
		member, _, _ := strings.Cut(strings.TrimPrefix(fault.Pointer, "/"), "/")
		word, known := typed[member]
		if flag, isFlag := strings.CutPrefix(word, "--"); !known || fault.In != "body" && fault.In != "path" || isFlag && cmd.Flag(flag) == nil {
			return err
		}
		if fault.Keyword == "pattern" && (word == "--scope" || word == "--declare") {
			fault.Message = "must be NAME:VERB, in lower case"
		}
		said = append(said, word+" "+fault.Message)
	}
	text := strings.Join(said, "; ")
	if refused.Code != fountain.CodeInvalidBody && refused.Code != fountain.CodeInvalidParameter && refused.Detail != "" {
		text = strings.TrimSuffix(refused.Detail, ".") + ": " + text
	}
	return &rewordedError{text + " [" + refused.RequestID + "]", err}
}

// idName names the kind of an ID by its parameter: keyId is a key ID.
func idName(parameter string) string {
	kind := strings.TrimSuffix(strings.TrimPrefix(parameter, "/"), "Id")
	if kind == "" || strings.ToLower(kind) != kind {
		return "ID"
	}
	return kind + " ID"
}

// noID reports whether a request was refused because the given ID is not one, such as the name of a key.
func noID(refused *fountain.Error) bool {
	return refused.Code == fountain.CodeInvalidParameter && !slices.ContainsFunc(refused.Errors, func(fault fountain.FieldError) bool {
		return fault.In != "path" || !strings.HasSuffix(fault.Pointer, "Id")
	})
}
