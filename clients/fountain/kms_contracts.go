package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// PutContract adopts a registered service by its OpenAPI document, or replaces the document. WithIfNoneMatch adopts
// only a service that has no contract yet. WithIfMatch replaces only that version. If the condition fails, the error is
// ErrStale. Errors: CodeInvalidContract if the document cannot be adopted; CodeContractBreaking, with the names of the
// changes in Error.Errors, if it breaks clients of the current document or requires less of callers. It requires a
// second factor.
func (k *KMS) PutContract(ctx context.Context, name string, body kms.ContractPut, opts ...CallOption) (*kms.Contract, error) {
	return send[kms.Contract](ctx, k.client, opPutContract, opts, func(server string) (*http.Request, error) {
		return kms.NewPutContractRequest(server, name, nil, body)
	})
}

// ListContracts reads one page of the contracts of adopted services by name, without documents and warnings; Contracts
// reads all. Users need a second factor.
func (k *KMS) ListContracts(ctx context.Context, params *kms.ListContractsParams, opts ...CallOption) (*kms.ContractList, error) {
	return send[kms.ContractList](ctx, k.client, opListContracts, opts, func(server string) (*http.Request, error) {
		return kms.NewListContractsRequest(server, params)
	})
}

// Contracts yields the contracts of adopted services by name, without documents and warnings.
func (k *KMS) Contracts(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Contract, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Contract, *string, error) {
		page, err := k.ListContracts(ctx, &kms.ListContractsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetServiceContract reads the contract of an adopted service, with its documents. Users need a second factor.
func (k *KMS) GetServiceContract(ctx context.Context, name string, opts ...CallOption) (*kms.ContractWithFiles, error) {
	return send[kms.ContractWithFiles](ctx, k.client, opGetServiceContract, opts, func(server string) (*http.Request, error) {
		return kms.NewGetServiceContractRequest(server, name, nil)
	})
}

// RetireContract ends the adoption of a service. The service stays registered. It requires a second factor.
func (k *KMS) RetireContract(ctx context.Context, name string, opts ...CallOption) error {
	return exec(ctx, k.client, opRetireContract, opts, func(server string) (*http.Request, error) {
		return kms.NewRetireContractRequest(server, name)
	})
}
