package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// heard is how long after the response to a revocation a service may still accept the token.
const heard = time.Second

// ending is something that can be ended, and the token that ends with it.
type ending struct {
	token  string
	places map[string]string // URLs that accept the token, by name
	end    func() error
}

// endings creates things that can be ended, in a running family.
type endings struct {
	t     *testing.T
	f     *harness.Family
	admin *fountain.Client
}

// user creates a user with the role and a session. The token is for kms, twofactor and sequence, each called through
// the gateway and directly.
func (e *endings) user(name, role string, end func(u *kms.UserCreated, token string) error) ending {
	ctx := context.Background()
	u, err := e.admin.KMS.CreateUser(ctx, kms.UserCreate{Username: name, Password: "a quiet harbour at dawn", Roles: []string{role}})
	require.NoError(e.t, err)
	tokens, err := e.admin.KMS.LoginUser(ctx, kms.Login{Username: name, Password: "a quiet harbour at dawn"}, fountain.WithoutAuth())
	require.NoError(e.t, err)
	places := map[string]string{}
	for word, path := range map[string]string{
		"kms": "/kms/v1/users/" + u.ID, "twofactor": "/twofactor/v1/factors", "sequence": "/sequence/v1/scopes/play/line/elements",
	} {
		e.asked(places, word, path)
	}
	return ending{tokens.AccessToken, places, func() error { return end(u, tokens.AccessToken) }}
}

// service registers a service with a key. Its token is for search.
func (e *endings) service(name string, end func(s kms.Service, key *kms.APIKeyWithSecret, token string) error) ending {
	ctx := context.Background()
	made, err := e.admin.KMS.RegisterService(ctx, kms.ServiceCreate{Name: name, Scopes: []string{"collections:read"}})
	require.NoError(e.t, err)
	key, err := e.f.Client().KMS.EnrolService(ctx, kms.Enrol{Token: made.Enrolment.Token})
	require.NoError(e.t, err)
	token, err := e.f.Client(fountain.WithAPIKey(key.Key)).Token(ctx, "search")
	require.NoError(e.t, err)
	const path = "/search/v1/collections"
	places := map[string]string{}
	e.asked(places, "search", path)
	return ending{token, places, func() error { return end(made.Service, key, token) }}
}

// asked adds the URLs for a path of a service: through the gateway and, if the test can reach it, at the service
// itself.
func (e *endings) asked(places map[string]string, word, path string) {
	places["gateway, "+word] = e.f.Info.GatewayURL + path
	if !e.f.Given {
		places[word] = e.f.Info.Services[word] + path
	}
}

// all returns every kind of thing that can be ended.
func (e *endings) all() map[string]ending {
	ctx, k := context.Background(), e.admin.KMS
	_, err := k.PutRole(ctx, "clerk", kms.RolePut{Scopes: []string{"elements:read", "elements:write"}}, fountain.WithIfNoneMatch())
	require.NoError(e.t, err)
	disabled, gone := kms.UserUpdateStatus("disabled"), kms.ServiceUpdateStatus("disabled")
	return map[string]ending{
		"session": e.user("anna", "editor", func(_ *kms.UserCreated, token string) error { return k.LogoutUser(ctx, fountain.WithBearer(token)) }),
		"user": e.user("berta", "editor", func(u *kms.UserCreated, _ string) error {
			_, err := k.UpdateUser(ctx, u.ID, fountain.IfMatch(u.Version), kms.UserUpdate{Status: &disabled})
			return err
		}),
		"role of a user": e.user("clara", "editor", func(u *kms.UserCreated, _ string) error {
			_, err := k.UpdateUser(ctx, u.ID, fountain.IfMatch(u.Version), kms.UserUpdate{Roles: &[]string{"reader"}})
			return err
		}),
		"scope of a role": e.user("dora", "clerk", func(*kms.UserCreated, string) error {
			_, err := k.PutRole(ctx, "clerk", kms.RolePut{Scopes: []string{"elements:read"}})
			return err
		}),
		"service": e.service("printer", func(s kms.Service, _ *kms.APIKeyWithSecret, _ string) error {
			_, err := k.UpdateService(ctx, s.ID, fountain.IfMatch(s.Version), kms.ServiceUpdate{Status: &gone})
			return err
		}),
		"key": e.service("binder", func(_ kms.Service, key *kms.APIKeyWithSecret, _ string) error {
			_, err := k.RevokeAPIKey(ctx, key.APIKey.ID)
			return err
		}),
		"token": e.service("folder", func(_ kms.Service, key *kms.APIKeyWithSecret, token string) error {
			return k.RevokeToken(ctx, kms.TokenQuestion{Token: token, ClientID: &key.APIKey.ID, ClientSecret: &key.Key}, fountain.WithoutAuth())
		}),
	}
}

// Whatever was ended, the kms refuses its token from the response on, and the gateway and every service refuse it
// within a second.
func TestEnding_isHeardByTheGatewayAndEveryServiceWithinASecond(t *testing.T) {
	f := harness.Start(t)
	f.Bootstrap()
	admin := f.Admin()
	f.EnrolTOTP(admin)
	for name, one := range (&endings{t, f, admin}).all() {
		for place, url := range one.places {
			require.Contains(t, []int{200, 404}, call(t, "GET", url, one.token, ""), "%s: %s takes the token", name, place) // 404: an empty scope
		}
		require.NoError(t, one.end(), name)
		answered := time.Now()
		if url, ok := one.places["kms"]; ok {
			require.Equal(t, 401, call(t, "GET", url, one.token, ""), "%s: the kms, at once", name)
		}
		for place, url := range one.places {
			for call(t, "GET", url, one.token, "") != 401 {
				require.Less(t, time.Since(answered), heard, "%s: %s", name, place)
			}
		}
		t.Logf("%s: refused everywhere after %s", name, time.Since(answered))
	}
}
