package handlers

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/generated/kmsapi"
)

// verdicts are answers with and without each property, and with texts that JSON escapes.
func verdicts() []kmsapi.APIKeyVerdict {
	text, scopes, none := `a"\<é`+"\n\u2028\x7f", []string{"elements:read", "elements:write"}, []string{}
	kind, environment := kmsapi.APIKeyVerdictOwnerKind("user"), kmsapi.APIKeyVerdictEnvironment("live")
	at := time.Date(2026, 11, 29, 5, 54, 29, 961089000, time.UTC)
	there := kmsapi.APIKeyVerdict{
		Valid: true, Code: "VALID", KeyID: &text, OwnerID: &text, OwnerKind: &kind, Environment: &environment, Scopes: &scopes, ExpiresAt: &at,
		Tenant: &text, Metadata: &kmsapi.KeyMetadata{"team": text}, RateLimit: &kmsapi.KeyRateState{Limit: 3, Remaining: 2, ResetAt: at},
	}
	out := []kmsapi.APIKeyVerdict{there, {}, {Code: "NOT_FOUND"}, {Code: "VALID", Scopes: &none}, {Code: "VALID", Scopes: new([]string)}}
	for i := range reflect.TypeFor[kmsapi.APIKeyVerdict]().NumField() { // each alone, and all but one
		alone, without := kmsapi.APIKeyVerdict{Code: "VALID"}, there
		reflect.ValueOf(&alone).Elem().Field(i).Set(reflect.ValueOf(there).Field(i))
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		plain := without
		plain.Tenant, plain.Metadata, plain.RateLimit = nil, nil, nil
		out = append(out, alone, without, plain)
	}
	return out
}

func TestVerdictAnswer_writesWhatTheGeneratedAnswerWrites(t *testing.T) {
	for _, v := range verdicts() {
		var want bytes.Buffer
		require.NoError(t, json.NewEncoder(&want).Encode(v))
		w := httptest.NewRecorder()
		require.NoError(t, (*verdictAnswer)(&v).VisitVerifyAPIKeyResponse(w))
		require.Equal(t, want.String(), w.Body.String())
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
}

func TestVerdictAnswer_tellsATimeThatCantBeWritten(t *testing.T) {
	at := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	w := httptest.NewRecorder()
	require.Error(t, (&verdictAnswer{Code: "VALID", ExpiresAt: &at}).VisitVerifyAPIKeyResponse(w))
	require.Empty(t, w.Body.String())
}
