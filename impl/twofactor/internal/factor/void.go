package factor

import (
	"context"
	"strconv"
	"time"

	"github.com/fountainai/fountain/internal/tried"
)

// Void revokes the factors and deletes the recovery codes that a subject got up to a time, because the kms says that an operator has recovered the account. Repeating
// it changes nothing.
func (s *Service) Void(ctx context.Context, subject string, before time.Time) (err error) {
	defer tried.To(&err, "void factors of subject")
	now := s.Clock.Now()
	return s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		ended, err := s.endAll(ctx, tx, subject, NoticeVoided, before, now)
		if err != nil || ended == (Ended{}) {
			return err
		}
		return tx.Audit(ctx, Event{At: now, Action: "voidFactors", Subject: subject, Target: subject, Detail: map[string]string{
			"factors": strconv.FormatInt(ended.Factors, 10), "recoveryCodes": strconv.FormatInt(ended.RecoveryCodes, 10),
		}})
	})
}
