package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

// ListScopes implements listScopes.
func (h api) ListScopes(ctx context.Context, r kmsapi.ListScopesRequestObject) (kmsapi.ListScopesResponseObject, error) {
	scopes, next, err := h.Roles.ListScopes(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListScopes200JSONResponse{Items: bodies(scopes, scopeBody), NextCursor: present(next)}, nil
}

// ListRoles implements listRoles.
func (h api) ListRoles(ctx context.Context, r kmsapi.ListRolesRequestObject) (kmsapi.ListRolesResponseObject, error) {
	roles, next, err := h.Roles.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListRoles200JSONResponse{Items: bodies(roles, roleBody), NextCursor: present(next)}, nil
}

// GetRole implements getRole.
func (h api) GetRole(ctx context.Context, r kmsapi.GetRoleRequestObject) (kmsapi.GetRoleResponseObject, error) {
	found, err := h.Roles.Get(ctx, r.RoleName)
	if err != nil {
		return nil, err
	}
	body := roleBody(found) // a built-in role's scopes change when services declare scopes
	return kmsapi.GetRole200JSONResponse{Body: body, Headers: kmsapi.GetRole200ResponseHeaders{ETag: etag.OfState(found.Tag(), stateOf(body))}}, nil
}

// PutRole implements putRole.
func (h api) PutRole(ctx context.Context, r kmsapi.PutRoleRequestObject) (kmsapi.PutRoleResponseObject, error) {
	over := role.Over{Absent: r.Params.IfNoneMatch != nil}
	if r.Params.IfMatch != nil {
		if over.Absent {
			return nil, problem.New(problem.InvalidRequest, "If-Match and If-None-Match exclude each other.")
		}
		match := etag.ParseMatch(*r.Params.IfMatch)
		over.Match = &match
	}
	after, made, err := h.Roles.Put(ctx, caller(ctx), r.RoleName, r.Body.Scopes, over)
	if err != nil {
		return nil, err
	}
	body, tag := roleBody(after), etag.Of(after.Tag())
	if made {
		return kmsapi.PutRole201JSONResponse{Body: body, Headers: kmsapi.PutRole201ResponseHeaders{ETag: tag}}, nil
	}
	return kmsapi.PutRole200JSONResponse{Body: body, Headers: kmsapi.PutRole200ResponseHeaders{ETag: tag}}, nil
}

// PutSecondFactorPolicy implements putSecondFactorPolicy.
func (h api) PutSecondFactorPolicy(ctx context.Context, r kmsapi.PutSecondFactorPolicyRequestObject) (kmsapi.PutSecondFactorPolicyResponseObject, error) {
	var match *etag.Match
	if r.Params.IfMatch != nil {
		match = new(etag.ParseMatch(*r.Params.IfMatch))
	}
	after, err := h.Roles.PutSecondFactor(ctx, caller(ctx), r.RoleName, policyOf(*r.Body), match)
	if err != nil {
		return nil, err
	}
	return kmsapi.PutSecondFactorPolicy200JSONResponse{
		Body: roleBody(after), Headers: kmsapi.PutSecondFactorPolicy200ResponseHeaders{ETag: etag.Of(after.Tag())},
	}, nil
}

// DeleteRole implements deleteRole.
func (h api) DeleteRole(ctx context.Context, r kmsapi.DeleteRoleRequestObject) (kmsapi.DeleteRoleResponseObject, error) {
	if err := h.Roles.Delete(ctx, caller(ctx), r.RoleName); err != nil {
		return nil, err
	}
	return kmsapi.DeleteRole204Response{}, nil
}
