package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

const auditList = "audit"

// ListAuditEvents implements listAuditEvents.
func (h api) ListAuditEvents(ctx context.Context, r kmsapi.ListAuditEventsRequestObject) (kmsapi.ListAuditEventsResponseObject, error) {
	query := audit.Query{
		Action: text(r.Params.Action), Actor: text(r.Params.Actor), Target: text(r.Params.Target), Outcome: text(r.Params.Outcome), Limit: limit(r.Params.Limit),
	}
	if r.Params.From != nil {
		query.From = *r.Params.From
	}
	if r.Params.To != nil {
		query.To = *r.Params.To
	}
	if cursor := text(r.Params.Cursor); cursor != "" {
		if err := page.Decode(auditList, cursor, &query.Before); err != nil {
			return nil, err
		}
	}
	records, next, err := audit.List(ctx, h.DB.Read(ctx), query)
	if err != nil {
		return nil, err
	}
	answer := kmsapi.ListAuditEvents200JSONResponse{Items: bodies(records, eventBody), KeptSeconds: new(int64(h.Retention.Keep / time.Second)), At: new(domain.Now(h.Clock))}
	if next > 0 {
		answer.NextCursor = present(page.Encode(auditList, next))
	}
	from, err := audit.StoredFrom(ctx, h.DB.Read(ctx))
	if err != nil {
		return nil, err
	}
	if from.Seq > 0 {
		answer.ArchivedBefore = new(from.Seq + 1)
	}
	return answer, nil
}

// archivedProblem returns the problem for a request of events that were archived and removed; it returns other errors unchanged.
func archivedProblem(err error) error {
	var archived *audit.ArchivedError
	if !errors.As(err, &archived) {
		return err
	}
	return problem.New(problem.Gone, fmt.Sprintf("These events were archived: the trail begins with number %d. Earlier events are in the archives.", archived.Before)).Wrap(err)
}

func eventBody(r audit.Record) kmsapi.AuditEvent {
	body := kmsapi.AuditEvent{
		Seq: r.Seq, At: r.At, Action: r.Action, Actor: r.Actor, ActorKind: kmsapi.AuditEventActorKind(r.ActorKind), Target: r.Target,
		Outcome: kmsapi.AuditOutcome(r.Outcome), RequestID: r.RequestID, Address: present(r.Address),
	}
	if r.Detail != nil {
		body.Detail = &r.Detail
	}
	return body
}

// VerifyAudit implements verifyAudit.
func (h api) VerifyAudit(ctx context.Context, r kmsapi.VerifyAuditRequestObject) (kmsapi.VerifyAuditResponseObject, error) {
	v := audit.Verification{After: r.Body.After != nil && *r.Body.After}
	if c := r.Body.Checkpoint; c != nil {
		v.Known = new(checkpointFrom(*c))
	}
	report, err := h.Audit.Verify(ctx, v)
	if errors.Is(err, audit.ErrSignature) {
		return nil, problem.New(problem.ValidationFailed, "The checkpoint is not signed by this audit trail.").
			WithField("body", "/checkpoint/signature", "signature", "does not verify under a key of this trail").Wrap(err)
	}
	if err != nil {
		return nil, archivedProblem(err)
	}
	body := kmsapi.VerifyAudit200JSONResponse{Intact: report.Intact(), After: report.After, Checked: report.Checked, Unkeyed: report.Unkeyed}
	if !report.Intact() {
		body.FirstBreak, body.Reason = &report.FirstBreak, new(kmsapi.AuditReportReason(report.Reason))
	}
	return body, nil
}

// GetAuditCheckpoint implements getAuditCheckpoint.
func (h api) GetAuditCheckpoint(ctx context.Context, _ kmsapi.GetAuditCheckpointRequestObject) (kmsapi.GetAuditCheckpointResponseObject, error) {
	c, err := h.Audit.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetAuditCheckpoint200JSONResponse(checkpointBody(c)), nil
}

