package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

// PutContract implements putContract.
func (h api) PutContract(ctx context.Context, r kmsapi.PutContractRequestObject) (kmsapi.PutContractResponseObject, error) {
	over := adoption.Over{Absent: r.Params.IfNoneMatch != nil}
	if r.Params.IfMatch != nil {
		if over.Absent {
			return nil, problem.New(problem.InvalidRequest, "If-Match and If-None-Match exclude each other.")
		}
		match := etag.ParseMatch(*r.Params.IfMatch)
		over.Match = &match
	}
	after, made, err := h.Adoptions.Put(ctx, caller(ctx), draft(r.ContractName, r.Body), over)
	if err != nil {
		return nil, err
	}
	body, tag := contractBody(after, true), etag.Of(after.Version)
	if made {
		return kmsapi.PutContract201JSONResponse{Body: body, Headers: kmsapi.PutContract201ResponseHeaders{ETag: tag}}, nil
	}
	return kmsapi.PutContract200JSONResponse{Body: body, Headers: kmsapi.PutContract200ResponseHeaders{ETag: tag}}, nil
}

func draft(name string, b *kmsapi.PutContractJSONRequestBody) adoption.Draft {
	return adoption.Draft{
		Document: adoption.Document{Service: name, File: b.File, Public: words(b.Public), Files: bodies(b.Files, func(f kmsapi.ContractFile) adoption.File {
			return adoption.File{Name: f.Name, Text: f.Text}
		})},
		Upstreams: words(b.Upstreams), ActiveContent: b.ActiveContent != nil && *b.ActiveContent, Accept: words(b.Accept),
		Shadow: b.Shadow != nil && *b.Shadow,
	}
}

// ListContracts implements listContracts.
func (h api) ListContracts(ctx context.Context, r kmsapi.ListContractsRequestObject) (kmsapi.ListContractsResponseObject, error) {
	contracts, next, err := h.Adoptions.List(ctx, caller(ctx), text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	items := bodies(contracts, func(c adoption.Contract) kmsapi.Contract { return contractBody(c, false) })
	return kmsapi.ListContracts200JSONResponse{Items: items, NextCursor: present(next)}, nil
}

// GetServiceContract implements getServiceContract.
func (h api) GetServiceContract(ctx context.Context, r kmsapi.GetServiceContractRequestObject) (kmsapi.GetServiceContractResponseObject, error) {
	c, err := h.Adoptions.Get(ctx, caller(ctx), r.ContractName)
	if err != nil {
		return nil, err
	}
	body := kmsapi.ContractWithFiles{Contract: contractBody(c, true), Document: documentBody(c.Live)}
	if c.Shadow != nil {
		body.Shadow = new(documentBody(*c.Shadow))
	}
	return kmsapi.GetServiceContract200JSONResponse{Body: body, Headers: kmsapi.GetServiceContract200ResponseHeaders{ETag: etag.Of(c.Version)}}, nil
}

// RetireContract implements retireContract.
func (h api) RetireContract(ctx context.Context, r kmsapi.RetireContractRequestObject) (kmsapi.RetireContractResponseObject, error) {
	if err := h.Adoptions.Retire(ctx, caller(ctx), r.ContractName); err != nil {
		return nil, err
	}
	return kmsapi.RetireContract204Response{}, nil
}

// contractBody returns a contract's body. It has warnings and changes only if found is true; lists leave them out.
func contractBody(c adoption.Contract, found bool) kmsapi.Contract {
	body := kmsapi.Contract{
		Name: c.Name, Status: kmsapi.ContractStatusDisabled, Version: c.Version, Digest: c.Live.Digest, DocumentVersion: c.Live.Version,
		Upstreams: list(c.Upstreams), Public: list(c.Live.Public), ActiveContent: c.ActiveContent, WarningCount: int64(c.Live.WarningCount),
		CreatedAt: c.CreatedAt, UpdatedAt: c.Live.UpdatedAt, UpdatedBy: c.Live.UpdatedBy,
	}
	if c.Active {
		body.Status = kmsapi.ContractStatusActive
	}
	if s := c.Shadow; s != nil {
		body.Shadow = &kmsapi.ContractShadow{
			Digest: s.Digest, DocumentVersion: s.Version, Public: list(s.Public), WarningCount: int64(s.WarningCount), ChangeCount: int64(s.ChangeCount),
			UpdatedAt: s.UpdatedAt, UpdatedBy: s.UpdatedBy,
		}
	}
	if !found {
		return body
	}
	body.Warnings = new(bodies(c.Live.Warnings, warningBody))
	if c.Shadow != nil {
		body.Shadow.Warnings = new(bodies(c.Shadow.Warnings, warningBody))
		body.Shadow.Changes = new(bodies(c.Shadow.Changes, func(one adoption.Change) kmsapi.ContractChange {
			return kmsapi.ContractChange{Name: one.Name, Kind: one.Kind, Message: one.Message}
		}))
	}
	return body
}

func warningBody(w adoption.Finding) kmsapi.ContractWarning {
	return kmsapi.ContractWarning{At: w.At, Message: w.Message, Hint: w.Hint}
}

func documentBody(e adoption.Edition) kmsapi.ContractDocument {
	return kmsapi.ContractDocument{File: e.File, Files: bodies(e.Files, func(f adoption.File) kmsapi.ContractFile {
		return kmsapi.ContractFile{Name: f.Name, Text: f.Text}
	})}
}
