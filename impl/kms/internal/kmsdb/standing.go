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

// locking returns the clause that makes a SELECT lock the rows it reads.
func locking(q store.Querier, lock authority.Lock) string {
	if q.Dialect() != store.PostgreSQL {
		return "" // SQLite has a single writer
	}
	switch lock {
	case authority.Shared:
		return " FOR SHARE"
	case authority.Exclusive:
		return " FOR UPDATE"
	}
	return ""
}

// Owner implements authority.Owners. It returns false when there is no such row; a deleted user or service is found, and is not active.
func (Standing) Owner(ctx context.Context, q store.Querier, ref authority.Ref, lock authority.Lock) (authority.Owner, bool, error) {
	if ref.Kind == auth.KindUser {
		var r userRow
		found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE id = ?"+locking(q, lock), ref.ID)
		if err != nil {
			return authority.Owner{}, false, fmt.Errorf("read user: %w", err)
		}
		// The roles are read after the row is locked: a change of a role raises the epochs of all its users in the same transaction.
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

// LiveSession locks a session of the user (shared). It is false when the session waits for its second factor, is revoked, expired, from before a restore,
// of another user or does not exist.
func (Standing) LiveSession(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read live session")
	var n int64
	return one(ctx, tx, &n, "SELECT 1 FROM refresh_families WHERE sid = ? AND user_id = ? AND waiting = 0 AND revoked_at IS NULL AND expires_at > ? AND"+
		afterRestore+locking(tx, authority.Shared), sid, userID, at.UnixMicro())
}

// WaitingSession locks a session of the user that waits for its second factor (exclusive), so that one transaction alone ends the wait. It is false when the
// session does not wait or has ended.
func (Standing) WaitingSession(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read waiting session")
	var n int64
	return one(ctx, tx, &n, "SELECT 1 FROM refresh_families WHERE sid = ? AND user_id = ? AND waiting = 1 AND revoked_at IS NULL AND expires_at > ? AND"+
		afterRestore+locking(tx, authority.Exclusive), sid, userID, at.UnixMicro())
}

// WorkingKey locks a key of the owner (shared). It is false when the key is revoked, expired, from before a restore, of another owner or does not exist.
func (Standing) WorkingKey(ctx context.Context, tx *store.Tx, keyID string, owner authority.Ref, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read working key")
	var n int64
	return one(ctx, tx, &n, "SELECT 1 FROM api_keys WHERE id = ? AND owner_kind = ? AND owner_id = ? AND"+works+locking(tx, authority.Shared),
		keyID, owner.Kind, owner.ID, at.UnixMicro())
}

// TokenEnded reports whether the revocation feed has an entry for this token.
func (Standing) TokenEnded(ctx context.Context, q store.Querier, jti string) (_ bool, err error) {
	defer tried.To(&err, "read end of token")
	var n int64
	return one(ctx, q, &n, "SELECT 1 FROM revocations WHERE id = ? AND kind = ?", jti, revocation.Token)
}
