package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// ListBackups reads one page of the backups made beside the kms, newest first; Backups reads all. It requires a second
// factor.
func (k *KMS) ListBackups(ctx context.Context, params *kms.ListBackupsParams, opts ...CallOption) (*kms.BackupList, error) {
	return send[kms.BackupList](ctx, k.client, opListBackups, opts, func(server string) (*http.Request, error) {
		return kms.NewListBackupsRequest(server, params)
	})
}

// Backups yields the backups made beside the kms, newest first, at most 100.
func (k *KMS) Backups(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Backup, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Backup, *string, error) {
		page, err := k.ListBackups(ctx, &kms.ListBackupsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetDiagnosis reads the last report of `fountain doctor --keep` on the machine of the kms. It requires a second
// factor. Error: ErrNotFound if there is no report.
func (k *KMS) GetDiagnosis(ctx context.Context, opts ...CallOption) (*kms.Diagnosis, error) {
	return send[kms.Diagnosis](ctx, k.client, opGetDiagnosis, opts, kms.NewGetDiagnosisRequest)
}
