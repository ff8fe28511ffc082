package handlers

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/generated/kmsapi"
)

// secretAnswer is the 200 of getSecret. It writes the same as the generated one, by appending instead of by reflection. What it writes into holds a secret,
// and is kept for no other answer.
type secretAnswer struct {
	kmsapi.GetSecret200JSONResponse
	values [2]string // of headers
}

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
	a.values = [...]string{"application/json", a.Headers.ETag}
	header := w.Header()
	header["Content-Type"], header["Etag"] = a.values[:1:1], a.values[1:]
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(out)
	return err
}
