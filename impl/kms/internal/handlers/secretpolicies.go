package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

// ListSecretPolicies implements listSecretPolicies.
func (h api) ListSecretPolicies(ctx context.Context, r kmsapi.ListSecretPoliciesRequestObject) (kmsapi.ListSecretPoliciesResponseObject, error) {
	policies, next, err := h.Policies.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListSecretPolicies200JSONResponse{Items: bodies(policies, secretPolicyBody), NextCursor: present(next)}, nil
}

// GetSecretPolicy implements getSecretPolicy.
func (h api) GetSecretPolicy(ctx context.Context, r kmsapi.GetSecretPolicyRequestObject) (kmsapi.GetSecretPolicyResponseObject, error) {
	found, err := h.Policies.Get(ctx, r.PolicyName)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetSecretPolicy200JSONResponse{
		Body: secretPolicyBody(found), Headers: kmsapi.GetSecretPolicy200ResponseHeaders{ETag: etag.OfState(found.Version, found.Word())},
	}, nil
}

// PutSecretPolicy implements putSecretPolicy.
func (h api) PutSecretPolicy(ctx context.Context, r kmsapi.PutSecretPolicyRequestObject) (kmsapi.PutSecretPolicyResponseObject, error) {
	over := policy.Over{Absent: r.Params.IfNoneMatch != nil}
	if r.Params.IfMatch != nil {
		if over.Absent {
			return nil, problem.New(problem.InvalidRequest, "If-Match and If-None-Match exclude each other.")
		}
		over.Match = new(etag.ParseMatch(*r.Params.IfMatch))
	}
	wanted := policy.Policy{Name: r.PolicyName, Subject: policy.Subject{Kind: string(r.Body.Subject.Kind), ID: r.Body.Subject.ID}, Path: r.Body.Path}
	for _, c := range r.Body.Capabilities {
		wanted.Capabilities = append(wanted.Capabilities, policy.Capability(c))
	}
	after, made, err := h.Policies.Put(ctx, caller(ctx), wanted, over)
	if err != nil {
		return nil, err
	}
	body, tag := secretPolicyBody(after), etag.OfState(after.Version, after.Word())
	if made {
		return kmsapi.PutSecretPolicy201JSONResponse{Body: body, Headers: kmsapi.PutSecretPolicy201ResponseHeaders{ETag: tag}}, nil
	}
	return kmsapi.PutSecretPolicy200JSONResponse{Body: body, Headers: kmsapi.PutSecretPolicy200ResponseHeaders{ETag: tag}}, nil
}

// DeleteSecretPolicy implements deleteSecretPolicy.
func (h api) DeleteSecretPolicy(ctx context.Context, r kmsapi.DeleteSecretPolicyRequestObject) (kmsapi.DeleteSecretPolicyResponseObject, error) {
	if err := h.Policies.Delete(ctx, caller(ctx), r.PolicyName); err != nil {
		return nil, err
	}
	return kmsapi.DeleteSecretPolicy204Response{}, nil
}

// ExplainSecretAccess implements explainSecretAccess.
func (h api) ExplainSecretAccess(ctx context.Context, r kmsapi.ExplainSecretAccessRequestObject) (kmsapi.ExplainSecretAccessResponseObject, error) {
	var of *policy.Subject
	for kind, id := range map[string]*string{policy.OfRole: r.Params.Role, policy.OfUser: r.Params.User, policy.OfService: r.Params.Service} {
		if id == nil {
			continue
		}
		if of != nil {
			return nil, problem.New(problem.InvalidRequest, "The parameters role, user and service exclude each other.")
		}
		of = &policy.Subject{Kind: kind, ID: *id}
	}
	found, err := h.Policies.Explain(ctx, caller(ctx), r.SecretName, of)
	if err != nil {
		return nil, err
	}
	return kmsapi.ExplainSecretAccess200JSONResponse{
		Name: r.SecretName, Subject: subjectBody(found.Subject), Active: found.Active, Capabilities: capabilityBodies(found.Capabilities),
		Policies: bodies(found.Through, secretPolicyBody), MissingScopes: list(found.MissingScopes),
	}, nil
}

func subjectBody(s policy.Subject) kmsapi.SecretPolicySubject {
	return kmsapi.SecretPolicySubject{Kind: kmsapi.SecretPolicySubjectKind(s.Kind), ID: s.ID}
}

func capabilityBodies(capabilities []policy.Capability) []kmsapi.SecretCapability {
	return bodies(capabilities, func(c policy.Capability) kmsapi.SecretCapability { return kmsapi.SecretCapability(c) })
}

func secretPolicyBody(p policy.Policy) kmsapi.SecretPolicy {
	return kmsapi.SecretPolicy{
		Name: p.Name, Subject: subjectBody(p.Subject), Path: p.Path, Capabilities: capabilityBodies(p.Capabilities),
		Version: p.Version, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}
