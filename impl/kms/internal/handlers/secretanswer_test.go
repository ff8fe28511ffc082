package handlers

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/generated/kmsapi"
)

func TestSecretAnswer_writesWhatTheGeneratedAnswerWrites(t *testing.T) {
	at := time.Date(2026, 11, 29, 5, 54, 29, 961089000, time.UTC)
	for _, value := range []string{"", "a value of letters", `a"\\<é>&` + "\n\u2028\x7f\x00", "not UTF-8 \xff"} {
		answer := kmsapi.GetSecret200JSONResponse{
			Body:    kmsapi.Secret{Name: "press.token", Version: 12, Value: value, CreatedAt: at, UpdatedAt: at.Add(time.Hour).Truncate(time.Second)},
			Headers: kmsapi.GetSecret200ResponseHeaders{ETag: `"12"`},
		}
		want, w := httptest.NewRecorder(), httptest.NewRecorder()
		require.NoError(t, answer.VisitGetSecretResponse(want))
		require.NoError(t, (&secretAnswer{GetSecret200JSONResponse: answer}).VisitGetSecretResponse(w))
		require.Equal(t, want.Body.String(), w.Body.String())
		require.Equal(t, want.Header(), w.Header())
		require.Equal(t, want.Code, w.Code)
	}
}

func TestSecretAnswer_tellsATimeThatCantBeWritten(t *testing.T) {
	for _, body := range []kmsapi.Secret{{CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, {UpdatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		w := httptest.NewRecorder()
		require.Error(t, (&secretAnswer{GetSecret200JSONResponse: kmsapi.GetSecret200JSONResponse{Body: body}}).VisitGetSecretResponse(w))
		require.Empty(t, w.Body.String())
	}
}
