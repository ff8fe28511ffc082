package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

func operation() *contract.Operation {
	return &contract.Operation{
		ID: "createThing", Requirements: []contract.Requirement{{Scopes: []string{"a", "b"}}, {Scopes: []string{"a", "b"}, OTP: true}},
		Policy: contract.Policy{Principals: []string{"user", "service"}, Roles: contract.Roles{AnyOf: []string{"admin", "editor"}},
			StepUp: &contract.StepUp{ACR: "aal2", MaxAge: 5 * time.Minute, For: []string{"user"}}},
	}
}

func user() *Principal {
	return &Principal{Kind: KindUser, Scopes: []string{"b", "a"}, Roles: []string{"editor"}, ACR: "aal2", AuthTime: noon.Add(-time.Minute)}
}

func TestAuthorize_admitsWhoMeetsEverything(t *testing.T) {
	require.NoError(t, Authorize(user(), operation(), noon))
	phr := user()
	phr.ACR = "phr"
	require.NoError(t, Authorize(phr, operation(), noon), "a stronger factor will do")
	service := &Principal{Kind: KindService, Scopes: []string{"a", "b"}}
	require.NoError(t, Authorize(service, operation(), noon), "roles and this stepUp are for users")
	either := operation()
	either.Requirements = []contract.Requirement{{Scopes: []string{"x"}}, {Scopes: []string{"a"}}}
	require.NoError(t, Authorize(user(), either, noon), "one alternative is enough")
	none := operation()
	none.Requirements = []contract.Requirement{{}}
	none.Policy.StepUp = nil
	require.NoError(t, Authorize(&Principal{Kind: KindService}, none, noon))
}

func TestAuthorize_refusesWithTheRightChallenge(t *testing.T) {
	change := func(f func(p *Principal, op *contract.Operation)) (*Principal, *contract.Operation) {
		p, op := user(), operation()
		f(p, op)
		return p, op
	}
	stepUp := `Bearer realm="fountain", error="insufficient_user_authentication", error_description="A second factor is needed", acr_values="aal2", max_age="300"`
	for name, c := range map[string]struct {
		change    func(p *Principal, op *contract.Operation)
		code      problem.Code
		challenge string
	}{
		"scope":             {func(p *Principal, _ *contract.Operation) { p.Scopes = []string{"a"} }, problem.InsufficientScope, `Bearer realm="fountain", error="insufficient_scope", scope="a b"`},
		"no requirement":    {func(_ *Principal, op *contract.Operation) { op.Requirements = nil }, problem.InsufficientScope, `Bearer realm="fountain", error="insufficient_scope", scope=""`},
		"principal":         {func(_ *Principal, op *contract.Operation) { op.Policy.Principals = []string{"service"} }, problem.PrincipalNotAllowed, ""},
		"role":              {func(p *Principal, _ *contract.Operation) { p.Roles = []string{"reader"} }, problem.InsufficientRole, ""},
		"acr":               {func(p *Principal, _ *contract.Operation) { p.ACR = "aal1" }, problem.InsufficientUserAuthentication, stepUp},
		"no acr":            {func(p *Principal, _ *contract.Operation) { p.ACR = "" }, problem.InsufficientUserAuthentication, stepUp},
		"too old":           {func(p *Principal, _ *contract.Operation) { p.AuthTime = noon.Add(-5*time.Minute - time.Second) }, problem.InsufficientUserAuthentication, stepUp},
		"from the future":   {func(p *Principal, _ *contract.Operation) { p.AuthTime = noon.Add(time.Minute) }, problem.InsufficientUserAuthentication, stepUp},
		"no auth_time":      {func(p *Principal, _ *contract.Operation) { p.AuthTime = time.Time{} }, problem.InsufficientUserAuthentication, stepUp},
		"scope before role": {func(p *Principal, _ *contract.Operation) { p.Scopes, p.Roles, p.ACR = nil, nil, "" }, problem.InsufficientScope, `Bearer realm="fountain", error="insufficient_scope", scope="a b"`},
	} {
		t.Run(name, func(t *testing.T) {
			p, op := change(c.change)
			err := Authorize(p, op, noon)
			require.ErrorIs(t, err, c.code)
			require.Equal(t, c.challenge, problem.From(err).Header.Get("WWW-Authenticate"))
		})
	}
	e := problem.From(Challenge(operation().Policy.StepUp))
	require.Equal(t, []string{"aal2"}, e.ACRValues)
	require.Equal(t, int64(300), e.MaxAge)
}

func TestStepUp_leavesADynamicDemandToTheDomain(t *testing.T) {
	op, p := operation(), user()
	op.Policy.StepUp.Dynamic = true
	p.ACR = "aal1"
	require.NoError(t, Authorize(p, op, noon))
	require.ErrorIs(t, RequireStepUp(p, op, noon), problem.InsufficientUserAuthentication)
	p.Kind = KindService
	require.NoError(t, RequireStepUp(p, op, noon))
	op.Policy.StepUp = nil
	require.NoError(t, RequireStepUp(user(), op, noon))
}

func TestBearer_takesExactlyOneToken(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		token  string
		code   problem.Code
	}{
		"one":            {[]string{"Bearer abc.def.ghi"}, "abc.def.ghi", ""},
		"any case":       {[]string{"bEARER abc"}, "abc", ""},
		"none":           {nil, "", problem.AuthenticationRequired},
		"two":            {[]string{"Bearer a", "Bearer b"}, "", problem.InvalidToken},
		"list":           {[]string{"Bearer a, Bearer b"}, "", problem.InvalidToken},
		"basic":          {[]string{"Basic YTpi"}, "", problem.InvalidToken},
		"no token":       {[]string{"Bearer "}, "", problem.InvalidToken},
		"only the word":  {[]string{"Bearer"}, "", problem.InvalidToken},
		"two spaces":     {[]string{"Bearer  abc"}, "", problem.InvalidToken},
		"something more": {[]string{"Bearer abc def"}, "", problem.InvalidToken},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = c.values
		token, err := Bearer(r)
		if c.code == "" {
			require.NoError(t, err, name)
			require.Equal(t, c.token, token)
			continue
		}
		require.ErrorIs(t, err, c.code, name)
		require.NotEmpty(t, problem.From(err).Header.Get("WWW-Authenticate"))
	}
	_, err := Bearer(httptest.NewRequest(http.MethodGet, "/", nil))
	require.NotContains(t, problem.From(err).Header.Get("WWW-Authenticate"), "error=", "no credentials is no error (RFC 6750 section 3.1)")
}

func TestContext_carriesThePrincipal(t *testing.T) {
	p, ok := FromContext(t.Context())
	require.False(t, ok)
	require.Nil(t, p)
	p, ok = FromContext(NewContext(t.Context(), user()))
	require.True(t, ok)
	require.Equal(t, user(), p)
}
