package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// ListSecretPolicies reads one page of the policies of secrets, by name; SecretPolicies reads all.
func (k *KMS) ListSecretPolicies(ctx context.Context, params *kms.ListSecretPoliciesParams, opts ...CallOption) (*kms.SecretPolicyList, error) {
	return send[kms.SecretPolicyList](ctx, k.client, opListSecretPolicies, opts, func(server string) (*http.Request, error) {
		return kms.NewListSecretPoliciesRequest(server, params)
	})
}

// SecretPolicies yields the policies of secrets by name.
func (k *KMS) SecretPolicies(ctx context.Context, opts ...CallOption) iter.Seq2[kms.SecretPolicy, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.SecretPolicy, *string, error) {
		page, err := k.ListSecretPolicies(ctx, &kms.ListSecretPoliciesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetSecretPolicy reads a policy of secrets.
func (k *KMS) GetSecretPolicy(ctx context.Context, name string, opts ...CallOption) (*kms.SecretPolicy, error) {
	return send[kms.SecretPolicy](ctx, k.client, opGetSecretPolicy, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSecretPolicyRequest(server, name, nil)
	})
}

// PutSecretPolicy lets somebody do something with the secrets of a path. WithIfNoneMatch makes only a new policy, WithIfMatch changes only that version; otherwise
// ErrStale. It asks for a second factor.
func (k *KMS) PutSecretPolicy(ctx context.Context, name string, body kms.SecretPolicyPut, opts ...CallOption) (*kms.SecretPolicy, error) {
	return send[kms.SecretPolicy](ctx, k.client, opPutSecretPolicy, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecretPolicyRequest(server, name, nil, body)
	})
}

// DeleteSecretPolicy deletes a policy of secrets: what no other one gives is not allowed any more. It asks for a second factor.
func (k *KMS) DeleteSecretPolicy(ctx context.Context, name string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteSecretPolicy, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteSecretPolicyRequest(server, name)
	})
}

// ExplainSecretAccess tells what the caller may do with a secret and by which policies, or, asked by an administrator, the role, user or service that params name.
func (k *KMS) ExplainSecretAccess(ctx context.Context, secret string, params *kms.ExplainSecretAccessParams, opts ...CallOption) (*kms.SecretAccess, error) {
	return send[kms.SecretAccess](ctx, k.client, opExplainSecretAccess, opts, func(server string) (*http.Request, error) {
		return kms.NewExplainSecretAccessRequest(server, secret, params)
	})
}
