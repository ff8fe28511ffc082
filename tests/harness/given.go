package harness

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/impl/family"
)

// The suites can run against a family that is already running instead of families of their own. The environment
// describes it:
//
//	FOUNTAIN_TEST_FAMILY    address of its front, such as https://localhost:8443
//	FOUNTAIN_TEST_SECRETS   directory with the files password and seed: those of the administrator Username and of the
//	                        administrator's authenticator
//	FOUNTAIN_TEST_DRIVER    a program that is called with one of: kill SERVICE, as a power cut would; stop SERVICE, as
//	                        an operator does; start SERVICE, which waits until it is healthy; read SERVICE FILE, from
//	                        the service's file system; the services are those of docker-compose.yml
//	SSL_CERT_FILE           CA of its certificate, which Go and the command line then trust
//
// It has two of each service, with deploy/scale.env. The tests write to it, so it must be one that is discarded
// afterwards. A test that needs something that no such family has is skipped with the reason (Own).

// IsGiven reports whether the suites run against a family that is already running.
func IsGiven() bool { return os.Getenv("FOUNTAIN_TEST_FAMILY") != "" }

// Own skips a test that cannot run against a given family, and says why.
func Own(tb testing.TB, why string) {
	tb.Helper()
	if IsGiven() {
		tb.Skip("not against a given family: " + why)
	}
}

// Driver runs the driver of the given family.
func Driver(tb testing.TB, args ...string) []byte {
	tb.Helper()
	cmd := exec.Command(os.Getenv("FOUNTAIN_TEST_DRIVER"), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(tb, err, "the driver: %v: %s", args, &stderr)
	return out
}

// steps are the time steps of the authenticators at a given family. Each is used once in this process, and the first one
// is a step that no earlier process has used.
var steps struct {
	sync.Mutex
	last int64
}

const stepSeconds = 30

// givenCode waits for an unused time step and returns its code.
func givenCode(seed string) (string, error) {
	steps.Lock()
	defer steps.Unlock()
	now := time.Now().Unix() / stepSeconds
	if steps.last == 0 {
		steps.last = now
	}
	steps.last = max(steps.last+1, now)
	begins := time.Unix(steps.last*stepSeconds, 0)
	time.Sleep(time.Until(begins)) // the family uses the machine's clock
	return totp.GenerateCode(seed, begins)
}

// given returns the family that is already running.
func given(tb testing.TB) *Family {
	tb.Helper()
	secret := func(name string) string {
		text, err := os.ReadFile(filepath.Join(os.Getenv("FOUNTAIN_TEST_SECRETS"), name))
		require.NoError(tb, err)
		return strings.TrimSpace(string(text))
	}
	f := &Family{tb: tb, Given: true, Clock: &Clock{}, Password: secret("password"), secret: secret("seed"), Info: family.Info{GatewayURL: os.Getenv("FOUNTAIN_TEST_FAMILY")}}
	for user, err := range givenAdmin(f).KMS.Users(context.Background()) {
		require.NoError(tb, err)
		if user.Username == Username {
			f.AdminID = user.ID
		}
	}
	require.NotEmpty(tb, f.AdminID)
	return f
}

// admins holds the only client of a test process that is signed in as the given family's administrator, because
// sign-ins are limited by address.
var admins = struct {
	sync.Mutex
	of map[string]*fountain.Client
}{of: map[string]*fountain.Client{}}

func givenAdmin(f *Family) *fountain.Client {
	admins.Lock()
	defer admins.Unlock()
	if admins.of[f.Info.GatewayURL] == nil {
		c, err := fountain.New(f.Info.GatewayURL, fountain.WithUser(Username, f.Password), fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) { return givenCode(f.secret) }))
		require.NoError(f.tb, err)
		admins.of[f.Info.GatewayURL] = c
	}
	return admins.of[f.Info.GatewayURL]
}

// restart stops every service of the given family and starts it again.
func (f *Family) restart() {
	f.tb.Helper()
	for _, verb := range []string{"stop", "start"} {
		for _, service := range []string{"gateway", "gateway-2", "sequence", "sequence-2", "search", "search-2", "twofactor", "twofactor-2", "kms", "kms-2"} {
			Driver(f.tb, verb, service)
		}
	}
	require.Eventually(f.tb, func() bool {
		answer, err := http.Get(f.Info.GatewayURL + "/gateway/v1/ready")
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, 5*time.Minute, time.Second)
}
