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

// A family that runs already, and that the suites are run against instead of families of their own, is named by the environment:
//
//	FOUNTAIN_TEST_FAMILY    where its front answers, https://localhost:8443
//	FOUNTAIN_TEST_SECRETS   directory with the files password and seed, of the administrator Username and the authenticator
//	FOUNTAIN_TEST_DRIVER    a program that is called with kill, stop, start or read: kill SERVICE as a power cut would, stop SERVICE as an operator does, start SERVICE and
//	                        wait until it is healthy, read SERVICE FILE from its file system; the services are those of docker-compose.yml
//	SSL_CERT_FILE           the authority of its certificate, which Go and the command line then trust
//
// There are two of each service, with deploy/scale.env. The tests write to it, so it is one that is removed afterwards. Where a test needs what no such family has, it is
// skipped by its name and says why (Own).

// IsGiven reports whether the suites run against a family that runs already.
func IsGiven() bool { return os.Getenv("FOUNTAIN_TEST_FAMILY") != "" }

// Own skips a test that can't be run against a given family, and says why.
func Own(tb testing.TB, why string) {
	tb.Helper()
	if IsGiven() {
		tb.Skip("not against a given family: " + why)
	}
}

// Driver calls the driver of the given family.
func Driver(tb testing.TB, args ...string) []byte {
	tb.Helper()
	cmd := exec.Command(os.Getenv("FOUNTAIN_TEST_DRIVER"), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(tb, err, "the driver: %v: %s", args, &stderr)
	return out
}

// steps are the authenticator's of the given family: each is used once in this process, and the first is one that an earlier process has not used.
var steps struct {
	sync.Mutex
	last int64
}

const stepSeconds = 30

// givenCode waits for a time step of the authenticator that was not used, and returns its code.
func givenCode(seed string) (string, error) {
	steps.Lock()
	defer steps.Unlock()
	now := time.Now().Unix() / stepSeconds
	if steps.last == 0 {
		steps.last = now
	}
	steps.last = max(steps.last+1, now)
	begins := time.Unix(steps.last*stepSeconds, 0)
	time.Sleep(time.Until(begins)) // the family has no other clock than the machine's
	return totp.GenerateCode(seed, begins)
}

// given returns the family that runs already.
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

// admins is the one client of a test process by which the given family's administrator is known: sign-ins are limited by address.
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