// WitnessAudit implements witnessAudit.
func (h api) WitnessAudit(ctx context.Context, r kmsapi.WitnessAuditRequestObject) (kmsapi.WitnessAuditResponseObject, error) {
	c := audit.Checkpoint{
		Service: r.Body.Service, Seq: r.Body.Seq, Hash: r.Body.Hash, At: r.Body.At, KeyID: r.Body.KeyID, PublicKey: r.Body.PublicKey, Signature: r.Body.Signature,
	}
	own, err := h.Witness.Record(ctx, caller(ctx), c, r.Body.KeptSeconds)
	if err != nil {
		return nil, err
	}
	return kmsapi.WitnessAudit200JSONResponse(checkpointBody(own)), nil
}

func checkpointFrom(c kmsapi.AuditCheckpoint) audit.Checkpoint {
	return audit.Checkpoint{Service: c.Service, Seq: c.Seq, Hash: c.Hash, At: c.At, KeyID: c.KeyID, PublicKey: c.PublicKey, Signature: c.Signature}
}

func checkpointBody(c audit.Checkpoint) kmsapi.AuditCheckpoint {
	return kmsapi.AuditCheckpoint{Service: c.Service, Seq: c.Seq, Hash: c.Hash, At: c.At, KeyID: c.KeyID, PublicKey: c.PublicKey, Signature: c.Signature}
}

// ArchiveAudit implements archiveAudit.
func (h api) ArchiveAudit(ctx context.Context, r kmsapi.ArchiveAuditRequestObject) (kmsapi.ArchiveAuditResponseObject, error) {
	p, err := h.Retention.Archive(ctx, caller(ctx), r.Body.After, checkpointFrom(r.Body.Checkpoint))
	if err != nil {
		return nil, err
	}
	return kmsapi.ArchiveAudit200JSONResponse{Service: r.Body.Checkpoint.Service, Ordered: p.Ordered, Removed: p.Removed}, nil
}

// GetAuditOrder implements getAuditOrder.
func (h api) GetAuditOrder(ctx context.Context, _ kmsapi.GetAuditOrderRequestObject) (kmsapi.GetAuditOrderResponseObject, error) {
	o, err := h.Retention.Pending(ctx, caller(ctx))
	if err != nil || o == nil {
		return kmsapi.GetAuditOrder200JSONResponse{}, err
	}
	return kmsapi.GetAuditOrder200JSONResponse{Order: &kmsapi.AuditOrder{After: o.After, Checkpoint: checkpointBody(o.End), OrderedBy: o.By}}, nil
}

const maxExport = 10_000_000

// ExportAudit implements exportAudit. The export is recorded before the first line is sent.
func (h api) ExportAudit(ctx context.Context, r kmsapi.ExportAuditRequestObject) (kmsapi.ExportAuditResponseObject, error) {
	after, most := int64(0), int64(maxExport)
	if r.Params.After != nil {
		after = *r.Params.After
	}
	if r.Params.Limit != nil {
		most = *r.Params.Limit
	}
	var before time.Time
	if r.Params.Before != nil {
		before = *r.Params.Before
	}
	from, err := audit.StoredFrom(ctx, h.DB.Read(ctx))
	if err != nil {
		return nil, err
	}
	if after > 0 && after < from.Seq {
		return nil, archivedProblem(&audit.ArchivedError{Before: from.Seq + 1})
	}
	err = auditlog.Log{Clock: h.Clock}.Record(ctx, h.Recorder, auditlog.Event{
		Action: "exportAudit", Detail: map[string]string{"after": strconv.FormatInt(after, 10)},
	})
	if err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	go func() {
		lines := json.NewEncoder(writer)
		lines.SetEscapeHTML(false) // stored events are already escaped, and must keep their bytes
		writer.CloseWithError(h.Audit.ExportBefore(ctx, after, most, before, func(l audit.Line) error { return lines.Encode(l) }))
	}()
	return kmsapi.ExportAudit200ApplicationXNdjsonResponse{Body: reader}, nil
}
