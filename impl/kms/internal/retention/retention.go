// Package retention removes events from audit trails once they are archived: it removes them from the kms's own trail, and orders other services to remove
// them from theirs.
package retention

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/requestid"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Order is the order to remove the events of an archive from a trail.
type Order struct {
	After int64            // number of the event after which the archive begins
	End   audit.Checkpoint // the archive's last event
	By    string           // subject of the administrator
}

// Rows stores the orders for other services.
type Rows interface {
	// PutOrder stores the order for the service of its checkpoint. It replaces an earlier order.
	PutOrder(ctx context.Context, tx *store.Tx, o Order, now time.Time) error
	// Order returns the order for a service; nil when there is none.
	Order(ctx context.Context, q store.Querier, service string) (*Order, error)
}

// Retention is the domain of archives of audit trails.
type Retention struct {
	DB       *store.DB
	Rows     Rows
	Chain    *audit.Chain // the kms's own trail
	Standing *authority.Standing
	Audit    auditlog.Log
	Clock    clock.Clock
	Keep     time.Duration // minimum age of events of the kms's trail that may be removed
}

// Progress is how far an order has been executed.
type Progress struct {
	Ordered int64  // number of the last event to be removed
	Removed *int64 // number of the last removed event; nil for another service's trail
}

// Archive orders the removal of an archive's events. It fails with domain.ValidationFailed for a checkpoint that the trail has not signed, and with
// domain.StateConflict when the archive does not begin where the trail begins, its events are too young, or an earlier order is still being executed.
func (r *Retention) Archive(ctx context.Context, caller *auth.Principal, after int64, end audit.Checkpoint) (p Progress, err error) {
	defer tried.To(&err, "order removal of archived events")
	p.Ordered = end.Seq
	err = r.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := r.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if end.Service != r.Chain.Service {
			return r.pass(ctx, tx, caller, Order{After: after, End: end, By: caller.Subject})
		}
		from, err := r.Chain.Archive(ctx, tx, audit.Order{After: after, End: end, Keep: r.Keep, Event: audit.Event{
			At: r.Clock.Now(), Actor: caller.Subject, ActorKind: caller.Kind, RequestID: requestid.From(ctx), Address: requestid.Client(ctx),
		}})
		p.Removed = &from.Seq
		return r.refuse(err)
	})
	return p, err
}

// pass stores an order for another service, which fetches it.
func (r *Retention) pass(ctx context.Context, tx *store.Tx, caller *auth.Principal, o Order) error {
	keeps := func(m authority.Member) bool { return m.Name == o.End.Service && m.Name != authority.Gateway }
	if !slices.ContainsFunc(authority.Family(), keeps) {
		return domain.Refuse(domain.ValidationFailed, "No service with this name has an audit trail.").WithField("body", "/checkpoint/service", "service", "is not the name of a service with an audit trail")
	}
	if o.End.Verify(o.End.PublicKey) != nil || o.End.Seq <= o.After {
		return unsigned()
	}
	before, err := r.Rows.Order(ctx, tx, o.End.Service)
	if err != nil || before != nil && before.End.Seq == o.End.Seq && bytes.Equal(before.End.Hash, o.End.Hash) {
		return err // the same order is already stored
	}
	if err := r.Rows.PutOrder(ctx, tx, o, r.Clock.Now()); err != nil {
		return err
	}
	return r.Audit.Append(ctx, tx, auditlog.Event{Action: audit.ArchiveAudit, Target: o.End.Service, Detail: map[string]string{
		"after": strconv.FormatInt(o.After, 10), "seq": strconv.FormatInt(o.End.Seq, 10), "hash": base64.StdEncoding.EncodeToString(o.End.Hash),
	}})
}

func unsigned() *domain.Refusal {
	return domain.Refuse(domain.ValidationFailed, "The checkpoint is not signed by this audit trail.").
		WithField("body", "/checkpoint/signature", "signature", "does not verify under a key of this trail")
}

// refuse translates an error of the trail into a refusal.
func (r *Retention) refuse(err error) error {
	var archived *audit.ArchivedError
	switch {
	case errors.Is(err, audit.ErrSignature):
		return unsigned().Because(err)
	case errors.As(err, &archived):
		return domain.Refuse(domain.StateConflict, fmt.Sprintf("These events were removed already: the trail begins with number %d.", archived.Before)).Because(err)
	case errors.Is(err, audit.ErrSeam):
		return domain.Refuse(domain.StateConflict, "The archive does not begin where the trail begins: events would be in no archive.").Because(err)
	case errors.Is(err, audit.ErrYoung):
		return domain.Refuse(domain.StateConflict, fmt.Sprintf("An event of the archive is younger than %s, for which events are kept.", audit.KeptFor(r.Keep))).Because(err)
	case errors.Is(err, audit.ErrLostKey):
		return domain.Refuse(domain.StateConflict, "A key of the audit trail is lost, so the events that would be removed can't be verified.").Because(err)
	case errors.Is(err, audit.ErrArchiving):
		return domain.Refuse(domain.StateConflict, "The events of an earlier archive are still being removed.").After(time.Minute).Because(err)
	}
	return err
}

// Pending returns the order for the trail of the calling service; nil when there is none.
func (r *Retention) Pending(ctx context.Context, caller *auth.Principal) (o *Order, err error) {
	defer tried.To(&err, "read order to an audit trail")
	err = r.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := r.Standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		if caller.Kind != auth.KindService {
			return domain.Refuse(domain.Forbidden, "A service can only read the order for its own audit trail.")
		}
		o, err = r.Rows.Order(ctx, tx, held.Caller.Name)
		return err
	})
	return o, err
}
