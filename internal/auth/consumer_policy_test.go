package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/fountainai/fountain/clients/fountain/verify"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// policyOf reads a contract as a service outside the family does.
func policyOf(t *testing.T, c *contract.Contract) verify.Policy {
	t.Helper()
	var document map[string]any
	require.NoError(t, yaml.Unmarshal(c.Document, &document))
	text, err := json.Marshal(document)
	require.NoError(t, err)
	p, err := verify.ReadPolicy(text)
	require.NoError(t, err, c.Word)
	return p
}

// callers returns the claims of callers that differ in everything that contracts require.
func callers(scopes []string) []map[string]any {
	var all []map[string]any
	for _, scope := range append([]string{""}, scopes...) {
		c := with(with(forOne(), "scope", scope), "roles", nil)
		service := with(with(with(c, "principal", "service"), "sub", "svc_1"), "acr", nil)
		admin := with(c, "roles", []string{"admin"})
		all = append(all, c, service, admin, with(admin, "acr", "aal2"), with(with(admin, "acr", "phr"), "auth_time", noon.Add(-6*time.Minute).Unix()),
			with(with(admin, "acr", "aal2"), "auth_time", nil), with(with(c, "roles", []string{"editor"}), "acr", "aal2"))
	}
	return all
}

// Every operation of every contract, including the example's, admits and refuses the same callers in the family's verifier and in that for services
// outside the family.
func TestConsumer_readsContractsAsTheFamilyDoes(t *testing.T) {
	all, err := contract.LoadAll()
	require.NoError(t, err)
	notes, err := contract.LoadFS(os.DirFS(filepath.Join("..", "..", "examples", "notes")), "notes")
	require.NoError(t, err)
	w := newWorld(t)
	judged := map[problem.Code]int{}
	for _, c := range append(all, notes) {
		p, v := policyOf(t, c), w.consumer(t, c.Word)
		require.Len(t, p, len(c.Operations), c.Word)
		var scopes []string
		for scope := range c.Scopes {
			scopes = append(scopes, scope)
		}
		var tokens []string
		for _, claims := range callers(scopes) {
			tokens = append(tokens, w.sign(t, header(), with(claims, "aud", c.Word)))
		}
		for _, op := range c.Operations {
			rule, there := p[op.Method+" "+op.Path]
			require.True(t, there, op.ID)
			require.Equal(t, op.Public, rule.Public, op.ID)
			for _, token := range tokens {
				ours, err := w.verifier.Verify(t.Context(), token, c.Word)
				require.NoError(t, err)
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				_, theirs := v.Admit(r, rule)
				want := problem.Code("")
				if err := Authorize(ours, op, noon); err != nil && !op.Public {
					want = problem.From(err).Code
				}
				got := problem.Code("")
				if theirs != nil {
					got = problem.Code(theirs.(*verify.Problem).Code)
				}
				require.Equal(t, want, got, "%s for %+v", op.ID, ours)
				judged[want]++
			}
		}
	}
	for _, code := range []problem.Code{"", problem.InsufficientScope, problem.PrincipalNotAllowed, problem.InsufficientRole, problem.InsufficientUserAuthentication} {
		require.Positive(t, judged[code], code)
	}
}
