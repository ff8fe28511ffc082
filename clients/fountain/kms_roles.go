package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// ListScopes reads one page of all scopes by name; Scopes reads all.
func (k *KMS) ListScopes(ctx context.Context, params *kms.ListScopesParams, opts ...CallOption) (*kms.ScopeList, error) {
	return send[kms.ScopeList](ctx, k.client, opListScopes, opts, func(server string) (*http.Request, error) {
		return kms.NewListScopesRequest(server, params)
	})
}

// Scopes yields the scopes of FountainAI and of registered services by name.
func (k *KMS) Scopes(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Scope, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Scope, *string, error) {
		page, err := k.ListScopes(ctx, &kms.ListScopesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// ListRoles reads one page of the roles that users can have, by name; Roles reads all.
func (k *KMS) ListRoles(ctx context.Context, params *kms.ListRolesParams, opts ...CallOption) (*kms.RoleList, error) {
	return send[kms.RoleList](ctx, k.client, opListRoles, opts, func(server string) (*http.Request, error) {
		return kms.NewListRolesRequest(server, params)
	})
}

// Roles yields the roles by name.
func (k *KMS) Roles(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Role, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Role, *string, error) {
		page, err := k.ListRoles(ctx, &kms.ListRolesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetRole reads a role.
func (k *KMS) GetRole(ctx context.Context, name string, opts ...CallOption) (*kms.Role, error) {
	return send[kms.Role](ctx, k.client, opGetRole, opts, func(server string) (*http.Request, error) {
		return kms.NewGetRoleRequest(server, name, nil)
	})
}

// PutRole creates or changes a role. WithIfNoneMatch only creates it, WithIfMatch changes only that version; otherwise
// ErrStale. It requires a second factor.
func (k *KMS) PutRole(ctx context.Context, name string, body kms.RolePut, opts ...CallOption) (*kms.Role, error) {
	return send[kms.Role](ctx, k.client, opPutRole, opts, func(server string) (*http.Request, error) {
		return kms.NewPutRoleRequest(server, name, nil, body)
	})
}

// PutSecondFactorPolicy sets which second factor a role requires, also for the built-in roles. WithIfMatch changes only
// that version of the role. The call requires a second factor itself. If the caller has the role, that factor must be
// one that the new policy accepts (CodeFactorNotAccepted).
func (k *KMS) PutSecondFactorPolicy(ctx context.Context, role string, body kms.SecondFactorPolicyPut, opts ...CallOption) (*kms.Role, error) {
	return send[kms.Role](ctx, k.client, opPutSecondFactor, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecondFactorPolicyRequest(server, role, nil, body)
	})
}

// DeleteRole deletes a role that no user has. It requires a second factor.
func (k *KMS) DeleteRole(ctx context.Context, name string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteRole, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteRoleRequest(server, name)
	})
}
