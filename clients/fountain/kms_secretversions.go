package fountain

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// Stages of a secret's versions. A stage names a version whose number is not known.
const (
	CurrentVersion  = "current"
	PreviousVersion = "previous"
	PendingVersion  = "pending"
)

// ListSecretVersions reads one page of the versions of a secret, newest first, without values; SecretVersions reads
// all. Users need a second factor.
func (k *KMS) ListSecretVersions(ctx context.Context, name string, params *kms.ListSecretVersionsParams, opts ...CallOption) (*kms.SecretVersionList, error) {
	return send[kms.SecretVersionList](ctx, k.client, opListSecretVersions, opts, func(server string) (*http.Request, error) {
		return kms.NewListSecretVersionsRequest(server, name, params)
	})
}

// SecretVersions yields a secret's versions, newest first, without values.
func (k *KMS) SecretVersions(ctx context.Context, name string, opts ...CallOption) iter.Seq2[kms.SecretVersion, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.SecretVersion, *string, error) {
		page, err := k.ListSecretVersions(ctx, name, &kms.ListSecretVersionsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetSecretVersion reads a version by its number or stage. Users need a second factor.
func (k *KMS) GetSecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretVersionValue, error) {
	return send[kms.SecretVersionValue](ctx, k.client, opGetSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSecretVersionRequest(server, name, version)
	})
}

// ProposeSecret stores a pending version beside the current one, until PromoteSecretVersion. WithIfMatch stores it only
// while that version is current; otherwise ErrStale. Users need a second factor.
func (k *KMS) ProposeSecret(ctx context.Context, name string, body kms.SecretPut, opts ...CallOption) (*kms.SecretMetadata, error) {
	pending := kms.PutSecretParamsStagePending
	return send[kms.SecretMetadata](ctx, k.client, opPutSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecretRequest(server, name, &kms.PutSecretParams{Stage: &pending}, body)
	})
}

// PromoteSecretVersion makes a version the current one, by its number or stage: the pending version after its test, or
// the previous version to go back. WithIfMatch promotes it only while that version is current; otherwise ErrStale.
// Users need a second factor.
func (k *KMS) PromoteSecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretMetadata, error) {
	return send[kms.SecretMetadata](ctx, k.client, opPromoteSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewPromoteSecretVersionRequest(server, name, version, nil)
	})
}

// DeleteSecretVersion deletes a version. UndeleteSecretVersion undoes it. Users need a second factor.
func (k *KMS) DeleteSecretVersion(ctx context.Context, name, version string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteSecretVersionRequest(server, name, version)
	})
}

// UndeleteSecretVersion restores a deleted version. Users need a second factor.
func (k *KMS) UndeleteSecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretVersion, error) {
	return send[kms.SecretVersion](ctx, k.client, opUndeleteSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewUndeleteSecretVersionRequest(server, name, version)
	})
}

// DestroySecretVersion permanently destroys a version. The response says where copies may remain. Users need a second
// factor.
func (k *KMS) DestroySecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretDestruction, error) {
	return send[kms.SecretDestruction](ctx, k.client, opDestroySecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewDestroySecretVersionRequest(server, name, version)
	})
}

// maxWatch is the longest time that the kms holds a request open.
const maxWatch = 25 * time.Second

// WatchSecret waits until the current version of a secret differs from known, for at most wait (up to 25 s), and
// returns the current version number. It does not read the value; GetSecret does.
func (k *KMS) WatchSecret(ctx context.Context, name string, known int64, wait time.Duration, opts ...CallOption) (version int64, err error) {
	if wait > maxWatch || wait < 0 {
		return 0, fmt.Errorf("watch secret: the wait must be 0 to %s", maxWatch)
	}
	prefer := "wait=" + strconv.Itoa(int(wait/time.Second))
	tag := `"` + strconv.FormatInt(known, 10) + `"`
	found, err := send[kms.SecretMetadata](ctx, k.client, opWatchSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewWatchSecretRequest(server, name, &kms.WatchSecretParams{IfNoneMatch: &tag, Prefer: &prefer})
	})
	switch {
	case errors.Is(err, ErrNotModified):
		return known, nil
	case err != nil:
		return 0, err
	}
	return found.Version, nil
}
