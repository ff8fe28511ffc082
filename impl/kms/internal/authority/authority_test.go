package authority

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

func contracts(t *testing.T) []*contract.Contract {
	t.Helper()
	all, err := contract.LoadAll()
	require.NoError(t, err)
	return all
}

// usable returns the scopes with which some operation can be called, by users and by services.
func usable(t *testing.T) (byUser, byService map[string]bool) {
	byUser, byService = map[string]bool{}, map[string]bool{}
	for _, c := range contracts(t) {
		for _, op := range c.Operations {
			for _, scope := range op.Scopes() {
				if slices.Contains(op.Policy.Principals, "user") {
					byUser[scope] = true
				}
				if slices.Contains(op.Policy.Principals, "service") {
					byService[scope] = true
				}
			}
		}
	}
	return byUser, byService
}

func TestRoleScopes_areThoseOfTheContracts(t *testing.T) {
	catalogue, err := NewCatalogue("https://issuer", contracts(t))
	require.NoError(t, err)
	byUser, _ := usable(t)
	delete(byUser, CompleteSignIn) // given by the sign-in alone, and by no role
	delete(byUser, "openid")       // granted to web apps, and given by no role
	for scope := range byUser {
		require.Contains(t, ScopesOf([]string{RoleAdmin}, Definitions{}), scope, "an administrator has every scope that is open to users")
	}
	for role, scopes := range roleScopes {
		for _, scope := range scopes {
			require.True(t, catalogue.Known(scope), "%s of %s is in no contract", scope, role)
			require.True(t, byUser[scope], "%s of %s is of no use to a user", scope, role)
		}
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(scopes))), len(scopes), "%s has a scope twice", role)
	}
	require.Equal(t, ScopesOf([]string{RoleAdmin}, Definitions{}), ScopesOf([]string{RoleReader, RoleAdmin, RoleEditor}, Definitions{}))
	require.Empty(t, ScopesOf([]string{"owner", ""}, Definitions{}))
}

// Defined roles may have the scopes for secrets, web apps may not.
func TestDelegable_isAssignableWithoutSecrets(t *testing.T) {
	catalogue, err := NewCatalogue("https://issuer", contracts(t))
	require.NoError(t, err)
	var assignable, delegable []string
	for _, scope := range catalogue.Scopes() {
		if catalogue.Assignable(scope.Name) {
			assignable = append(assignable, scope.Name)
		}
		if catalogue.Delegable(scope.Name) {
			delegable = append(delegable, scope.Name)
		}
	}
	require.Subset(t, assignable, delegable)
	require.ElementsMatch(t, append(slices.Clone(delegable), "secrets:read", "secrets:write"), assignable)
	for _, scope := range []string{"secret-policies:read", "secret-policies:write", "users:write", "keyrings:use", "challenges:use"} {
		require.NotContains(t, assignable, scope)
	}
}

func TestRoleScopes_growWithTheRole(t *testing.T) {
	require.True(t, Covers(ScopesOf([]string{RoleEditor}, Definitions{}), ScopesOf([]string{RoleReader}, Definitions{})))
	require.True(t, Covers(ScopesOf([]string{RoleAdmin}, Definitions{}), ScopesOf([]string{RoleEditor}, Definitions{})))
	require.False(t, Covers(ScopesOf([]string{RoleReader}, Definitions{}), []string{"elements:write"}))
	require.False(t, Covers(ScopesOf([]string{RoleEditor}, Definitions{}), []string{"users:read"}))
}

func TestFamily_hasScopesThatServicesCanUse(t *testing.T) {
	_, byService := usable(t)
	words := map[string]bool{}
	for _, c := range contracts(t) {
		words[c.Word] = true
	}
	for _, member := range Family() {
		require.True(t, words[member.Name], member.Name)
		for _, scope := range member.Scopes {
			require.True(t, byService[scope], "%s of %s", scope, member.Name)
		}
		require.True(t, slices.IsSorted(member.Scopes), "they are compared as text with what is stored")
	}
	require.True(t, byService[RotateOwn])
}

func TestRoles_areThoseOfTheContract(t *testing.T) {
	c, err := contract.Load("kms")
	require.NoError(t, err)
	for _, op := range c.Operations {
		for _, role := range slices.Concat(op.Policy.Roles.AnyOf, op.Policy.Roles.AllOf) {
			require.Contains(t, roleScopes, role, op.ID)
		}
	}
}

func TestResource_isAWordOrItsAbsoluteURI(t *testing.T) {
	catalogue, err := NewCatalogue("https://issuer", contracts(t))
	require.NoError(t, err)
	for resource, want := range map[string]string{
		"kms": "kms", "sequence": "sequence", "https://issuer/search/v1": "search",
		"": "", "KMS": "", "https://issuer": "", "https://issuer/": "", "https://issuer/search/v1/": "", "https://other/search/v1": "", "/search/v1": "", "nowhere": "",
	} {
		word, ok := catalogue.Resource(resource)
		require.Equal(t, want, word, resource)
		require.Equal(t, want != "", ok, resource)
	}
	require.Equal(t, []string{"kms", "sequence"}, catalogue.Audience([]string{"elements:read", "users:read", "elements:write", "no:such"}))
	require.Equal(t, []string{"elements:read"}, catalogue.Within("sequence", []string{"users:read", "elements:read"}))
}

func TestCatalogue_refusesAScopeOfTwoServices(t *testing.T) {
	_, err := NewCatalogue("x", []*contract.Contract{
		{Word: "a", Scopes: map[string]string{"s:r": ""}}, {Word: "b", Scopes: map[string]string{"s:r": ""}},
	})
	require.ErrorContains(t, err, "s:r")
}
