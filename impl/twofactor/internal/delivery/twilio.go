package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what Twilio signs with
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/config"
)

// Twilio configures an account at Twilio, whose REST API sends SMS.
type Twilio struct {
	AccountSID  string `env:"ACCOUNT_SID"`  // empty: SMS are off
	TokenFile   string `env:"TOKEN_FILE"`   // contains the account's auth token; read for each message
	From        string `env:"FROM"`         // the sending number in E.164, or the SID of a messaging service (MG...)
	CallbackURL string `env:"CALLBACK_URL"` // public URL of receiveTwilioStatus; empty: delivery is not reported
	URL         string `env:"URL"`          // of the API; a URL other than Twilio's own must be on this machine
}

const (
	twilioURL    = "https://api.twilio.com"
	twilioAnswer = 64 << 10 // most bytes that are read of an answer
	// TwilioTime bounds a call to Twilio.
	TwilioTime = 5 * time.Second
)

// Validate checks the settings. It has no side effects.
func (c Twilio) Validate() error {
	if c == (Twilio{}) {
		return nil
	}
	var errs []error
	if !sid(c.AccountSID, "AC") {
		errs = append(errs, errors.New("ACCOUNT_SID: must be AC and 32 hexadecimal digits"))
	}
	if c.TokenFile == "" {
		errs = append(errs, errors.New("TOKEN_FILE: is required"))
	}
	if _, err := parseNumber(c.From, anyCountry); !sid(c.From, "MG") && errors.Is(err, ErrNumber) {
		errs = append(errs, errors.New("FROM: must be a number in E.164 or the SID of a messaging service"))
	}
	if c.CallbackURL != "" {
		if u, err := url.Parse(c.CallbackURL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			errs = append(errs, errors.New("CALLBACK_URL: must be https://"))
		}
	}
	if c.URL != "" && !onThisMachine(c.URL) {
		errs = append(errs, errors.New("URL: an address other than Twilio's is for tests, and must be on this machine"))
	}
	return errors.Join(errs...)
}

// anyCountry is for checking whether a text is a number of any country.
var anyCountry = []string{"US"}

func sid(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && len(rest) == 32 && strings.Trim(rest, "0123456789abcdef") == ""
}

// onThisMachine reports whether a URL has a loopback address.
func onThisMachine(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.IsLoopback()
}

type twilioSender struct {
	name   string
	c      Twilio
	client *http.Client
}

// NewTwilio returns the sender for a valid configuration. client must not follow redirects.
func NewTwilio(name string, c Twilio, client *http.Client) Sender {
	if c.URL == "" {
		c.URL = twilioURL
	}
	return &twilioSender{name, c, client}
}

// Name implements Sender.
func (s *twilioSender) Name() string { return s.name }

// Send implements Sender (POST /2010-04-01/Accounts/{AccountSid}/Messages.json).
func (s *twilioSender) Send(ctx context.Context, m Message, text Text) (Receipt, error) {
	token, err := config.ReadSecret(s.c.TokenFile)
	if err != nil {
		return Receipt{}, temporary(Refused, 0, err)
	}
	form := url.Values{"To": {m.Target}, "Body": {text.Plain}}
	if sid(s.c.From, "MG") {
		form.Set("MessagingServiceSid", s.c.From)
	} else {
		form.Set("From", s.c.From)
	}
	if s.c.CallbackURL != "" {
		form.Set("StatusCallback", s.c.CallbackURL)
	}
	ctx, cancel := context.WithTimeout(ctx, TwilioTime)
	defer cancel()
	address := s.c.URL + "/2010-04-01/Accounts/" + s.c.AccountSID + "/Messages.json"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return Receipt{}, permanent(Refused, err)
	}
	request.SetBasicAuth(s.c.AccountSID, token)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.client.Do(request)
	if err != nil {
		return Receipt{}, temporary(Unreachable, 0, errors.New("no answer in time"))
	}
	defer answer.Body.Close()
	var body struct {
		SID  string `json:"sid"`
		Code int    `json:"code"`
	}
	err = json.NewDecoder(io.LimitReader(answer.Body, twilioAnswer)).Decode(&body)
	if answer.StatusCode == http.StatusCreated && err == nil && body.SID != "" {
		return Receipt{ID: body.SID}, nil
	}
	return Receipt{}, twilioFailure(answer, body.Code)
}

// twilioFailure returns the failure for Twilio's status and error code. It leaves out the text of the answer, which contains the number.
func twilioFailure(answer *http.Response, code int) error {
	cause := fmt.Errorf("the API answered %d, code %d", answer.StatusCode, code)
	switch {
	case answer.StatusCode == http.StatusTooManyRequests:
		after, _ := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 16) // 0 when it does not say
		return temporary(Limited, time.Duration(after)*time.Second, cause)
	case answer.StatusCode >= 500:
		return temporary(Unreachable, 0, cause)
	case code >= 21000 && code < 22000: // about this message: no such number, not reachable, opted out
		return permanent(Rejected, cause)
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return temporary(Refused, 0, cause)
	}
	return permanent(Rejected, cause)
}

// CheckTwilioSignature reports whether Twilio has signed a callback. The signature is the base64 of an HMAC-SHA1 with the auth token over the URL and the
// parameters, sorted by name (https://www.twilio.com/docs/usage/security). The comparison takes constant time.
func CheckTwilioSignature(token, callbackURL string, form url.Values, signature string) bool {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(callbackURL))
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range form[name] {
			mac.Write([]byte(name + value))
		}
	}
	want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(want), []byte(signature))
}

// Accepts reports whether a callback was signed for this account.
func (c Twilio) Accepts(form url.Values, signature string) (bool, error) {
	if c.CallbackURL == "" {
		return false, nil
	}
	token, err := config.ReadSecret(c.TokenFile)
	if err != nil {
		return false, err
	}
	return CheckTwilioSignature(token, c.CallbackURL, form, signature), nil
}
