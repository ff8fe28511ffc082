package servicetest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
)

func TestClient_failsWhatTheContractDoesNotSay(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { Send(w, 200, map[string]string{"status": "well"}) }))
	defer server.Close()
	faults := 0
	client := &http.Client{Transport: &checked{fail: func(string, ...any) { faults++ }, contract: Contract(t, "search")}}
	Call(t, client, "", "GET", server.URL+"/search/v1/health", "")
	require.Equal(t, 1, faults)
	Call(t, client, "", "GET", server.URL+"/nowhere", "")
	require.Equal(t, 1, faults, "no operation, no fault")
}

func TestKMS_signsWhatItsKeySetVerifies(t *testing.T) {
	kms := NewKMS(t, "search")
	keys := auth.NewJWKS(kms.JWKSURL(), http.DefaultClient, clock.System)
	verifier := auth.NewVerifier(auth.VerifierConfig{Revocations: auth.NoRevocations{}, Issuer: func() string { return Issuer }, Keys: keys, Clock: clock.System})
	claims := User("search", time.Now())
	p, err := verifier.Verify(t.Context(), kms.Token(t, claims), "search")
	require.NoError(t, err)
	require.Equal(t, claims.Subject, p.Subject)
	kms.Handle("GET /kms/v1/mine", func(w http.ResponseWriter, _ *http.Request) { Send(w, 200, "yours") })
	require.Equal(t, 401, Call(t, http.DefaultClient, "", "GET", kms.URL+"/kms/v1/mine", "").Status)
	require.Equal(t, 200, Call(t, http.DefaultClient, ServiceToken, "GET", kms.URL+"/kms/v1/mine", "").Status)
	kms.Down.Store(true)
	require.Equal(t, 503, Call(t, http.DefaultClient, ServiceToken, "GET", kms.URL+"/kms/v1/mine", "").Status)
}
