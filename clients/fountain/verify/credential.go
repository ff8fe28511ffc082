package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// credential exchanges the service's API key for the access tokens with which it reads the feed.
type credential struct {
	config   Config
	apiKey   func() (string, error)
	tokenURL string

	mu    sync.Mutex // held while a token is fetched: only the feed uses it
	text  string
	renew time.Time
}

// token returns a token for the kms. It reuses one until two thirds of its lifetime have passed.
func (c *credential) token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.config.Now() // the lifetime starts before the request, because the response may be late
	if c.text != "" && asked.Before(c.renew) {
		return c.text, nil
	}
	key, err := c.apiKey()
	if err != nil {
		return "", fmt.Errorf("read the service's API key: %w", err)
	}
	text, life, err := c.requestToken(ctx, strings.TrimSpace(key))
	if err != nil {
		return "", fmt.Errorf("trade the service's API key for a token: %w", err)
	}
	c.text, c.renew = text, asked.Add(life*2/3)
	return text, nil
}

// drop discards a token that was refused.
func (c *credential) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = ""
}

// requestToken requests a token with the client_credentials grant (RFC 6749, section 4.4; RFC 8707).
func (c *credential) requestToken(ctx context.Context, key string) (text string, life time.Duration, err error) {
	id, err := keyID(key)
	if err != nil {
		return "", 0, err
	}
	address := c.tokenURL
	if address == "" {
		m, err := readMetadata(ctx, c.config)
		if err != nil {
			return "", 0, err
		}
		address = m.TokenURL
	}
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {"kms"}, "scope": {"revocations:read"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(key)) // RFC 6749, section 2.3.1
	answer, err := c.config.Client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close()
	raw, err := readBounded(answer.Body, maxDocument)
	if err != nil {
		return "", 0, err
	}
	var body struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
		Error       string `json:"error"`
	}
	if err := json.Unmarshal(raw, &body); err != nil && answer.StatusCode == http.StatusOK {
		return "", 0, errors.New("the response has no token")
	}
	switch {
	case body.Error == "invalid_scope":
		return "", 0, errors.New("the service lacks the scope revocations:read")
	case answer.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("the kms answered %d", answer.StatusCode)
	case body.AccessToken == "" || body.ExpiresIn <= 0 || body.ExpiresIn > int64(24*time.Hour/time.Second):
		return "", 0, errors.New("the response has no token")
	}
	return body.AccessToken, time.Duration(body.ExpiresIn) * time.Second, nil
}

// keyID returns the id of the key with this text: fk_live_<ULID>_<secret> has the id key_<ULID>.
func keyID(key string) (string, error) {
	parts := strings.Split(key, "_")
	if len(parts) != 4 || parts[0] != "fk" || len(parts[2]) != 26 || parts[3] == "" {
		return "", errors.New("it is not the text of an API key")
	}
	return "key_" + parts[2], nil
}
