package handlers

import (
	"context"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/httpserver"
	ended "github.com/fountainai/fountain/internal/revocation"
)

// ListRevocations implements listRevocations.
func (h api) ListRevocations(ctx context.Context, r kmsapi.ListRevocationsRequestObject) (kmsapi.ListRevocationsResponseObject, error) {
	limit, after := revocation.MaxPage, int64(0)
	if r.Params.Limit != nil {
		limit = int(*r.Params.Limit)
	}
	if r.Params.After != nil {
		after = *r.Params.After
	}
	page, err := h.Feed.After(ctx, text(r.Params.Feed), after, limit, httpserver.PreferredWait(r.Params.Prefer))
	if err != nil {
		return nil, err
	}
	items := bodies(page.Entries, revocationBody)
	for i, e := range page.Entries {
		if e.Kind != ended.Factors {
			continue
		}
		record, err := h.voidRecord(e)
		if err != nil {
			return nil, err
		}
		items[i].Record = &record
	}
	return kmsapi.ListRevocations200JSONResponse{Feed: page.Feed, Position: page.Position, Items: items}, nil
}

// recordLife is how long a record is valid; it is signed again for every answer.
const recordLife = 5 * time.Minute

func (h api) voidRecord(e ended.Entry) (string, error) {
	now := h.Clock.Now()
	return h.Ring.SignVoid(&auth.VoidClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: h.Mint.Issuer, Audience: jwt.ClaimStrings{auth.ProofIssuer}, Subject: e.ID,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(recordLife)),
		},
		Before: e.At.UnixMicro(),
	})
}

func revocationBody(e ended.Entry) kmsapi.Revocation {
	body := kmsapi.Revocation{Position: e.Position, Kind: e.Kind, ID: e.ID, At: e.At, Until: e.Until}
	if e.Epoch != 0 {
		body.Epoch = &e.Epoch
	}
	return body
}
