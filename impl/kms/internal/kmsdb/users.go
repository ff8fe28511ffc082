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

// emailKey returns the unique key of a mail address; nil for no address.
func emailKey(address string) *string {
	if address == "" {
		return nil
	}
	key := mailaddress.Key(address)
	return &key
}

// Insert implements user.Rows; false when the name is taken, also by a deleted user. An ID or an address that is taken is a database error.
func (Users) Insert(ctx context.Context, tx *store.Tx, u user.User, passwordHash string) (_ bool, err error) {
	defer tried.To(&err, "insert user")
	return changed(ctx, tx, "INSERT INTO users ("+userColumns+", email_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, ?) ON CONFLICT (username) DO NOTHING",
		u.ID, u.Username, passwordHash, join(u.Roles), u.Status, u.Version, u.CreatedAt.UnixMicro(), u.UpdatedAt.UnixMicro(), u.Tenant, u.Email, emailKey(u.Email))
}

// Update implements user.Rows; false when the user is at another version or does not exist. An address that is taken is a database error.
func (Users) Update(ctx context.Context, tx *store.Tx, u user.User, from int64) (_ bool, err error) {
	defer tried.To(&err, "update user row")
	return changed(ctx, tx, "UPDATE users SET roles = ?, status = ?, email = ?, email_key = ?, version = ?, updated_at = ? WHERE id = ? AND version = ?",
		join(u.Roles), u.Status, u.Email, emailKey(u.Email), u.Version, u.UpdatedAt.UnixMicro(), u.ID, from)
}

// Get implements user.Rows and session.Users; false when the user does not exist or is deleted.
func (Users) Get(ctx context.Context, q store.Querier, id string) (_ user.User, _ bool, err error) {
	defer tried.To(&err, "read user")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE id = ? AND deleted_at IS NULL", id)
	return r.user(), found, err
}

// Credentials implements session.Users. It is false, with an empty hash, when no user has exactly this name or the user is deleted.
func (Users) Credentials(ctx context.Context, q store.Querier, username string) (_ user.User, _ string, _ bool, err error) {
	defer tried.To(&err, "read credentials of user")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE username = ? AND deleted_at IS NULL", username)
	return r.user(), r.PasswordHash, found, err
}

// ByName implements user.Rows; false when no user has exactly this name or the user is deleted.
func (Users) ByName(ctx context.Context, q store.Querier, username string) (_ user.User, _ bool, err error) {
	defer tried.To(&err, "read user by name")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE username = ? AND deleted_at IS NULL", username)
	return r.user(), found, err
}

// ByEmail implements user.Rows; false when no user has the address. Its case does not matter.
func (Users) ByEmail(ctx context.Context, q store.Querier, address string) (_ user.User, _ bool, err error) {
	defer tried.To(&err, "read user by mail address")
	var r userRow
	found, err := one(ctx, q, &r, "SELECT "+userColumns+" FROM users WHERE email_key = ? AND deleted_at IS NULL", mailaddress.Key(address))
	return r.user(), found, err
}

// List implements user.Rows: at most limit users by name, starting after the given name, without deleted ones.
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

// FirstAdministrator implements user.Rows; false when there already is an administrator. The counter's row stays locked until the transaction ends.
func (Users) FirstAdministrator(ctx context.Context, tx *store.Tx) (_ bool, err error) {
	defer tried.To(&err, "count first administrator")
	return changed(ctx, tx, "UPDATE administration SET active = 1 WHERE id = 1 AND active = 0")
}

// MoreAdministrators implements user.Rows. The counter's row stays locked until the transaction ends.
func (Users) MoreAdministrators(ctx context.Context, tx *store.Tx) (err error) {
	defer tried.To(&err, "count one more administrator")
	_, err = tx.Exec(ctx, "UPDATE administration SET active = active + 1 WHERE id = 1")
	return err
}

// FewerAdministrators implements user.Rows; false, and nothing is counted, when only one is left. The counter's row stays locked until the
// transaction ends.
func (Users) FewerAdministrators(ctx context.Context, tx *store.Tx) (_ bool, err error) {
	defer tried.To(&err, "count one administrator fewer")
	return changed(ctx, tx, "UPDATE administration SET active = active - 1 WHERE id = 1 AND active > 1")
}

// Administrators implements user.Rows and user.BootstrapRows: the number of active administrators.
func (Users) Administrators(ctx context.Context, q store.Querier) (n int64, err error) {
	defer tried.To(&err, "read number of administrators")
	err = q.Get(ctx, &n, "SELECT active FROM administration WHERE id = 1")
	return n, err
}

// EndSessions revokes every session of the user except but, and returns how many. The caller raises the user's epoch, which ends their access tokens.
func (Users) EndSessions(ctx context.Context, tx *store.Tx, id, but string, at time.Time, reason string) (_ int64, err error) {
	defer tried.To(&err, "mark sessions as revoked")
	open := store.Rows{Table: "refresh_families", Key: []string{"sid"}, Where: "user_id = ? AND sid <> ? AND revoked_at IS NULL", Args: []any{id, but}}
	if err := open.Lock(ctx, tx); err != nil {
		return 0, err
	}
	return tx.Exec(ctx, "UPDATE refresh_families SET revoked_at = ?, revoked_for = ? WHERE "+open.Where, append([]any{at.UnixMicro(), reason}, open.Args...)...)
}

