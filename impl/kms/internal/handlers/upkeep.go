package handlers

import (
	"context"
	"errors"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/internal/upkeep"
)

// ListBackups implements listBackups.
func (h api) ListBackups(ctx context.Context, r kmsapi.ListBackupsRequestObject) (kmsapi.ListBackupsResponseObject, error) {
	found, next, err := h.Records.Backups(ctx, caller(ctx), text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListBackups200JSONResponse{Items: bodies(found, backupBody), NextCursor: present(next)}, nil
}

// GetDiagnosis implements getDiagnosis.
func (h api) GetDiagnosis(ctx context.Context, _ kmsapi.GetDiagnosisRequestObject) (kmsapi.GetDiagnosisResponseObject, error) {
	d, err := h.Records.Diagnosis(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return kmsapi.GetDiagnosis200JSONResponse{
		At: d.At, Version: d.Version, Quick: d.Quick, Worst: kmsapi.FindingLevel(d.Worst), Findings: bodies(d.Findings, findingBody),
	}, nil
}

func backupBody(b upkeep.Backup) kmsapi.Backup {
	body := kmsapi.Backup{
		ID: b.ID, Version: b.Version, MadeAt: b.MadeAt, File: b.File, Bytes: b.Bytes, Parts: bodies(b.Parts, backupPartBody), CheckedAt: reached(b.CheckedAt),
	}
	switch {
	case errors.Is(b.Fault, upkeep.ErrDamaged):
		body.Fault = new(kmsapi.BackupFaultDamaged)
	case b.Fault != nil:
		body.Fault = new(kmsapi.BackupFaultUnreadable)
	}
	if b.Check != "" {
		check := kmsapi.BackupCheck(b.Check)
		body.Check = &check
	}
	if b.Failed != "" {
		failed := kmsapi.BackupFailedCheck(b.Failed)
		body.FailedCheck, body.FailedAt = &failed, reached(b.FailedAt)
	}
	return body
}

func backupPartBody(p upkeep.Part) kmsapi.BackupPart {
	return kmsapi.BackupPart{Name: p.Name, Database: p.Database, Instant: p.Instant, Rows: p.Rows, Bytes: p.Bytes}
}

func findingBody(f upkeep.Finding) kmsapi.Finding {
	return kmsapi.Finding{Service: present(f.Service), Check: f.Check, Level: kmsapi.FindingLevel(f.Level), What: f.What, Do: present(f.Do)}
}
