package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// RegisterService registers a service. The response holds its single-use enrolment token. It requires a second factor.
func (k *KMS) RegisterService(ctx context.Context, body kms.ServiceCreate, opts ...CallOption) (*kms.ServiceRegistration, error) {
	return send[kms.ServiceRegistration](ctx, k.client, opRegisterService, opts, func(server string) (*http.Request, error) {
		return kms.NewRegisterServiceRequest(server, nil, body)
	})
}

// ListServices reads one page of services by name; Services reads all. Users need a second factor.
func (k *KMS) ListServices(ctx context.Context, params *kms.ListServicesParams, opts ...CallOption) (*kms.ServiceList, error) {
	return send[kms.ServiceList](ctx, k.client, opListServices, opts, func(server string) (*http.Request, error) {
		return kms.NewListServicesRequest(server, params)
	})
}

// Services yields the services by name.
func (k *KMS) Services(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Service, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Service, *string, error) {
		page, err := k.ListServices(ctx, &kms.ListServicesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetService reads a service. Users need a second factor.
func (k *KMS) GetService(ctx context.Context, serviceID string, opts ...CallOption) (*kms.Service, error) {
	return send[kms.Service](ctx, k.client, opGetService, opts, func(server string) (*http.Request, error) {
		return kms.NewGetServiceRequest(server, serviceID, nil)
	})
}

// UpdateService changes a service if tag names its current version: its status, its permissions and what it declares.
// It requires a second factor. Error: ErrStale.
func (k *KMS) UpdateService(ctx context.Context, serviceID string, tag ETag, body kms.ServiceUpdate, opts ...CallOption) (*kms.Service, error) {
	return send[kms.Service](ctx, k.client, opUpdateService, opts, func(server string) (*http.Request, error) {
		return kms.NewUpdateServiceRequest(server, serviceID, &kms.UpdateServiceParams{IfMatch: string(tag)}, body)
	})
}

// DeleteService permanently ends a service's keys and tokens and withdraws the scopes that it declares. It requires a
// second factor.
func (k *KMS) DeleteService(ctx context.Context, serviceID string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteService, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteServiceRequest(server, serviceID)
	})
}

// CreateEnrolmentToken creates a new enrolment token for a service. Older unused tokens stop working. It requires a
// second factor.
func (k *KMS) CreateEnrolmentToken(ctx context.Context, serviceID string, opts ...CallOption) (*kms.Enrolment, error) {
	return send[kms.Enrolment](ctx, k.client, opCreateEnrolmentToken, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateEnrolmentTokenRequest(server, serviceID, nil)
	})
}

// EnrolService exchanges an enrolment token for the service's first API key. The token works once.
func (k *KMS) EnrolService(ctx context.Context, body kms.Enrol, opts ...CallOption) (*kms.APIKeyWithSecret, error) {
	return send[kms.APIKeyWithSecret](ctx, k.client, opEnrolService, opts, func(server string) (*http.Request, error) {
		return kms.NewEnrolServiceRequest(server, body)
	})
}
