package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/internal/problem"
)

// PutContract implements putContract.
func (h api) PutContract(context.Context, kmsapi.PutContractRequestObject) (kmsapi.PutContractResponseObject, error) {
	return nil, problem.New(problem.Unavailable, "Contracts can't be kept yet.")
}

// ListContracts implements listContracts.
func (h api) ListContracts(context.Context, kmsapi.ListContractsRequestObject) (kmsapi.ListContractsResponseObject, error) {
	return nil, problem.New(problem.Unavailable, "Contracts can't be kept yet.")
}

// GetServiceContract implements getServiceContract.
func (h api) GetServiceContract(context.Context, kmsapi.GetServiceContractRequestObject) (kmsapi.GetServiceContractResponseObject, error) {
	return nil, problem.New(problem.Unavailable, "Contracts can't be kept yet.")
}

// RetireContract implements retireContract.
func (h api) RetireContract(context.Context, kmsapi.RetireContractRequestObject) (kmsapi.RetireContractResponseObject, error) {
	return nil, problem.New(problem.Unavailable, "Contracts can't be kept yet.")
}
