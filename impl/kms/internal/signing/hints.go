package signing

import (
	"context"
	"crypto"
	"encoding/base64"

	"github.com/fountainai/fountain/internal/auth"
)

// hints is the key source for ID tokens that clients send back.
type hints struct{ ring *Ring }

// Hints returns the key source for ID tokens that clients send back as hints. It reads keys from the database, so keys that have gone still verify while
// they are listed. A revoked key never does.
func (r *Ring) Hints() auth.KeySource { return hints{r} }

// Key implements auth.KeySource.
func (h hints) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(kid); err != nil || len(raw) != 32 {
		return "", nil, auth.ErrUnknownKey // not a thumbprint: no need to ask the database
	}
	k, found, err := h.ring.rows.SigningKey(ctx, h.ring.db.Read(ctx), kid)
	if err != nil {
		return "", nil, err
	}
	if !found || !k.RevokedAt.IsZero() {
		return "", nil, auth.ErrUnknownKey
	}
	public, err := k.public()
	return k.Alg, public, err
}