// SetPassword implements user.Rows. It keeps the version. An unknown user is not an error.
func (Users) SetPassword(ctx context.Context, tx *store.Tx, id, hash string, at time.Time) (err error) {
	defer tried.To(&err, "write password hash")
	_, err = tx.Exec(ctx, "UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?", hash, at.UnixMicro(), id)
	return err
}

// Delete marks a user as deleted and disables them; false when they were already deleted.
func (Users) Delete(ctx context.Context, tx *store.Tx, id string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark user as deleted")
	if _, err := tx.Exec(ctx, "DELETE FROM consents WHERE user_id = ?", id); err != nil {
		return false, err
	}
	return changed(ctx, tx, `UPDATE users SET deleted_at = ?, status = 'disabled', password_hash = '', roles = '', email = '', email_key = NULL, version = version + 1, updated_at = ?
		WHERE id = ? AND deleted_at IS NULL`, at.UnixMicro(), at.UnixMicro(), id)
}

// InsertReset stores a reset by the hash of its token, and invalidates older unused resets of the user. An existing hash and an unknown user are
// database errors.
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

// superseded is the reason for not sending a mail whose link has become invalid.
const superseded = "superseded"

const resetOpen = " hash = ? AND used_at IS NULL AND superseded_at IS NULL AND expires_at > ? AND" + afterRestore

// ResetUser returns the user of a reset; open is false when it was used or superseded, has expired, is from before a restore or unknown.
func (Users) ResetUser(ctx context.Context, q store.Querier, hash []byte, at time.Time) (userID string, open bool, err error) {
	defer tried.To(&err, "read password reset")
	open, err = one(ctx, q, &userID, "SELECT user_id FROM password_resets WHERE"+resetOpen, hash, at.UnixMicro())
	return userID, open, err
}

// UseReset marks a reset as used, and returns whether its token was sent by mail. used is false when the reset is not open (see ResetUser). Of concurrent
// calls only the first is true.
func (Users) UseReset(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (mailed, used bool, err error) {
	defer tried.To(&err, "mark password reset as used")
	var n int64
	used, err = one(ctx, tx, &n, "UPDATE password_resets SET used_at = ? WHERE"+resetOpen+"RETURNING mailed", at.UnixMicro(), hash, at.UnixMicro())
	return n == 1, used, err
}

// SetMailed implements user.Rows. An unknown user is not an error.
func (Users) SetMailed(ctx context.Context, tx *store.Tx, id string, mailed bool) (err error) {
	defer tried.To(&err, "write how a password came")
	_, err = tx.Exec(ctx, "UPDATE users SET password_mailed = ? WHERE id = ?", flag(mailed), id)
	return err
}

// SweepTokens deletes resets and invitations that expired before the time.
func (Users) SweepTokens(ctx context.Context, tx *store.Tx, before time.Time) (err error) {
	defer tried.To(&err, "delete old resets and invitations")
	for table, key := range map[string]string{"password_resets": "hash", "invitations": "id"} {
		if _, err := old(table, key, before).Delete(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// old selects the rows of a table that expired before a time.
func old(table, key string, before time.Time) store.Rows {
	return store.Rows{Table: table, Key: []string{key}, Where: "expires_at < ?", Args: []any{before.UnixMicro()}}
}

// EndKeys revokes every API key of the user. The caller raises the user's epoch, which ends their access tokens.
func (Users) EndKeys(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (err error) {
	defer tried.To(&err, "mark keys of user as revoked")
	return revokeOwned(ctx, tx, auth.KindUser, id, at, reason)
}

// RaiseEpoch invalidates every access token of the user, and returns the new epoch; sql.ErrNoRows when there is no such user.
func (Users) RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (epoch int64, err error) {
	defer tried.To(&err, "raise epoch of user")
	err = tx.Get(ctx, &epoch, "UPDATE users SET token_epoch = token_epoch + 1 WHERE id = ? RETURNING token_epoch", id)
	return epoch, err
}

// InsertToken implements user.BootstrapRows. It stores the new token, and deletes the unused token that it replaces and those that have expired.
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

// TokenOpen implements user.BootstrapRows; false when the token was used, has expired, is from before a restore or unknown.
func (Users) TokenOpen(ctx context.Context, q store.Querier, hash []byte, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read bootstrap token")
	var n int64
	return one(ctx, q, &n, "SELECT 1 FROM bootstrap_tokens WHERE"+bootstrapOpen, hash, at.UnixMicro())
}

// UseToken implements user.BootstrapRows; false when the token is not open. Of concurrent calls only the first is true.
func (Users) UseToken(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark bootstrap token as used")
	return changed(ctx, tx, "UPDATE bootstrap_tokens SET used_at = ? WHERE"+bootstrapOpen, at.UnixMicro(), hash, at.UnixMicro())
}
