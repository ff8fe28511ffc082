package verify

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const schemes = `"components":{"securitySchemes":{"oauth":{"type":"oauth2"},"otp":{"type":"apiKey","in":"header","name":"X-OTP"},"key":{"type":"apiKey","in":"query","name":"k"}}}`

func TestReadPolicy_readsTheContract(t *testing.T) {
	p, err := ReadPolicy([]byte(`{"openapi":"3.0.3","servers":[{"url":"https://api.example/v1/"}],"security":[{"oauth":[]}],
		"x-fountain":{"principals":["user"],"timeout":"5s"},` + schemes + `,"paths":{
		"/health":{"get":{"security":[]}},
		"/notes":{"summary":"x","parameters":[],"get":{"security":[{"oauth":["notes:read"]}]},"post":{}},
		"/notes/{id}":{"x-fountain":{"roles":{"anyOf":["editor"]},"principals":["user","service"]},
			"delete":{"security":[{"oauth":["notes:delete"]},{"oauth":["notes:delete"],"otp":[]}],"x-fountain":{"stepUp":{"acr":"aal2","maxAge":300}}},
			"put":{"security":[{"oauth":["b","a"]},{"oauth":["c"]}],"x-fountain":{"stepUp":{"acr":"aal2","maxAge":60,"dynamic":true}}}}}}`))
	require.NoError(t, err)
	both, editor := []string{"user", "service"}, []string{"editor"}
	require.Equal(t, Policy{
		"GET /v1/health":        {Public: true},
		"GET /v1/notes":         {Scopes: [][]string{{"notes:read"}}, Principals: []string{"user"}},
		"POST /v1/notes":        {Scopes: [][]string{nil}, Principals: []string{"user"}},
		"DELETE /v1/notes/{id}": {Scopes: [][]string{{"notes:delete"}}, Principals: both, AnyRole: editor, StepUp: &StepUp{ACR: "aal2", MaxAge: 5 * time.Minute}},
		"PUT /v1/notes/{id}":    {Scopes: [][]string{{"a", "b"}, {"c"}}, Principals: both, AnyRole: editor},
	}, p)
}

// An operation that it cannot read does not become public.
func TestReadPolicy_refusesWhatItCannotRead(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":           `openapi: 3.0.3`,
		"no operation":      `{"paths":{}}`,
		"no security":       `{"paths":{"/a":{"get":{}}}}`,
		"empty alternative": `{"paths":{"/a":{"get":{"security":[{}]}}}}`,
		"a code alone":      `{` + schemes + `,"paths":{"/a":{"get":{"security":[{"otp":[]}]}}}}`,
		"another scheme":    `{` + schemes + `,"paths":{"/a":{"get":{"security":[{"key":[]}]}}}}`,
		"unknown scheme":    `{"paths":{"/a":{"get":{"security":[{"oauth":[]}]}}}}`,
		"server variable":   `{"servers":[{"url":"https://a.example/{v}"}],` + schemes + `,"paths":{"/a":{"get":{"security":[{"oauth":[]}]}}}}`,
		"odd step-up":       `{` + schemes + `,"paths":{"/a":{"get":{"security":[{"oauth":[]}],"x-fountain":{"stepUp":{"acr":"aal7","maxAge":1}}}}}}`,
		"path no object":    `{"paths":{"/a":[]}}`,
	} {
		_, err := ReadPolicy([]byte(text))
		require.Error(t, err, name)
	}
}

func FuzzReadPolicy(f *testing.F) {
	f.Add([]byte(`{` + schemes + `,"security":[{"oauth":[]}],"paths":{"/a":{"get":{},"x-fountain":{"roles":{}}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ReadPolicy(text)
		if err != nil {
			return
		}
		for key, rule := range p {
			require.NoError(t, rule.check(), key)
		}
	})
}
