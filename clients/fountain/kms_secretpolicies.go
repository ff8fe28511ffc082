package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// ListSecretPolicies reads one page of the secret policies by name; SecretPolicies reads all.
func (k *KMS) ListSecretPolicies(ctx context.Context, params *kms.ListSecretPoliciesParams, opts ...CallOption) (*kms.SecretPolicyList, error) {
	return send[kms.SecretPolicyList](ctx, k.client, opListSecretPolicies, opts, func(server string) (*http.Request, error) {
		return kms.NewListSecretPoliciesRequest(server, params)
	})
}

// SecretPolicies yields the secret policies by name.
func (k *KMS) SecretPolicies(ctx context.Context, opts ...CallOption) iter.Seq2[kms.SecretPolicy, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.SecretPolicy, *string, error) {
		page, err := k.ListSecretPolicies(ctx, &kms.ListSecretPoliciesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetSecretPolicy reads a secret policy.
func (k *KMS) GetSecretPolicy(ctx context.Context, name string, opts ...CallOption) (*kms.SecretPolicy, error) {
	return send[kms.SecretPolicy](ctx, k.client, opGetSecretPolicy, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSecretPolicyRequest(server, name, nil)
	})
}

// PutSecretPolicy creates or changes a policy that grants a subject actions on the secrets of a path. WithIfNoneMatch
// only creates it, WithIfMatch changes only that version; otherwise ErrStale. It requires a second factor.
func (k *KMS) PutSecretPolicy(ctx context.Context, name string, body kms.SecretPolicyPut, opts ...CallOption) (*kms.SecretPolicy, error) {
	return send[kms.SecretPolicy](ctx, k.client, opPutSecretPolicy, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecretPolicyRequest(server, name, nil, body)
	})
}

// DeleteSecretPolicy deletes a secret policy. What no other policy allows is no longer allowed. It requires a second
// factor.
func (k *KMS) DeleteSecretPolicy(ctx context.Context, name string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteSecretPolicy, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteSecretPolicyRequest(server, name)
	})
}

// ExplainSecretAccess reports what the caller may do with a secret and which policies allow it. An administrator can
// ask about the role, user or service in params.
func (k *KMS) ExplainSecretAccess(ctx context.Context, secret string, params *kms.ExplainSecretAccessParams, opts ...CallOption) (*kms.SecretAccess, error) {
	return send[kms.SecretAccess](ctx, k.client, opExplainSecretAccess, opts, func(server string) (*http.Request, error) {
		return kms.NewExplainSecretAccessRequest(server, secret, params)
	})
}
