package writer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/audit"
)

// maxListed bounds, in bytes, the number changes that the audit event of a reorder or a move lists. The hash covers all of them. Elements that a far move has shifted are recorded by their range instead.
const maxListed = 4 << 10

// statusActions are the audited actions, by the status that they give an element.
var statusActions = map[domain.Status]string{domain.Omitted: "omitElement", domain.Active: "restoreElement"}

// events returns the audit events of a change that was made. Creations and new versions have none, because their rows record who made them.
func (t *try) events(at time.Time) []audit.Event {
	if len(t.change.Done.Touched) == 0 {
		return nil
	}
	event := func(action string, actor domain.Actor, target string, detail map[string]string) []audit.Event {
		return []audit.Event{{
			At: at, Action: action, Actor: actor.Subject, ActorKind: actor.Kind, Target: target, Outcome: audit.OK,
			RequestID: actor.RequestID, Address: actor.Address, Detail: detail,
		}}
	}
	switch {
	case t.Restate != nil:
		r := t.Restate.Ref
		return event(statusActions[t.Restate.Status], t.Restate.Actor, r.Scope+"/"+r.ElementType+"/"+r.ID, nil)
	case t.Reorder != nil:
		g := t.Reorder.Group
		return event("reorderElements", t.Reorder.Actor, g.Scope+"/"+g.ElementType, t.orderDetail())
	case t.Move != nil:
		r := t.Move.Ref
		return event("moveElement", t.Move.Actor, r.Scope+"/"+r.ElementType+"/"+r.ID, t.orderDetail())
	}
	return nil
}

// orderDetail returns the detail of the audit event of a reorder or a move.
func (t *try) orderDetail() map[string]string {
	if t.detail != nil {
		return t.detail
	}
	var comment *string
	if t.Reorder != nil {
		comment = t.Reorder.Comment
	}
	detail := reorderDetail(t.change.Done.Numbers, comment)
	if s := t.change.Done.Shift; s != nil {
		detail["changed"] = strconv.FormatInt(s.Count()+1, 10) // with the moved element
		detail["shifted"] = fmt.Sprintf("%d-%d by %+d", s.From, s.To, s.By)
	}
	return detail
}

func reorderDetail(changes []domain.NumberChange, comment *string) map[string]string {
	var listed strings.Builder
	all := sha256.New()
	for _, c := range changes {
		line := fmt.Sprintf("%s:%d>%d ", c.ID, c.From, c.To)
		all.Write([]byte(line))
		if listed.Len()+len(line) <= maxListed {
			listed.WriteString(line)
		}
	}
	detail := map[string]string{
		"changed": strconv.Itoa(len(changes)),
		"changes": strings.TrimSuffix(listed.String(), " "),
		"sha256":  hex.EncodeToString(all.Sum(nil)),
	}
	if comment != nil {
		detail["comment"] = *comment
	}
	return detail
}
