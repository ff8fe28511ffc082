package apikey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/requestid"
)

// maxAnswer is the largest answer of the kms that is read, in bytes.
const maxAnswer = 64 << 10

// tokens is the client of the kms's token endpoint (RFC 6749, section 4.4).
type tokens struct {
	address string
	client  *http.Client
}

func newTokens(kmsURL string, client *http.Client) (*tokens, error) {
	address, err := url.JoinPath(kmsURL, "/kms/v1/oauth2/token")
	if err != nil {
		return nil, fmt.Errorf("address of the kms: %w", err)
	}
	return &tokens{address: address, client: client}, nil
}

// said is an answer of the endpoint: a token, an OAuth error or a problem.
type said struct {
	AccessToken string          `json:"access_token"`
	ExpiresIn   int64           `json:"expires_in"`
	RateLimit   json.RawMessage `json:"rateLimit"`
	Error       string          `json:"error"`
}

// issue requests a token. The outcome is the kms's decision on the key; an error means that the kms could not be asked or did not decide.
func (t *tokens) issue(ctx context.Context, what trade) (outcome, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {what.id}, "client_secret": {what.text}, "resource": {what.audience}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.address, strings.NewReader(form.Encode()))
	if err != nil {
		return outcome{}, fmt.Errorf("make the request for a token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Request-Id", requestid.From(ctx))
	res, err := t.client.Do(req)
	if err != nil {
		return outcome{}, unavailable(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return outcome{}, unavailable(err)
	}
	var answer said
	if err := json.Unmarshal(raw, &answer); err != nil && res.StatusCode == http.StatusOK {
		return outcome{}, unchecked(errors.New("the kms's answer is not JSON"))
	}
	return judge(res, answer, what)
}

// judge converts an answer to an outcome.
func judge(res *http.Response, answer said, what trade) (outcome, error) {
	switch {
	case res.StatusCode == http.StatusOK && answer.AccessToken != "":
		return outcome{
			token: answer.AccessToken, counted: len(answer.RateLimit) > 0, life: time.Duration(answer.ExpiresIn)*time.Second - margin,
		}, nil
	case res.StatusCode == http.StatusTooManyRequests:
		e := problem.New(problem.RateLimited, "The rate limit of the API key is exceeded.").Wrap(errors.New("the kms limits the key"))
		if after := res.Header.Get("Retry-After"); after != "" {
			e = e.WithHeader("Retry-After", after)
		}
		return outcome{}, e
	case answer.Error == "invalid_client":
		return outcome{refused: refusal(errors.New("the kms does not accept the key")), life: refusalLife}, nil
	case answer.Error == "invalid_target" || answer.Error == "invalid_scope":
		return outcome{refused: scopeless(what.audience), life: refusalLife}, nil
	case res.StatusCode >= http.StatusInternalServerError:
		return outcome{}, unavailable(fmt.Errorf("status %d", res.StatusCode))
	}
	return outcome{}, unchecked(fmt.Errorf("status %d, error %q", res.StatusCode, answer.Error))
}

func unavailable(why error) error {
	return problem.New(problem.Unavailable, "The API key cannot be checked right now.").WithRetryAfter(time.Second).Wrap(why)
}

func unchecked(why error) error {
	return problem.New(problem.BadUpstream, "The API key could not be checked.").Wrap(why)
}
