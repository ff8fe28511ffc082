package chaos

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
)

// household is a family in which every service is a process of its own, one of each, as in the compose file.
type household struct {
	t         *testing.T
	parts     map[string]*replica
	addresses map[string]string // URLs
	gateway   string            // URL
	data      string            // with a directory for each service
	admin     *fountain.Client
	people    string // prefix of the names of users created here; "" means "grace"
}

// newHousehold starts all services and creates the first administrator. The administrator's client does not retry.
// Services drain for longer than the gateway takes to notice it.
func newHousehold(t *testing.T) *household {
	t.Helper()
	return newHouseholdWith(t, func(string) []string { return nil })
}

// newHouseholdWith is newHousehold with further settings for each service.
func newHouseholdWith(t *testing.T, further func(word string) []string) *household {
	t.Helper()
	harness.Own(t, "it is about single services, or such as the test starts itself")
	h := &household{t: t, parts: map[string]*replica{}, addresses: map[string]string{}, data: t.TempDir()}
	for _, word := range []string{"kms", "twofactor", "search", "sequence", "gateway"} {
		h.addresses[word] = "http://" + harness.FreeAddress(t)
	}
	h.gateway = h.addresses["gateway"]
	h.open(further)
	h.admin = harness.Bootstrap(t, h.gateway, filepath.Join(h.data, "kms", "bootstrap.token"), "ada", password, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	return h
}

// open starts all services on the existing data.
func (h *household) open(further func(word string) []string) {
	h.t.Helper()
	start := func(word string, settings ...string) {
		at, err := url.Parse(h.addresses[word])
		require.NoError(h.t, err)
		h.parts[word] = serve(h.t, word, h.addresses["kms"], h.gateway, "", append([]string{
			"ADDR=" + at.Host, "DRAIN_DELAY=2500ms", "TRUSTED_PROXIES=127.0.0.0/8", "DATA_DIR=" + filepath.Join(h.data, word),
			"ENROL_TOKEN_FILE=" + filepath.Join(h.data, "kms", "enrol", word, "token"),
		}, append(settings, further(word)...)...)...)
	}
	start("kms")
	start("twofactor")
	start("search")
	start("sequence", "SEARCH_URL="+h.addresses["search"])
	start("gateway", "TWOFACTOR_URL="+h.addresses["twofactor"], "SEARCH_URL="+h.addresses["search"], "SEQUENCE_URL="+h.addresses["sequence"])
}

// editors returns clients of n users. None of them retries.
func (h *household) editors(n int) []*fountain.Client {
	h.t.Helper()
	var out []*fountain.Client
	for i := range n {
		name := h.person(i)
		_, err := h.admin.KMS.CreateUser(h.t.Context(), kms.UserCreate{Username: name, Password: password, Roles: []string{"editor"}})
		require.NoError(h.t, err)
		out = append(out, h.client(fountain.WithUser(name, password)))
	}
	return out
}

// person returns the name of a user.
func (h *household) person(n int) string { return cmp.Or(h.people, "grace") + fmt.Sprint(n) }

// welcome creates a user, who signs in and enrols an authenticator. For that the twofactor service calls the kms.
func (h *household) welcome(n int, one func(func() error)) {
	name := fmt.Sprint(h.people, "ada", n)
	one(func() error {
		_, err := h.admin.KMS.CreateUser(context.Background(), kms.UserCreate{Username: name, Password: password, Roles: []string{"reader"}})
		return err
	})
	user := h.client(fountain.WithUser(name, password))
	defer user.CloseIdle()
	one(func() error {
		_, err := user.Twofactor.EnrolTotp(context.Background(), twofactor.TotpEnrol{})
		return err
	})
	time.Sleep(time.Second) // sign-ins are limited by address
}

// client returns a client of the household's gateway that does not retry.
func (h *household) client(opts ...fountain.Option) *fountain.Client {
	h.t.Helper()
	return clientOf(h.t, h.gateway, opts...)
}

// stop stops all services, the gateway first.
func (h *household) stop() {
	h.t.Helper()
	for _, word := range []string{"gateway", "sequence", "search", "twofactor", "kms"} {
		if part := h.parts[word]; part != nil { // one of two kms is not a part
			part.stop()
		}
	}
}
