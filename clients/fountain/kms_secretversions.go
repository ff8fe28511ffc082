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

// The stages of a secret's versions, which name a version where its number is not known.
const (
	CurrentVersion  = "current"
	PreviousVersion = "previous"
	PendingVersion  = "pending"
)

// ListSecretVersions reads one page of a secret's versions, newest first, without values; SecretVersions reads all. It asks users for a second factor.
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

// GetSecretVersion reads a version, by its number or stage. It asks users for a second factor.
func (k *KMS) GetSecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretVersionValue, error) {
	return send[kms.SecretVersionValue](ctx, k.client, opGetSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewGetSecretVersionRequest(server, name, version)
	})
}

// ProposeSecret stores a version that waits beside the current one, until PromoteSecretVersion. WithIfMatch stores it only while that version is current;
// otherwise ErrStale. It asks users for a second factor.
func (k *KMS) ProposeSecret(ctx context.Context, name string, body kms.SecretPut, opts ...CallOption) (*kms.SecretMetadata, error) {
	pending := kms.PutSecretParamsStagePending
	return send[kms.SecretMetadata](ctx, k.client, opPutSecret, opts, func(server string) (*http.Request, error) {
		return kms.NewPutSecretRequest(server, name, &kms.PutSecretParams{Stage: &pending}, body)
	})
}

// PromoteSecretVersion makes a version, by its number or stage, the current one: the pending one after its test, or the previous one to go back. WithIfMatch
// promotes only while that version is current; otherwise ErrStale. It asks users for a second factor.
func (k *KMS) PromoteSecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretMetadata, error) {
	return send[kms.SecretMetadata](ctx, k.client, opPromoteSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewPromoteSecretVersionRequest(server, name, version, nil)
	})
}

// DeleteSecretVersion deletes a version; UndeleteSecretVersion takes it back. It asks users for a second factor.
func (k *KMS) DeleteSecretVersion(ctx context.Context, name, version string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteSecretVersionRequest(server, name, version)
	})
}

// UndeleteSecretVersion takes a deleted version into use again. It asks users for a second factor.
func (k *KMS) UndeleteSecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretVersion, error) {
	return send[kms.SecretVersion](ctx, k.client, opUndeleteSecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewUndeleteSecretVersionRequest(server, name, version)
	})
}

// DestroySecretVersion destroys a version for ever; the answer says where copies may remain. It asks users for a second factor.
func (k *KMS) DestroySecretVersion(ctx context.Context, name, version string, opts ...CallOption) (*kms.SecretDestruction, error) {
	return send[kms.SecretDestruction](ctx, k.client, opDestroySecretVersion, opts, func(server string) (*http.Request, error) {
		return kms.NewDestroySecretVersionRequest(server, name, version)
	})
}

// maxWatch is how long the kms holds a request open.
const maxWatch = 25 * time.Second

// WatchSecret waits until a secret's current version is another than the known one, up to wait (at most 25 s), and returns the current version. It reads no
// value; GetSecret does.
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
