// Package harness runs a whole family in the test process, on loopback and in a temporary directory. Its clients check
// every response against the contracts.
package harness

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/impl/family"
	rotating "github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search"
	service "github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/tests/recorder"
)

// Username is the name of the first administrator.
const Username = "ada"

// Clock is the machine's clock plus an offset that the test sets, so that one-time codes and expiries need no waiting.
type Clock struct {
	mu       sync.Mutex
	offset   time.Duration
	advanced time.Duration
}

// Now returns the current time with the offset.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

var started = time.Now()

// Elapsed returns the time that has passed, including what Advance has added.
func (c *Clock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(started) + c.advanced
}

// Advance moves the clock forward as if the time had passed.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
	c.advanced += d
}

// Set moves the clock without passing time, as an operator or a time server does.
func (c *Clock) Set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}

// Family is a running family.
type Family struct {
	tb       testing.TB
	Dir      string // its data directory; "" if it is given
	Given    bool   // it is already running and not started by this test
	Info     family.Info
	Clock    *Clock
	Password string
	Delivery service.Delivery  // providers that send codes
	Rotators rotating.Rotators // allowed targets of secret rotations

	issuer     string // "" is the gateway's URL
	engine     search.EngineAt
	stop       context.CancelFunc
	ended      chan error
	mu         sync.Mutex
	secret     string // the administrator's TOTP seed, once enrolled
	invitation string // of the administrator, from the bootstrap
	AdminID    string // set by Bootstrap
}

// Start runs a family in a fresh directory and waits until it is ready. It stops with the test. If a family is given,
// Start returns that one.
func Start(tb testing.TB) *Family {
	tb.Helper()
	if IsGiven() {
		return given(tb)
	}
	return StartSending(tb, service.Delivery{})
}

// StartRotating is Start with targets that secret rotations may reach.
func StartRotating(tb testing.TB, r rotating.Rotators) *Family {
	tb.Helper()
	Own(tb, "its kms reaches no server of the test's")
	f := &Family{tb: tb, Dir: filepath.Join(tb.TempDir(), "data"), Clock: &Clock{}, Password: "correct horse " + time.Now().Format("150405.000000"), Rotators: r}
	f.Up()
	tb.Cleanup(f.Down)
	return f
}

// StartSending is Start with providers that send codes.
func StartSending(tb testing.TB, d service.Delivery) *Family {
	tb.Helper()
	return StartAt(tb, "", d, search.EngineAt{})
}

// StartAt is StartSending for a family with its own issuer address, behind a proxy on this machine, and with a search
// engine; if none is named, with the embedded one.
func StartAt(tb testing.TB, issuer string, d service.Delivery, engine search.EngineAt) *Family {
	tb.Helper()
	Own(tb, "it has no settings of the test's own")
	f := &Family{tb: tb, Dir: filepath.Join(tb.TempDir(), "data"), Clock: &Clock{}, Password: "correct horse " + time.Now().Format("150405.000000"), Delivery: d, issuer: issuer, engine: engine}
	f.Up()
	tb.Cleanup(f.Down)
	return f
}

// Open runs a family on an existing directory, with a clock that starts at now, and waits until it is ready. It stops
// with the test.
func Open(tb testing.TB, dir string, now time.Time) *Family {
	tb.Helper()
	Own(tb, "it opens no directory of the test's")
	f := &Family{tb: tb, Dir: dir, Clock: &Clock{offset: time.Until(now)}}
	f.Up()
	tb.Cleanup(f.Down)
	return f
}

// Up starts the family on its directory, for the first time or again.
func (f *Family) Up() {
	f.tb.Helper()
	if f.Given { // only Down stops it, and Down restarts it
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan family.Info, 1)
	f.stop, f.ended = stop, make(chan error, 1)
	c := family.Config{
		DataDir: f.Dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Clock: f.Clock, AuditKeep: time.Millisecond, // so that a test that archives does not wait for 90 days
		Delivery: f.Delivery, Rotators: f.Rotators, Issuer: f.issuer, Engine: f.engine, OnReady: func(i family.Info) { ready <- i },
	}
	if f.issuer != "" {
		c.TrustedProxies = []string{"127.0.0.0/8"}
	}
	go func() { f.ended <- family.Run(ctx, c) }()
	select {
	case f.Info = <-ready:
	case err := <-f.ended:
		stop()
		f.tb.Fatalf("the family did not start: %v", err)
	case <-time.After(5 * time.Minute):
		stop()
		f.tb.Fatal("the family was not ready in time")
	}
}

// Down drains the family. The test fails if it does not stop cleanly. A given family is restarted immediately.
func (f *Family) Down() {
	f.tb.Helper()
	if f.Given {
		f.restart()
		return
	}
	if f.stop == nil {
		return
	}
	f.stop()
	f.stop = nil
	select {
	case err := <-f.ended:
		require.NoError(f.tb, err, "the family's end")
	case <-time.After(5 * time.Minute):
		f.tb.Fatal("the family did not end in time")
	}
}

