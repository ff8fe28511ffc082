package apikey

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Change is a partial update of a key; nil fields stay as they are.
type Change struct {
	Name     *string
	Metadata *map[string]string
	Limit    *RateLimit
}

// Update changes a valid key if match holds for its version, else it fails with domain.PreconditionFailed. A key that has ended is domain.StateConflict.
// Changing the limit requires a session: the token of a key can't lift the limit (domain.Forbidden).
func (s *Keys) Update(ctx context.Context, caller Caller, keyID string, match etag.Match, c Change) (_ Key, err error) {
	defer tried.To(&err, "update key")
	var after Key
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		before, _, err := s.hold(ctx, tx, caller, authority.UpdateKey, keyID)
		if err != nil {
			return err
		}
		if c.Limit != nil && caller.SessionID == "" {
			return domain.Refuse(domain.Forbidden, "An API key can't change a rate limit; sign in to change it.")
		}
		if status := before.Status(s.clock.Now()); status != Active && status != Expiring {
			return domain.Refuse(domain.StateConflict, "The key has ended.")
		}
		after = before.with(c)
		after.Version = before.Version + 1
		updated := match.Holds(before.Version)
		if updated {
			if updated, err = s.rows.Update(ctx, tx, after, before.Version); err != nil {
				return fmt.Errorf("store key: %w", err)
			}
		}
		if !updated {
			return domain.Refuse(domain.PreconditionFailed, "The key was changed since it was read.")
		}
		if after, err = s.withOwnerScopes(ctx, tx, after); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "updateApiKey", Target: keyID})
	})
	return after, err
}

func (k Key) with(c Change) Key {
	if c.Name != nil {
		k.Name = *c.Name
	}
	if c.Metadata != nil {
		k.Metadata = *c.Metadata
	}
	if c.Limit != nil {
		k.Limit = *c.Limit
	}
	return k
}
