package handlers

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
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
	page, err := h.Feed.After(ctx, text(r.Params.Feed), after, limit, waitFrom(r.Params.Prefer))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListRevocations200JSONResponse{Feed: page.Feed, Position: page.Position, Items: bodies(page.Entries, revocationBody)}, nil
}

// waitFrom reads how long the caller prefers to wait (RFC 7240, section 4.3).
func waitFrom(prefer *string) time.Duration {
	if prefer == nil {
		return 0
	}
	seconds, err := strconv.Atoi(strings.TrimPrefix(*prefer, "wait="))
	if err != nil { // the contract admits numbers alone
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func revocationBody(e ended.Entry) kmsapi.Revocation {
	body := kmsapi.Revocation{Position: e.Position, Kind: e.Kind, ID: e.ID, At: e.At, Until: e.Until}
	if e.Epoch != 0 {
		body.Epoch = &e.Epoch
	}
	return body
}