// Client returns a client of the gateway that checks its responses.
func (f *Family) Client(opts ...fountain.Option) *fountain.Client {
	f.tb.Helper()
	return f.ClientOf(f.Info.GatewayURL, opts...)
}

// ClientOf returns a client of any address that checks its responses, for example of a service directly.
func (f *Family) ClientOf(url string, opts ...fountain.Option) *fountain.Client {
	f.tb.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	f.tb.Cleanup(transport.CloseIdleConnections)
	answers := recorder.New(f.tb, transport)
	_, answers.Gateway, _ = strings.Cut(f.Info.GatewayURL, "://")
	opts = append([]fountain.Option{fountain.WithHTTPClient(answers.Client())}, opts...)
	c, err := fountain.New(url, opts...)
	require.NoError(f.tb, err)
	return c
}

// Bootstrap creates the first administrator with the token in the file.
func (f *Family) Bootstrap() {
	f.tb.Helper()
	if f.Given { // it has an administrator
		return
	}
	token, err := os.ReadFile(filepath.Join(f.Dir, "kms", "bootstrap.token"))
	require.NoError(f.tb, err)
	made, err := f.Client().KMS.BootstrapAdmin(context.Background(), kms.AdminBootstrap{
		Token: strings.TrimSpace(string(token)), Username: Username, Password: f.Password,
	})
	require.NoError(f.tb, err)
	f.invitation, f.AdminID = made.Invitation.Token, made.ID
}

// Admin returns a client signed in as the administrator. It answers second-factor challenges after EnrolTOTP was
// called.
func (f *Family) Admin() *fountain.Client {
	f.tb.Helper()
	return f.Client(fountain.WithUser(Username, f.Password), fountain.WithStepUp(f.StepUp))
}

// EnrolTOTP enrols and confirms an authenticator for the administrator.
func (f *Family) EnrolTOTP(c *fountain.Client) {
	f.tb.Helper()
	if f.Given { // the administrator has one
		return
	}
	ctx := context.Background()
	enrolment, err := c.Twofactor.EnrolTotp(ctx, twofactor.TotpEnrol{Label: fountain.Ptr("test"), Invitation: &f.invitation})
	require.NoError(f.tb, err)
	require.Contains(f.tb, enrolment.OtpauthURI, "otpauth://totp/FountainAI:"+Username+"?", "the authenticator shows who it is for")
	f.mu.Lock()
	f.secret = enrolment.Secret
	f.mu.Unlock()
	_, err = c.Twofactor.ConfirmTotp(ctx, enrolment.FactorID, twofactor.TotpConfirm{Code: f.Code()})
	require.NoError(f.tb, err)
}

// Code moves the clock to the next time step and returns the administrator's code there, so that each code is new.
func (f *Family) Code() string {
	f.tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NotEmpty(f.tb, f.secret, "EnrolTOTP comes first")
	return f.CodeOf(f.secret)
}

// CodeOf moves the clock to the next time step and returns the code of an authenticator with this secret there. Nothing moves the clock of a given
// family: there it waits for the step.
func (f *Family) CodeOf(secret string) string {
	f.tb.Helper()
	if f.Given {
		code, err := givenCode(secret)
		require.NoError(f.tb, err)
		return code
	}
	f.Clock.Advance(stepSeconds * time.Second)
	code, err := totp.GenerateCode(secret, f.Clock.Now())
	require.NoError(f.tb, err)
	return code
}

// StepUp is the callback for fountain.WithStepUp.
func (f *Family) StepUp(context.Context, fountain.Challenge) (string, error) { return f.Code(), nil }

// EnrolmentToken creates an enrolment token for one more instance of a FountainAI service.
func EnrolmentToken(tb testing.TB, admin *fountain.Client, word string) string {
	tb.Helper()
	for s, err := range admin.KMS.Services(context.Background()) {
		require.NoError(tb, err)
		if s.Name == word {
			made, err := admin.KMS.CreateEnrolmentToken(context.Background(), s.ID)
			require.NoError(tb, err)
			return made.Token
		}
	}
	tb.Fatalf("the service %s is not registered", word)
	return ""
}

// ServiceKey returns the API key of a service of this family from its data directory.
func (f *Family) ServiceKey(word string) string {
	f.tb.Helper()
	var raw []byte
	if f.Given {
		raw = Driver(f.tb, "read", word, "/data/credential.json")
	} else {
		var err error
		raw, err = os.ReadFile(filepath.Join(f.Dir, word, "credential.json"))
		require.NoError(f.tb, err)
	}
	var credential struct{ Key string }
	require.NoError(f.tb, json.Unmarshal(raw, &credential))
	require.NotEmpty(f.tb, credential.Key)
	return credential.Key
}
