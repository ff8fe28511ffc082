package handlers

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/store"
)

// response is the result of an operation that creates something.
type response struct {
	body any
	etag string // "" where the resource has none
}

// storedResponse is the answer of a creation, either new or stored by an earlier request. It is the 201 of every such operation.
type storedResponse idempotency.Answer

// createRequest describes a request that creates something.
type createRequest struct {
	operation string
	key       *string // the Idempotency-Key, if one was sent
	secret    bool    // the answer holds a secret
	// may checks that the caller may do this now. It runs before a stored answer, which may hold a secret, is returned.
	may func(ctx context.Context, tx *store.Tx) error
}

// create runs do in one transaction, once per Idempotency-Key.
func (h api) create(ctx context.Context, r createRequest, do func(ctx context.Context, tx *store.Tx) (response, error)) (storedResponse, error) {
	run := func(ctx context.Context, tx *store.Tx) (int, map[string]string, []byte, error) {
		answer, err := do(ctx, tx)
		if err != nil {
			return 0, nil, nil, err
		}
		body, err := json.Marshal(answer.body)
		header := map[string]string{}
		if answer.etag != "" {
			header["ETag"] = answer.etag
		}
		return http.StatusCreated, header, body, err
	}
	var out idempotency.Answer
	key := httpserver.KeyOf(ctx, caller(ctx).Subject, r.operation, r.key)
	err := h.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := r.may(ctx, tx); err != nil {
			return err
		}
		if key == nil {
			out.Status, out.Header, out.Body, err = run(ctx, tx)
			return err
		}
		out, _, err = h.Answers.Do(ctx, tx, *key, r.secret, run)
		return err
	})
	return storedResponse(out), err
}

func (s storedResponse) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	for name, value := range s.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(s.Status)
	_, err := w.Write(s.Body)
	return err
}

// VisitCreateUserResponse implements the generated answer of createUser.
func (s storedResponse) VisitCreateUserResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitRegisterServiceResponse implements the generated answer of registerService.
func (s storedResponse) VisitRegisterServiceResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitCreateEnrolmentTokenResponse implements the generated answer of createEnrolmentToken.
func (s storedResponse) VisitCreateEnrolmentTokenResponse(w http.ResponseWriter) error {
	return s.write(w)
}

// VisitCreateAPIKeyResponse implements the generated answer of createApiKey.
func (s storedResponse) VisitCreateAPIKeyResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitRotateAPIKeyResponse implements the generated answer of rotateApiKey.
func (s storedResponse) VisitRotateAPIKeyResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitRotateCurrentAPIKeyResponse implements the generated answer of rotateCurrentApiKey.
func (s storedResponse) VisitRotateCurrentAPIKeyResponse(w http.ResponseWriter) error {
	return s.write(w)
}

// VisitCreateInvitationResponse implements the generated answer of createInvitation.
func (s storedResponse) VisitCreateInvitationResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitCreatePasswordResetResponse implements the generated answer of createPasswordReset.
func (s storedResponse) VisitCreatePasswordResetResponse(w http.ResponseWriter) error {
	return s.write(w)
}

// VisitRegisterClientResponse implements the generated answer of registerClient.
func (s storedResponse) VisitRegisterClientResponse(w http.ResponseWriter) error { return s.write(w) }

// VisitRotateClientSecretResponse implements the generated answer of rotateClientSecret.
func (s storedResponse) VisitRotateClientSecretResponse(w http.ResponseWriter) error {
	return s.write(w)
}

// VisitMailPasswordResetResponse implements the generated answer of mailPasswordReset.
func (s storedResponse) VisitMailPasswordResetResponse(w http.ResponseWriter) error {
	return s.write(w)
}

// VisitMailInvitationResponse implements the generated answer of mailInvitation.
func (s storedResponse) VisitMailInvitationResponse(w http.ResponseWriter) error { return s.write(w) }
