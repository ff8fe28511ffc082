package handlers

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/generated/kmsapi"
)

// secretAnswer is the 200 of getSecret. It writes the same JSON as the generated type, but by appending instead of reflection. Its buffer holds a secret, and is
// not reused for other answers.
type secretAnswer kmsapi.GetSecret200JSONResponse

// VisitGetSecretResponse implements kmsapi.GetSecretResponseObject.
func (a *secretAnswer) VisitGetSecretResponse(w http.ResponseWriter) error {
	const names = 160 // room for names and times
	s := &a.Body
	out, err := appendTime(append(make([]byte, 0, len(s.Name)+len(s.Value)+names), `{"createdAt":`...), s.CreatedAt)
	if err == nil {
		out = appendText(append(out, `,"name":`...), s.Name)
		out, err = appendTime(append(out, `,"updatedAt":`...), s.UpdatedAt)
	}
	if err != nil {
		return fmt.Errorf("encode the secret: %w", err)
	}
	out = appendText(append(out, `,"value":`...), s.Value)
	out = append(strconv.AppendInt(append(out, `,"version":`...), s.Version, 10), "}\n"...)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("ETag", a.Headers.ETag)
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(out)
	return err
}
