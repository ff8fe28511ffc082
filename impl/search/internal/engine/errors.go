package engine

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// mapped turns an error of the engine's client into a problem. Problems and nil are returned unchanged.
func mapped(err error) error {
	var known *problem.Error
	var r *tsclient.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.UpstreamTimeout, "The search engine did not answer in time.").Wrap(err)
	case errors.Is(err, context.Canceled), errors.Is(err, tsclient.ErrUnavailable), !errors.As(err, &r):
		return unavailable(err)
	}
	return refused(r)
}

// Passing reports whether an error is transient: the engine can't be used or does not keep up, or the error does not come from the engine
// at all.
func Passing(err error) bool {
	var p *problem.Error
	if !errors.As(err, &p) {
		return true
	}
	return errors.Is(err, problem.EngineUnavailable) || errors.Is(err, problem.Overloaded) || errors.Is(err, problem.ConcurrencyLimited) || errors.Is(err, problem.UpstreamTimeout) || errors.Is(err, problem.BadUpstream)
}

func refused(r *tsclient.Error) error {
	switch r.Status {
	case http.StatusBadRequest:
		return problem.New(problem.ValidationFailed, sentence(r.Message)).Wrap(r)
	case http.StatusNotFound:
		if strings.Contains(r.Message, " in the schema") { // an unknown field
			return problem.New(problem.ValidationFailed, sentence(r.Message)).Wrap(r)
		}
		if strings.Contains(r.Message, " stopword set ") { // the service uses only sets that it has put there: the engine has lost the set, and will get it again
			return unavailable(r)
		}
		return problem.New(problem.NotFound, "There is no such collection.").Wrap(r)
	case http.StatusConflict:
		return problem.New(problem.AlreadyExists, "There is a collection with this name already.").Wrap(r)
	case http.StatusRequestEntityTooLarge:
		return problem.New(problem.BodyTooLarge, "The request is larger than the search engine accepts.").Wrap(r)
	case http.StatusUnprocessableEntity:
		return unprocessable(r)
	case http.StatusTooManyRequests:
		return problem.New(problem.Overloaded, "The search engine is overloaded.").WithRetryAfter(time.Second).Wrap(r)
	case http.StatusRequestTimeout, http.StatusServiceUnavailable, http.StatusUnauthorized:
		return unavailable(r)
	}
	return problem.New(problem.BadUpstream, "The search engine failed.").Wrap(r)
}

func unprocessable(r *tsclient.Error) error {
	switch {
	case strings.Contains(r.Message, "is not supported by the embedded engine"):
		return problem.New(problem.UnsupportedQuery, sentence(r.Message)).Wrap(r)
	case strings.Contains(r.Message, "Rejecting write"), strings.Contains(r.Message, "of the embedded engine holds at most"):
		return problem.New(problem.LimitReached, sentence(r.Message)).Wrap(r)
	case strings.Contains(r.Message, "update operation is in progress"):
		return problem.New(problem.StateConflict, "The collection is being changed.").WithRetryAfter(pause).Wrap(r)
	}
	return problem.New(problem.ValidationFailed, sentence(r.Message)).Wrap(r)
}

var (
	quotedPart = regexp.MustCompile("`[^`]*`")
	plainName  = regexp.MustCompile("^`[A-Za-z_.][A-Za-z0-9_.*: -]{0,127}`$")
)

const longestSentence = 300

// sentence makes the engine's message fit for callers. A quoted part is kept only if it looks like a name, because values must not appear
// in errors.
func sentence(text string) string {
	text = quotedPart.ReplaceAllStringFunc(text, func(part string) string {
		if plainName.MatchString(part) {
			return part
		}
		return "a value"
	})
	if text == "" {
		return "The search engine refuses this."
	}
	if len(text) > longestSentence {
		text = strings.ToValidUTF8(text[:longestSentence], "")
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
