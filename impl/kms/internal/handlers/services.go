package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
)

// RegisterService implements registerService.
func (h api) RegisterService(ctx context.Context, r kmsapi.RegisterServiceRequestObject) (kmsapi.RegisterServiceResponseObject, error) {
	request := createRequest{operation: "registerService", key: r.Params.IdempotencyKey, secret: true, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		s, enrolment, err := h.Services.Register(ctx, tx, caller(ctx), service.Draft{
			Name: r.Body.Name, Scopes: r.Body.Scopes, Declared: words(r.Body.DeclaredScopes), Tenant: text(r.Body.Tenant),
		})
		return response{kmsapi.ServiceRegistration{Service: serviceBody(s), Enrolment: enrolmentBody(enrolment)}, etag.Of(s.Version)}, err
	}))
}

// ListServices implements listServices.
func (h api) ListServices(ctx context.Context, r kmsapi.ListServicesRequestObject) (kmsapi.ListServicesResponseObject, error) {
	services, next, err := h.Services.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListServices200JSONResponse{Items: bodies(services, serviceBody), NextCursor: present(next)}, nil
}

// GetService implements getService.
func (h api) GetService(ctx context.Context, r kmsapi.GetServiceRequestObject) (kmsapi.GetServiceResponseObject, error) {
	s, err := h.Services.Get(ctx, r.ServiceID)
	if err != nil {
		return nil, err
	}
	body := serviceBody(s)
	return kmsapi.GetService200JSONResponse{Body: body, Headers: kmsapi.GetService200ResponseHeaders{ETag: etag.OfState(s.Version, stateOf(body))}}, nil
}

// UpdateService implements updateService.
func (h api) UpdateService(ctx context.Context, r kmsapi.UpdateServiceRequestObject) (kmsapi.UpdateServiceResponseObject, error) {
	change := service.Change{Scopes: r.Body.Scopes, Declared: r.Body.DeclaredScopes}
	if r.Body.Status != nil {
		status := string(*r.Body.Status)
		change.Status = &status
	}
	s, err := h.Services.Update(ctx, caller(ctx), r.ServiceID, etag.ParseMatch(r.Params.IfMatch), change)
	if err != nil {
		return nil, err
	}
	h.TokenFiles.Changed(ctx)
	return kmsapi.UpdateService200JSONResponse{Body: serviceBody(s), Headers: kmsapi.UpdateService200ResponseHeaders{ETag: etag.Of(s.Version)}}, nil
}

// DeleteService implements deleteService.
func (h api) DeleteService(ctx context.Context, r kmsapi.DeleteServiceRequestObject) (kmsapi.DeleteServiceResponseObject, error) {
	if err := h.Services.Delete(ctx, caller(ctx), r.ServiceID); err != nil {
		return nil, err
	}
	return kmsapi.DeleteService204Response{}, nil
}

// words returns nil for an absent list.
func words(p *[]string) []string {
	if p == nil {
		return nil
	}
	return *p
}

// CreateEnrolmentToken implements createEnrolmentToken.
func (h api) CreateEnrolmentToken(ctx context.Context, r kmsapi.CreateEnrolmentTokenRequestObject) (kmsapi.CreateEnrolmentTokenResponseObject, error) {
	request := createRequest{operation: "createEnrolmentToken", key: r.Params.IdempotencyKey, secret: true, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		enrolment, err := h.Services.NewEnrolment(ctx, tx, caller(ctx), r.ServiceID)
		return response{body: enrolmentBody(enrolment)}, err
	}))
}

// EnrolService implements enrolService.
func (h api) EnrolService(ctx context.Context, r kmsapi.EnrolServiceRequestObject) (kmsapi.EnrolServiceResponseObject, error) {
	key, text, err := h.Services.Enrol(ctx, r.Body.Token)
	if err != nil {
		return nil, err
	}
	h.TokenFiles.Used(ctx, key.Owner.ID)
	return kmsapi.EnrolService201JSONResponse{APIKey: keyBody(key, h.Clock.Now()), Key: text}, nil
}
