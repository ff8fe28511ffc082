package handlers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
)

// verdictAnswer is the 200 of verifyApiKey. It writes the same JSON as the generated type, but by appending to a pooled buffer instead of reflection, since
// services request this answer for each of their own requests.
type verdictAnswer kmsapi.APIKeyVerdict

var verdictTexts = sync.Pool{New: func() any { return new([]byte) }}

// VisitVerifyAPIKeyResponse implements kmsapi.VerifyAPIKeyResponseObject.
func (v *verdictAnswer) VisitVerifyAPIKeyResponse(w http.ResponseWriter) error {
	text := verdictTexts.Get().(*[]byte)
	defer verdictTexts.Put(text)
	var err error
	if *text, err = v.append((*text)[:0]); err != nil {
		return fmt.Errorf("encode the verdict: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(*text)
	return err
}

// append appends the verdict as encoding/json writes it, with the fields in the order of the generated type.
func (v *verdictAnswer) append(out []byte) (_ []byte, err error) {
	if v.Metadata != nil || v.RateLimit != nil || v.Tenant != nil || v.Code == "" {
		text, err := json.Marshal((*kmsapi.APIKeyVerdict)(v))
		return append(append(out, text...), '\n'), err
	}
	out = appendText(append(out, `{"code":`...), string(v.Code))
	if v.Environment != nil {
		out = appendText(append(out, `,"environment":`...), string(*v.Environment))
	}
	if v.ExpiresAt != nil {
		if out, err = appendTime(append(out, `,"expiresAt":`...), *v.ExpiresAt); err != nil {
			return out, err
		}
	}
	if v.KeyID != nil {
		out = appendText(append(out, `,"keyId":`...), *v.KeyID)
	}
	if v.OwnerID != nil {
		out = appendText(append(out, `,"ownerId":`...), *v.OwnerID)
	}
	if v.OwnerKind != nil {
		out = appendText(append(out, `,"ownerKind":`...), string(*v.OwnerKind))
	}
	if v.Scopes != nil {
		out = appendTexts(append(out, `,"scopes":`...), *v.Scopes)
	}
	if v.Valid {
		return append(out, `,"valid":true}`+"\n"...), nil
	}
	return append(out, `,"valid":false}`+"\n"...), nil
}

func appendTexts(out []byte, texts []string) []byte {
	if texts == nil {
		return append(out, "null"...)
	}
	out = append(out, '[')
	for i, text := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(out, text)
	}
	return append(out, ']')
}

// appendText appends a JSON string. IDs, scopes and enum values need no escaping; any text that does is encoded by encoding/json.
func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // a string can always be encoded
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}

func appendTime(out []byte, at time.Time) ([]byte, error) {
	if year := at.Year(); year < 0 || year > 9999 {
		return out, fmt.Errorf("the year %d can't be written in four digits (RFC 3339)", year)
	}
	return append(at.AppendFormat(append(slices.Grow(out, len(time.RFC3339Nano)+2), '"'), time.RFC3339Nano), '"'), nil
}
