package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/fountainai/fountain/openapi"

	"github.com/fountainai/fountain/generated/commonapi"
	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/internal/problem"
)

// GetKmsHealth implements getKmsHealth.
func (h api) GetKmsHealth(context.Context, kmsapi.GetKmsHealthRequestObject) (kmsapi.GetKmsHealthResponseObject, error) {
	return kmsapi.GetKmsHealth200JSONResponse{Status: commonapi.HealthStatusOk, Service: Word, Version: h.Version}, nil
}

// GetKmsReadiness implements getKmsReadiness: the service is ready when it has started and its database can be read and written.
func (h api) GetKmsReadiness(ctx context.Context, _ kmsapi.GetKmsReadinessRequestObject) (kmsapi.GetKmsReadinessResponseObject, error) {
	if err := h.Ready(ctx); err != nil {
		return nil, problem.New(problem.NotReady, "The service is not ready: "+err.Error()+".").WithRetryAfter(time.Second)
	}
	if h.Domain == nil {
		return nil, problem.New(problem.NotReady, "The service is not ready: it is starting.").WithRetryAfter(time.Second)
	}
	return kmsapi.GetKmsReadiness200JSONResponse{Status: commonapi.ReadinessStatusReady, Service: Word, ContractDigest: new(openapi.Digest(Word))}, nil
}

// GetJwks implements getJwks.
func (h api) GetJwks(_ context.Context, _ kmsapi.GetJwksRequestObject) (kmsapi.GetJwksResponseObject, error) {
	set, sum := kmsapi.JwkSet{Keys: []kmsapi.Jwk{}}, sha256.New()
	for _, k := range h.Ring.Published() {
		set.Keys = append(set.Keys, jwkBody(k))
		sum.Write([]byte(k.KID + "\n"))
	}
	cache, tag := fmt.Sprintf("public, max-age=%d", h.SigningKeys.SetAge/time.Second), `"`+hex.EncodeToString(sum.Sum(nil)[:16])+`"`
	return kmsapi.GetJwks200JSONResponse{Body: set, Headers: kmsapi.GetJwks200ResponseHeaders{ETag: tag, CacheControl: &cache}}, nil
}
