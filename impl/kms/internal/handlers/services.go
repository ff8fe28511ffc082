package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/internal/store"
)

// RegisterService implements registerService.
func (h *Handlers) RegisterService(ctx context.Context, r kmsapi.RegisterServiceRequestObject) (kmsapi.RegisterServiceResponseObject, error) {
	core := h.core.Load()
	request := creation{operation: "registerService", key: r.Params.IdempotencyKey, body: r.Body, secret: true}
	return answered(core.create(ctx, request, func(ctx context.Context, tx *store.Tx) (made, error) {
		s, enrolment, err := core.Services.Register(ctx, tx, r.Body.Name, r.Body.Scopes)
		return made{kmsapi.ServiceRegistration{Service: serviceBody(s), Enrolment: enrolmentBody(enrolment)}, etag(s.Version)}, err
	}))
}

// ListServices implements listServices.
func (h *Handlers) ListServices(ctx context.Context, r kmsapi.ListServicesRequestObject) (kmsapi.ListServicesResponseObject, error) {
	services, next, err := h.core.Load().Services.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListServices200JSONResponse{Items: bodies(services, serviceBody), NextCursor: present(next)}, nil
}

// GetService implements getService.
func (h *Handlers) GetService(ctx context.Context, r kmsapi.GetServiceRequestObject) (kmsapi.GetServiceResponseObject, error) {
	s, err := h.core.Load().Services.Get(ctx, r.ServiceID)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetService200JSONResponse{Body: serviceBody(s), Headers: kmsapi.GetService200ResponseHeaders{ETag: etag(s.Version)}}, nil
}

// UpdateService implements updateService.
func (h *Handlers) UpdateService(ctx context.Context, r kmsapi.UpdateServiceRequestObject) (kmsapi.UpdateServiceResponseObject, error) {
	core := h.core.Load()
	s, err := core.Services.SetStatus(ctx, r.ServiceID, version(r.Params.IfMatch), string(r.Body.Status))
	if err != nil {
		return nil, err
	}
	core.TokenFiles.Changed(ctx)
	return kmsapi.UpdateService200JSONResponse{Body: serviceBody(s), Headers: kmsapi.UpdateService200ResponseHeaders{ETag: etag(s.Version)}}, nil
}

// CreateEnrolmentToken implements createEnrolmentToken.
func (h *Handlers) CreateEnrolmentToken(ctx context.Context, r kmsapi.CreateEnrolmentTokenRequestObject) (kmsapi.CreateEnrolmentTokenResponseObject, error) {
	core := h.core.Load()
	request := creation{operation: "createEnrolmentToken", key: r.Params.IdempotencyKey, secret: true}
	return answered(core.create(ctx, request, func(ctx context.Context, tx *store.Tx) (made, error) {
		enrolment, err := core.Services.NewEnrolment(ctx, tx, r.ServiceID)
		return made{body: enrolmentBody(enrolment)}, err
	}))
}

// EnrolService implements enrolService.
func (h *Handlers) EnrolService(ctx context.Context, r kmsapi.EnrolServiceRequestObject) (kmsapi.EnrolServiceResponseObject, error) {
	core := h.core.Load()
	key, text, err := core.Services.Enrol(ctx, r.Body.Token)
	if err != nil {
		return nil, err
	}
	core.TokenFiles.Used(ctx, key.OwnerID)
	return kmsapi.EnrolService201JSONResponse{APIKey: keyBody(key, h.Clock.Now()), Key: text}, nil
}
