package recorder

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	health  = `{"status":"ok","service":"kms","version":"1"}`
	problem = `{"type":"https://x.test/p.md","title":"t","status":404,"code":"not_found","requestId":"r"}`
)

// TestCheck_findsEveryKindOfDrift is the proof that the recorder can fail.
func TestCheck_findsEveryKindOfDrift(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		status             int
		contentType, body  string
		fits               bool
	}{
		{"as declared", "GET", "/kms/v1/health", 200, "application/json", health, true},
		{"HEAD", "HEAD", "/kms/v1/health", 200, "application/json", "", true},
		{"status the gate may answer", "GET", "/kms/v1/health", 404, "application/problem+json", problem, true},
		{"undeclared success", "GET", "/kms/v1/health", 202, "application/json", health, false},
		{"undeclared refusal", "GET", "/kms/v1/health", 409, "application/problem+json", problem, false},
		{"missing property", "GET", "/kms/v1/health", 200, "application/json", `{"status":"ok","service":"kms"}`, false},
		{"wrong enum", "GET", "/kms/v1/health", 200, "application/json", `{"status":"well","service":"kms","version":"1"}`, false},
		{"wrong media type", "GET", "/kms/v1/health", 200, "text/html", "<p>", false},
		{"refusal that is no problem", "GET", "/kms/v1/health", 404, "text/plain", "no", false},
		{"missing required header", "GET", "/kms/v1/.well-known/jwks.json", 200, "application/json", `{"keys":[]}`, false},
		{"unknown path refused", "GET", "/nowhere", 404, "application/problem+json", problem, true},
		{"unknown path served", "GET", "/nowhere", 200, "application/json", "{}", false},
		{"unknown path, no problem", "GET", "/nowhere", 404, "text/plain", "404", false},
	} {
		req, err := http.NewRequest(c.method, "http://127.0.0.1:1"+c.path, nil)
		require.NoError(t, err)
		err = Check(req, c.status, http.Header{"Content-Type": {c.contentType}}, []byte(c.body))
		if c.fits {
			require.NoError(t, err, c.name)
		} else {
			require.Error(t, err, c.name)
		}
	}
}
