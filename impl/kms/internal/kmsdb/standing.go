package kmsdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Standing implements authority.StandingRows.
type Standing struct{}

// locking is the end of a SELECT that locks what it reads.
func locking(q store.Querier, lock authority.Lock) string {
	if q.Dialect() != store.PostgreSQL {
		return "" // the one writer of SQLite
	}
	switch lock {
	case authority.Shared:
		return " FOR SHARE"
	case authority.Exclusive:
		return " FOR UPDATE"
	}
	return ""
}

// Owner reads a user or a service, with all that the decision about it needs, and locks its row as asked for until the transaction ends. It is false
// when there is none; a deleted one is found, and not active.
func (Standing) Owner(ctx context.Context, q store.Querier, ref authority.Ref, lock authority.Lock) (authority.Owner, bool, error) {
	if ref.Kind == auth.KindUser {
		var r userRow
		found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE id = ?"+locking(q, lock), ref.ID)
		if err != nil {
			return authority.Owner{}, false, fmt.Errorf("read user: %w", err)
		}
		// After the row is locked: whoever changes a role changes the epochs of all who have it, in the same transaction.
		roles := strings.Fields(r.Roles)
		definitions, err := Roles{}.Definitions(ctx, q, roles)
		if err != nil {
			return authority.Owner{}, false, fmt.Errorf("read roles: %w", err)
		}
		return authority.Owner{
			Ref: ref, Name: r.Username, Active: r.Status == "active", Roles: roles, Scopes: authority.ScopesOf(roles, definitions), Epoch: r.Epoch,
			Tenant: r.Tenant, Mailbox: r.Email != "" || r.Mailed == 1,
		}, found, nil
	}
	var r serviceRow
	found, err := one(ctx, q, &r, "SELECT "+serviceColumns+" FROM services WHERE id = ?"+locking(q, lock), ref.ID)
	if err != nil {
		return authority.Owner{}, false, fmt.Errorf("read service: %w", err)
	}
	return authority.Owner{
		Ref: ref, Name: r.Name, Active: r.Status == "active", Scopes: strings.Fields(r.Scopes), Family: r.Family == 1, Epoch: r.Epoch,
		Tenant: r.Tenant,
	}, found, nil
}

// LiveSession locks a session of the user (shared); false when it waits for its second factor, is revoked, expired, from before a restore, another
// user's or not there.
func (Standing) LiveSession(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read live session")
	var n int64
	return one(ctx, tx, &n, "SELECT 1 FROM refresh_families WHERE sid = ? AND user_id = ? AND waiting = 0 AND revoked_at IS NULL AND expires_at > ? AND"+
		afterRestore+locking(tx, authority.Shared), sid, userID, at.UnixMicro())
}

// WaitingSession locks a session of the user that waits for its second factor, for whoever ends the wait; false when it does not wait, or is over.
func (Standing) WaitingSession(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read waiting session")
	var n int64
	return one(ctx, tx, &n, "SELECT 1 FROM refresh_families WHERE sid = ? AND user_id = ? AND waiting = 1 AND revoked_at IS NULL AND expires_at > ? AND"+
		afterRestore+locking(tx, authority.Exclusive), sid, userID, at.UnixMicro())
}

// WorkingKey locks a key of the owner (shared); false when it is revoked, expired, from before a restore, another owner's or not there.
func (Standing) WorkingKey(ctx context.Context, tx *store.Tx, keyID string, owner authority.Ref, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read working key")
	var n int64
	return one(ctx, tx, &n, "SELECT 1 FROM api_keys WHERE id = ? AND owner_kind = ? AND owner_id = ? AND"+works+locking(tx, authority.Shared),
		keyID, owner.Kind, owner.ID, at.UnixMicro())
}

// TokenEnded reports whether the feed holds the end of this one token.
func (Standing) TokenEnded(ctx context.Context, q store.Querier, jti string) (_ bool, err error) {
	defer tried.To(&err, "read end of token")
	var n int64
	return one(ctx, q, &n, "SELECT 1 FROM revocations WHERE id = ? AND kind = ?", jti, revocation.Token)
}
