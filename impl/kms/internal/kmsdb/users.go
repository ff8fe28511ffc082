package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/mailaddress"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Users implements user.Rows and session.Users.
type Users struct{}

type userRow struct {
	ID           string `db:"id"`
	Username     string `db:"username"`
	PasswordHash string `db:"password_hash"`
	Roles        string `db:"roles"`
	Status       string `db:"status"`
	Version      int64  `db:"version"`
	CreatedAt    int64  `db:"created_at"`
	UpdatedAt    int64  `db:"updated_at"`
	Epoch        int64  `db:"token_epoch"`
	Tenant       string `db:"tenant"`
	Email        string `db:"email"`
	Mailed       int64  `db:"password_mailed"`
}

const userColumns = "id, username, password_hash, roles, status, version, created_at, updated_at, token_epoch, tenant, email, password_mailed"

func (r userRow) user() user.User {
	return user.User{
		ID: r.ID, Username: r.Username, Roles: strings.Fields(r.Roles), Status: r.Status, Version: r.Version,
		CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt), Epoch: r.Epoch, Tenant: r.Tenant, Email: r.Email,
	}
}

// emailKey is what no two users have the same; nil for none.
func emailKey(address string) *string {
	if address == "" {
		return nil
	}
	key := mailaddress.Key(address)
	return &key
}

// Insert implements user.Rows: false when the name is taken, by a deleted user too. An id or an address that is taken is the database's error.
func (Users) Insert(ctx context.Context, tx *store.Tx, u user.User, passwordHash string) (_ bool, err error) {
	defer tried.To(&err, "insert user")
	return changed(ctx, tx, "INSERT INTO users ("+userColumns+", email_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, ?) ON CONFLICT (username) DO NOTHING",
		u.ID, u.Username, passwordHash, join(u.Roles), u.Status, u.Version, u.CreatedAt.UnixMicro(), u.UpdatedAt.UnixMicro(), u.Tenant, u.Email, emailKey(u.Email))
}

// Update implements user.Rows: false when the user is not there or at another version. An address that is taken is the database's error.
func (Users) Update(ctx context.Context, tx *store.Tx, u user.User, from int64) (_ bool, err error) {
	defer tried.To(&err, "update user row")
	return changed(ctx, tx, "UPDATE users SET roles = ?, status = ?, email = ?, email_key = ?, version = ?, updated_at = ? WHERE id = ? AND version = ?",
		join(u.Roles), u.Status, u.Email, emailKey(u.Email), u.Version, u.UpdatedAt.UnixMicro(), u.ID, from)
}

// Get implements user.Rows and session.Users: false when there is none or the user is deleted.
func (Users) Get(ctx context.Context, q store.Querier, id string) (_ user.User, _ bool, err error) {
	defer tried.To(&err, "read user")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE id = ? AND deleted_at IS NULL", id)
	return r.user(), found, err
}

// Credentials implements session.Users: the user and the hash of the password; false, with an empty hash, when there is none of exactly this
// name or the user is deleted.
func (Users) Credentials(ctx context.Context, q store.Querier, username string) (_ user.User, _ string, _ bool, err error) {
	defer tried.To(&err, "read credentials of user")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE username = ? AND deleted_at IS NULL", username)
	return r.user(), r.PasswordHash, found, err
}

// ByName implements user.Rows: false when there is none of exactly this name or the user is deleted.
func (Users) ByName(ctx context.Context, q store.Querier, username string) (_ user.User, _ bool, err error) {
	defer tried.To(&err, "read user by name")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE username = ? AND deleted_at IS NULL", username)
	return r.user(), found, err
}

// ByEmail implements user.Rows: false when nobody has the address, whatever its case.
func (Users) ByEmail(ctx context.Context, q store.Querier, address string) (_ user.User, _ bool, err error) {
	defer tried.To(&err, "read user by mail address")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE email_key = ? AND deleted_at IS NULL", mailaddress.Key(address))
	return r.user(), found, err
}

// List implements user.Rows: at most limit users by name, those after the given one, without the deleted ones; none is no error.
func (Users) List(ctx context.Context, q store.Querier, after string, limit int) (_ []user.User, err error) {
	defer tried.To(&err, "read users")
	var rows []userRow
	err = q.Select(ctx, &rows, "SELECT "+userColumns+" FROM users WHERE username > ? AND deleted_at IS NULL ORDER BY username LIMIT ?", after, limit)
	users := make([]user.User, len(rows))
	for i, r := range rows {
		users[i] = r.user()
	}
	return users, err
}

