package fountain_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

func TestError_carriesTheWholeProblem(t *testing.T) {
	f := newFake(t)
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"type":"https://example.org/p","title":"Validation failed","status":422,"detail":"It does not fit.",
			"code":"validation_failed","requestId":"req_7","errors":[{"in":"body","pointer":"/data","keyword":"required","message":"is missing"}],"truncated":true,"later":1}`)
	})
	_, err := f.client(t).Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	var e *fountain.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, fountain.Error{
		Operation: "listElements", Status: 422, Code: fountain.CodeValidationFailed, Title: "Validation failed", Detail: "It does not fit.",
		Type: "https://example.org/p", RequestID: "req_7", Truncated: true, Header: e.Header,
		Errors: []fountain.FieldError{{In: "body", Pointer: "/data", Keyword: "required", Message: "is missing"}},
	}, *e)
	require.Equal(t, "listElements: 422 validation_failed It does not fit; body /data is missing [req_7]", err.Error())
	e.Errors[0].Pointer = ""
	require.Equal(t, "listElements: 422 validation_failed It does not fit; body is missing [req_7]", e.Error(), "the whole body has no pointer")
	require.ErrorIs(t, err, fountain.ErrInvalid)
	require.NotErrorIs(t, err, fountain.ErrNotFound)
	require.NotErrorIs(t, err, fountain.ErrUnexpectedResponse)
}

func TestAnswer_thatNoContractDeclaresIsATypedError(t *testing.T) {
	for name, send := range map[string]func(http.ResponseWriter){
		"undeclared success": func(w http.ResponseWriter) { sendElement(w, http.StatusAccepted) },
		"empty success":      func(w http.ResponseWriter) { w.WriteHeader(200) },
		"success of a proxy": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<p>hi")
		},
		"success not JSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{")
		},
		"error of a proxy": func(w http.ResponseWriter) { http.Error(w, "no such host", 404) },
		"problem not JSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(404)
		},
		"problem without one": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(404)
			_, _ = io.WriteString(w, "{}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) { send(w) })
			got, err := f.client(t).Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
			require.Nil(t, got)
			require.ErrorIs(t, err, fountain.ErrUnexpectedResponse)
			require.NotErrorIs(t, err, fountain.ErrNotFound, "a proxy's 404 does not say that the element is not there")
			var e *fountain.Error
			require.ErrorAs(t, err, &e)
			require.NotZero(t, e.Status)
		})
	}
}
