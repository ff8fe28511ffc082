package fountain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// ListAuditEvents reads one page of the kms's audit trail, newest first; AuditEvents reads all. A page may be empty and
// still have a next page. Users need a second factor.
func (k *KMS) ListAuditEvents(ctx context.Context, params *kms.ListAuditEventsParams, opts ...CallOption) (*kms.AuditEventList, error) {
	return send[kms.AuditEventList](ctx, k.client, opListAuditEvents, opts, func(server string) (*http.Request, error) {
		return kms.NewListAuditEventsRequest(server, params)
	})
}

// AuditEvents yields the events that the filters of params select, newest first. The limit and the cursor of params are
// ignored.
func (k *KMS) AuditEvents(ctx context.Context, params kms.ListAuditEventsParams, opts ...CallOption) iter.Seq2[kms.AuditEvent, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.AuditEvent, *string, error) {
		asked := params
		asked.Limit, asked.Cursor = limit, cursor
		page, err := k.ListAuditEvents(ctx, &asked, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// VerifyAudit makes the kms verify its audit trail with its key. A fault in the trail is part of the report, not an
// error. Users need a second factor.
func (k *KMS) VerifyAudit(ctx context.Context, body kms.AuditVerify, opts ...CallOption) (*kms.AuditReport, error) {
	return send[kms.AuditReport](ctx, k.client, opVerifyAudit, opts, func(server string) (*http.Request, error) {
		return kms.NewVerifyAuditRequest(server, body)
	})
}

// GetAuditCheckpoint makes the kms sign the current end of its audit trail. Users need a second factor.
func (k *KMS) GetAuditCheckpoint(ctx context.Context, opts ...CallOption) (*kms.AuditCheckpoint, error) {
	return send[kms.AuditCheckpoint](ctx, k.client, opGetAuditCheckpoint, opts, func(server string) (*http.Request, error) {
		return kms.NewGetAuditCheckpointRequest(server)
	})
}

// WitnessAudit records where a service's own audit trail ends, in the kms's; for services of the family.
func (k *KMS) WitnessAudit(ctx context.Context, body kms.AuditWitness, opts ...CallOption) (*kms.AuditCheckpoint, error) {
	return send[kms.AuditCheckpoint](ctx, k.client, opWitnessAudit, opts, func(server string) (*http.Request, error) {
		return kms.NewWitnessAuditRequest(server, body)
	})
}

// ArchiveAudit removes the events of an archive from the audit trail that the archive's checkpoint names. Repeating the
// same order reports its progress. If no copy of the archive is kept, its events are lost; `fountain audit archive`
// verifies the archive before it calls this. It requires a second factor.
func (k *KMS) ArchiveAudit(ctx context.Context, body kms.AuditArchive, opts ...CallOption) (*kms.AuditRemoval, error) {
	return send[kms.AuditRemoval](ctx, k.client, opArchiveAudit, opts, func(server string) (*http.Request, error) {
		return kms.NewArchiveAuditRequest(server, body)
	})
}

// GetAuditOrder reads which events of the caller's own audit trail are to be removed. It is for the FountainAI
// services.
func (k *KMS) GetAuditOrder(ctx context.Context, opts ...CallOption) (*kms.AuditOrders, error) {
	return send[kms.AuditOrders](ctx, k.client, opGetAuditOrder, opts, func(server string) (*http.Request, error) {
		return kms.NewGetAuditOrderRequest(server)
	})
}

// auditPart is the number of events in a part of an export. This many events fit in a response, however large they are.
const auditPart = 1500

// ExportAudit reads one part of an export of the kms's audit trail: NDJSON whose last line is a checkpoint. WriteAudit
// reads all parts. Users need a second factor.
func (k *KMS) ExportAudit(ctx context.Context, params *kms.ExportAuditParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, k.client, opExportAudit, opts, func(server string) (*http.Request, error) {
		return kms.NewExportAuditRequest(server, params)
	}, "application/x-ndjson")
}

// WriteAudit writes the events of the kms's audit trail after a sequence number to w, with the checkpoints that sign
// them. It returns the number of events. After an error of the kms, w holds whole parts only, so another call can
// continue after the last event in it.
func (k *KMS) WriteAudit(ctx context.Context, w io.Writer, after int64, opts ...CallOption) (events int64, err error) {
	return k.WriteAuditBefore(ctx, w, after, nil, opts...)
}

// WriteAuditBefore is WriteAudit that ends before the first event that is not older than before. If before is nil,
// there is no bound.
func (k *KMS) WriteAuditBefore(ctx context.Context, w io.Writer, after int64, before *time.Time, opts ...CallOption) (events int64, err error) {
	for {
		part, err := k.ExportAudit(ctx, &kms.ExportAuditParams{After: &after, Limit: new(int64(auditPart)), Before: before}, opts...)
		if err != nil {
			return events, err
		}
		first, last, err := bounds(part)
		if err != nil {
			return events, err
		}
		if _, err := w.Write(part); err != nil {
			return events, fmt.Errorf("write export: %w", err)
		}
		n := last.Seq - first.Seq // the first part may begin after events that were archived
		events, after = events+n, last.Seq
		if n < auditPart {
			return events, nil
		}
	}
}

// errCutExport says that the kms stopped in the middle of a part.
var errCutExport = errors.New("the export has no checkpoint at its end: the audit trail is not valid, or the connection broke")

// bounds returns the first and the last line of a part.
func bounds(part []byte) (first, last kms.AuditLine, err error) {
	part = bytes.TrimSuffix(part, []byte("\n"))
	begin, _, _ := bytes.Cut(part, []byte("\n"))
	if json.Unmarshal(begin, &first) != nil || json.Unmarshal(part[bytes.LastIndexByte(part, '\n')+1:], &last) != nil || last.Checkpoint == nil {
		return first, last, errCutExport
	}
	return first, last, nil
}