// FirstAdministrator implements user.Rows: false when there is an administrator already. The count's row stays locked until the transaction ends.
func (Users) FirstAdministrator(ctx context.Context, tx *store.Tx) (_ bool, err error) {
	defer tried.To(&err, "count first administrator")
	return changed(ctx, tx, "UPDATE administration SET active = 1 WHERE id = 1 AND active = 0")
}

// MoreAdministrators implements user.Rows. The count's row stays locked until the transaction ends.
func (Users) MoreAdministrators(ctx context.Context, tx *store.Tx) (err error) {
	defer tried.To(&err, "count one more administrator")
	_, err = tx.Exec(ctx, "UPDATE administration SET active = active + 1 WHERE id = 1")
	return err
}

// FewerAdministrators implements user.Rows: false, and nothing is counted, when one is all there are. The count's row stays locked until the
// transaction ends.
func (Users) FewerAdministrators(ctx context.Context, tx *store.Tx) (_ bool, err error) {
	defer tried.To(&err, "count one administrator fewer")
	return changed(ctx, tx, "UPDATE administration SET active = active - 1 WHERE id = 1 AND active > 1")
}

// Administrators implements user.Rows and user.BootstrapRows: how many active administrators there are.
func (Users) Administrators(ctx context.Context, q store.Querier) (n int64, err error) {
	defer tried.To(&err, "read number of administrators")
	err = q.Get(ctx, &n, "SELECT active FROM administration WHERE id = 1")
	return n, err
}

// EndSessions revokes every session of the user but one and returns how many it has ended. Their access tokens end by the user's epoch.
func (Users) EndSessions(ctx context.Context, tx *store.Tx, id, but string, at time.Time, reason string) (_ int64, err error) {
	defer tried.To(&err, "mark sessions as revoked")
	open := store.Rows{Table: "refresh_families", Key: []string{"sid"}, Where: "user_id = ? AND sid <> ? AND revoked_at IS NULL", Args: []any{id, but}}
	if err := open.Lock(ctx, tx); err != nil {
		return 0, err
	}
	return tx.Exec(ctx, "UPDATE refresh_families SET revoked_at = ?, revoked_for = ? WHERE "+open.Where, append([]any{at.UnixMicro(), reason}, open.Args...)...)
}

// SetPassword implements user.Rows: it replaces the hash and keeps the version. A user who is not there is no error.
func (Users) SetPassword(ctx context.Context, tx *store.Tx, id, hash string, at time.Time) (err error) {
	defer tried.To(&err, "write password hash")
	_, err = tx.Exec(ctx, "UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?", hash, at.UnixMicro(), id)
	return err
}

// Delete marks a user as deleted and disables them; false when they were deleted before.
func (Users) Delete(ctx context.Context, tx *store.Tx, id string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark user as deleted")
	if _, err := tx.Exec(ctx, "DELETE FROM consents WHERE user_id = ?", id); err != nil {
		return false, err
	}
	return changed(ctx, tx, `UPDATE users SET deleted_at = ?, status = 'disabled', password_hash = '', roles = '', email = '', email_key = NULL, version = version + 1, updated_at = ?
		WHERE id = ? AND deleted_at IS NULL`, at.UnixMicro(), at.UnixMicro(), id)
}

// InsertReset stores a reset by the hash of its token; older unused ones of the user stop working. A hash or a user that does not fit is the
// database's error.
func (Users) InsertReset(ctx context.Context, tx *store.Tx, hash []byte, userID string, mailed bool, at, expires time.Time) (err error) {
	defer tried.To(&err, "insert password reset")
	if err := endResets(ctx, tx, userID, at); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO password_resets (hash, user_id, mailed, created_at, expires_at) VALUES (?, ?, ?, ?, ?)", hash, userID, flag(mailed), at.UnixMicro(), expires.UnixMicro())
	return err
}

// EndResets implements user.Rows.
func (Users) EndResets(ctx context.Context, tx *store.Tx, userID string, at time.Time) (err error) {
	defer tried.To(&err, "end password resets")
	return endResets(ctx, tx, userID, at)
}

func endResets(ctx context.Context, tx *store.Tx, userID string, at time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE password_resets SET superseded_at = ? WHERE user_id = ? AND used_at IS NULL AND superseded_at IS NULL", at.UnixMicro(), userID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, failMail+"user_id = ? AND kind IN (?, ?)", superseded, at.UnixMicro(), userID, string(mail.PasswordReset), string(mail.ForgottenPassword))
	return err
}

