// Package auditlog writes the kms's events to its audit chain. It takes the actor from the request; the caller provides the action and its target.
package auditlog

import (
	"context"
	"strings"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/requestid"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// The outcomes of an event.
const (
	outcomeOK = "ok"
	// Denied is the outcome of what was refused.
	Denied = "denied"
)

// Log appends to the audit chain in the caller's transaction, so that no change is committed without its event.
type Log struct{ Clock clock.Clock }

// Event is an event as the domain describes it. No field may hold a secret.
type Event struct {
	Action  string // operationId, or the name of a background action
	Target  string // ID of the object of the action
	Outcome string // "ok" when empty
	Actor   string // if the request has no principal, such as the user who signs in
	Kind    string // of Actor
	Detail  map[string]string
}

// Append writes one event.
func (l Log) Append(ctx context.Context, tx *store.Tx, e Event) (err error) {
	defer tried.To(&err, "record event")
	return audit.Append(ctx, tx, l.event(ctx, e))
}

// Record writes an event that belongs to no other change, and returns when it is durable.
func (l Log) Record(ctx context.Context, r *audit.Recorder, e Event) (err error) {
	defer tried.To(&err, "record event")
	return r.Record(ctx, l.event(ctx, e))
}

func (l Log) event(ctx context.Context, e Event) audit.Event {
	if p, ok := auth.FromContext(ctx); ok {
		e.Actor, e.Kind = p.Subject, p.Kind
	}
	if e.Kind == "" {
		e.Kind = "system"
	}
	if e.Outcome == "" {
		e.Outcome = outcomeOK
	}
	return audit.Event{
		At: l.Clock.Now(), Action: e.Action, Actor: e.Actor, ActorKind: e.Kind, Target: e.Target, Outcome: e.Outcome,
		RequestID: requestid.From(ctx), Address: requestid.Client(ctx), Detail: e.Detail,
	}
}

// Granted adds the granted scopes and roles to the details of an event.
func Granted(detail map[string]string, scopes, roles []string) map[string]string {
	detail["scopes"] = strings.Join(scopes, " ")
	if len(roles) > 0 {
		detail["roles"] = strings.Join(roles, " ")
	}
	return detail
}
