package writer

import (
	"context"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	database "github.com/fountainai/fountain/internal/store"
)

// PutFormat sets the number format of a group. Errors: *domain.InvalidItems, domain.ErrFormatUsed, domain.ErrImporting.
func (w *Writer) PutFormat(ctx context.Context, f domain.Format, who domain.Actor) error {
	if err := f.Check(); err != nil {
		return err
	}
	return w.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		changed, err := store.PutFormat(ctx, tx, f)
		if err != nil || !changed {
			return err
		}
		return audit.Append(ctx, tx, audit.Event{
			At: w.Clock.Now().UTC().Truncate(time.Microsecond), Action: "putNumberFormat", Actor: who.Subject, ActorKind: who.Kind, Target: f.Scope + "/" + f.ElementType, Outcome: audit.OK,
			RequestID: who.RequestID, Address: who.Address,
			Detail: map[string]string{"prefix": f.Prefix, "padding": strconv.Itoa(f.Padding), "resets": string(f.Reset), "timeZone": f.TimeZone},
		})
	})
}
