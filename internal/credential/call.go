package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/httpclient"
)

// maxAnswer bounds how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// Refusal is an unexpected answer of the kms.
type Refusal struct {
	Status int
	Code   string // problem code or OAuth error
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("the kms answered %d %s", r.Status, r.Code) }

// request is one call to the kms. Of json and form at most one is set.
type request struct {
	method, path string
	json         any
	form         url.Values
	bearer       string
	id, secret   string // HTTP Basic (RFC 6749, section 2.3.1)
	idempotency  string
	again        bool // safe to repeat
	want         int
}

// call sends a request and decodes the wanted answer into out; any other answer is a *Refusal.
func (s *Source) call(ctx context.Context, r request, out any) error {
	req, err := r.build(ctx, s.KMSURL)
	if err != nil {
		return err
	}
	asked := s.Clock.Now()
	answer, err := s.HTTPClient.Do(req)
	if err != nil {
		return fmt.Errorf("call the kms: %w", err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer of the kms: %w", err)
	}
	if answer.StatusCode != r.want {
		return &Refusal{Status: answer.StatusCode, Code: code(raw)}
	}
	s.recordClockOffset(answer.Header.Get("Date"), asked)
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("answer of the kms to %s is not what the contract says", r.path)
	}
	return nil
}

func (r request) build(ctx context.Context, base string) (*http.Request, error) {
	var body io.Reader
	contentType := ""
	switch {
	case r.form != nil:
		body, contentType = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	case r.json != nil:
		raw, err := json.Marshal(r.json)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	if r.id != "" {
		req.SetBasicAuth(url.QueryEscape(r.id), url.QueryEscape(r.secret))
	}
	if r.again {
		httpclient.MayRepeat(req)
	}
	if r.idempotency != "" {
		req.Header.Set("Idempotency-Key", r.idempotency)
	}
	return req, nil
}

// code returns the code of a problem or of an OAuth error.
func code(raw []byte) string {
	var body struct {
		Code  string `json:"code"`
		Error string `json:"error"`
	}
	_ = json.Unmarshal(raw, &body) // anything else has no code
	if body.Code != "" {
		return body.Code
	}
	return body.Error
}

// recordClockOffset records how far the kms's clock is from ours. Its answer was made at some time between the request (asked) and now, so there is
// no difference when the date is in between, however long the answer took or this process was suspended.
func (s *Source) recordClockOffset(date string, asked time.Time) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return
	}
	first, last := asked.Truncate(time.Second), s.Clock.Now() // dates are in whole seconds
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case theirs.After(last):
		s.skew = theirs.Sub(last)
	case theirs.Before(first):
		s.skew = theirs.Sub(first)
	default:
		s.skew = 0
	}
}

// keyWithSecret is the answer of enrolService, and part of that of rotateCurrentApiKey.
type keyWithSecret struct {
	APIKey struct {
		ID           string    `json:"id"`
		CreatedAt    time.Time `json:"createdAt"`
		ExpiresAt    time.Time `json:"expiresAt"`
		GrantedUntil time.Time `json:"grantedUntil"`
	} `json:"apiKey"`
	Key string `json:"key"`
}

func (k keyWithSecret) held() held {
	return held{KeyID: k.APIKey.ID, Key: k.Key, CreatedAt: k.APIKey.CreatedAt, ExpiresAt: k.APIKey.ExpiresAt, GrantedUntil: k.APIKey.GrantedUntil}
}