// superseded is why a mail is not sent whose link works no more.
const superseded = "superseded"

const resetOpen = " hash = ? AND used_at IS NULL AND superseded_at IS NULL AND expires_at > ? AND" + afterRestore

// ResetUser returns the user of a reset; false when it was used, superseded, has expired, is from before a restore or unknown.
func (Users) ResetUser(ctx context.Context, q store.Querier, hash []byte, at time.Time) (userID string, open bool, err error) {
	defer tried.To(&err, "read password reset")
	open, err = one(ctx, q, &userID, "SELECT user_id FROM password_resets WHERE"+resetOpen, hash, at.UnixMicro())
	return userID, open, err
}

// UseReset uses a reset up, and returns whether its token went by mail; used is false when ResetUser would not find it. Of several at once the first alone is true.
func (Users) UseReset(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (mailed, used bool, err error) {
	defer tried.To(&err, "mark password reset as used")
	var n int64
	used, err = one(ctx, tx, &n, "UPDATE password_resets SET used_at = ? WHERE"+resetOpen+"RETURNING mailed", at.UnixMicro(), hash, at.UnixMicro())
	return n == 1, used, err
}

// SetMailed implements user.Rows. A user who is not there is no error.
func (Users) SetMailed(ctx context.Context, tx *store.Tx, id string, mailed bool) (err error) {
	defer tried.To(&err, "write how a password came")
	_, err = tx.Exec(ctx, "UPDATE users SET password_mailed = ? WHERE id = ?", flag(mailed), id)
	return err
}

// SweepTokens deletes resets and invitations that ended before the time.
func (Users) SweepTokens(ctx context.Context, tx *store.Tx, before time.Time) (err error) {
	defer tried.To(&err, "delete old resets and invitations")
	for table, key := range map[string]string{"password_resets": "hash", "invitations": "id"} {
		if _, err := old(table, key, before).Delete(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// old are rows of a table that ended before a time.
func old(table, key string, before time.Time) store.Rows {
	return store.Rows{Table: table, Key: []string{key}, Where: "expires_at < ?", Args: []any{before.UnixMicro()}}
}

// EndKeys revokes every API key of the user. Their access tokens end by the user's epoch.
func (Users) EndKeys(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (err error) {
	defer tried.To(&err, "mark keys of user as revoked")
	return revokeOwned(ctx, tx, auth.KindUser, id, at, reason)
}

// RaiseEpoch ends every access token that the user has, and returns the new epoch; sql.ErrNoRows when there is no such user.
func (Users) RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (epoch int64, err error) {
	defer tried.To(&err, "raise epoch of user")
	err = tx.Get(ctx, &epoch, "UPDATE users SET token_epoch = token_epoch + 1 WHERE id = ? RETURNING token_epoch", id)
	return epoch, err
}

// InsertToken implements user.BootstrapRows: it deletes the unused token that is replaced and those that are over, and stores the new one.
func (Users) InsertToken(ctx context.Context, tx *store.Tx, hash, replaces []byte, at, expires time.Time) (err error) {
	defer tried.To(&err, "insert bootstrap token")
	_, err = tx.Exec(ctx, "DELETE FROM bootstrap_tokens WHERE used_at IS NULL AND (hash = ? OR expires_at <= ?)", replaces, at.UnixMicro())
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO bootstrap_tokens (hash, created_at, expires_at) VALUES (?, ?, ?)",
		hash, at.UnixMicro(), expires.UnixMicro())
	return err
}

const bootstrapOpen = " hash = ? AND used_at IS NULL AND expires_at > ? AND" + afterRestore

// TokenOpen implements user.BootstrapRows: false when the token was used, has expired, is from before a restore or unknown.
func (Users) TokenOpen(ctx context.Context, q store.Querier, hash []byte, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read bootstrap token")
	var n int64
	return one(ctx, q, &n, "SELECT 1 FROM bootstrap_tokens WHERE"+bootstrapOpen, hash, at.UnixMicro())
}

// UseToken implements user.BootstrapRows: false when TokenOpen is. Of several at once the first alone is true.
func (Users) UseToken(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark bootstrap token as used")
	return changed(ctx, tx, "UPDATE bootstrap_tokens SET used_at = ? WHERE"+bootstrapOpen, at.UnixMicro(), hash, at.UnixMicro())
}
