package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/openid"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// OpenID implements openid.Rows.
type OpenID struct{}

type clientRow struct {
	ID         string `db:"id"`
	Name       string `db:"name"`
	SecretHash []byte `db:"secret_hash"`
	Redirects  string `db:"redirect_uris"`
	Afterwards string `db:"post_logout_redirect_uris"`
	Scopes     string `db:"scopes"`
	Trusted    int64  `db:"trusted"`
	Version    int64  `db:"version"`
	CreatedAt  int64  `db:"created_at"`
	UpdatedAt  int64  `db:"updated_at"`
}

const clientColumns = "id, name, secret_hash, redirect_uris, post_logout_redirect_uris, scopes, trusted, version, created_at, updated_at"

func (r clientRow) client() openid.Client {
	return openid.Client{
		ID: r.ID, Name: r.Name, SecretHash: r.SecretHash, RedirectURIs: strings.Fields(r.Redirects), PostLogoutRedirectURIs: strings.Fields(r.Afterwards),
		Scopes: strings.Fields(r.Scopes), Trusted: r.Trusted == 1, Version: r.Version, CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt),
	}
}

// Insert implements openid.Rows; false when there already are most clients. An ID that is taken is a database error.
func (OpenID) Insert(ctx context.Context, tx *store.Tx, c openid.Client, most int) (_ bool, err error) {
	defer tried.To(&err, "insert client")
	var n int
	if err := tx.Get(ctx, &n, "SELECT COUNT(*) FROM clients"); err != nil || n >= most {
		return false, err
	}
	return changed(ctx, tx, "INSERT INTO clients ("+clientColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.ID, c.Name, c.SecretHash, join(c.RedirectURIs), join(c.PostLogoutRedirectURIs), join(c.Scopes), flag(c.Trusted), c.Version,
		c.CreatedAt.UnixMicro(), c.UpdatedAt.UnixMicro())
}

// Client implements openid.Rows; false when there is no such client.
func (OpenID) Client(ctx context.Context, q store.Querier, id string, lock authority.Lock) (_ openid.Client, _ bool, err error) {
	defer tried.To(&err, "read client")
	var r clientRow
	found, err := one(ctx, q, &r, "SELECT "+clientColumns+" FROM clients WHERE id = ?"+locking(q, lock), id)
	return r.client(), found, err
}

// List implements openid.Rows: at most limit clients by ID, starting after the given ID.
func (OpenID) List(ctx context.Context, q store.Querier, after string, limit int) (_ []openid.Client, err error) {
	defer tried.To(&err, "read clients")
	var rows []clientRow
	err = q.Select(ctx, &rows, "SELECT "+clientColumns+" FROM clients WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	clients := make([]openid.Client, len(rows))
	for i, r := range rows {
		clients[i] = r.client()
	}
	return clients, err
}

// Update implements openid.Rows; false when the client is at another version or does not exist.
func (OpenID) Update(ctx context.Context, tx *store.Tx, c openid.Client, from int64) (_ bool, err error) {
	defer tried.To(&err, "update client row")
	return changed(ctx, tx, `UPDATE clients SET name = ?, secret_hash = ?, redirect_uris = ?, post_logout_redirect_uris = ?, scopes = ?, trusted = ?, version = ?,
		updated_at = ? WHERE id = ? AND version = ?`, c.Name, c.SecretHash, join(c.RedirectURIs), join(c.PostLogoutRedirectURIs), join(c.Scopes), flag(c.Trusted),
		c.Version, c.UpdatedAt.UnixMicro(), c.ID, from)
}

// Delete implements openid.Rows; false when there is no such client.
func (OpenID) Delete(ctx context.Context, tx *store.Tx, id string) (_ bool, err error) {
	defer tried.To(&err, "delete client row")
	return changed(ctx, tx, "DELETE FROM clients WHERE id = ?", id)
}

// Consent implements openid.Rows. It returns no scopes when there is no consent.
func (OpenID) Consent(ctx context.Context, q store.Querier, userID, clientID string) (_ []string, err error) {
	defer tried.To(&err, "read consent")
	var scopes string
	_, err = one(ctx, q, &scopes, "SELECT scopes FROM consents WHERE user_id = ? AND client_id = ?", userID, clientID)
	return strings.Fields(scopes), err
}

// PutConsent implements openid.Rows. An unknown user or client is a database error.
func (OpenID) PutConsent(ctx context.Context, tx *store.Tx, userID, clientID string, scopes []string, at time.Time) (err error) {
	defer tried.To(&err, "write consent")
	_, err = tx.Exec(ctx, `INSERT INTO consents (user_id, client_id, scopes, updated_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (user_id, client_id) DO UPDATE SET scopes = excluded.scopes, updated_at = excluded.updated_at`, userID, clientID, join(scopes), at.UnixMicro())
	return err
}

// Consents implements openid.Rows: at most limit, by the ID of the client.
func (OpenID) Consents(ctx context.Context, q store.Querier, userID, after string, limit int) (_ []openid.Given, err error) {
	defer tried.To(&err, "read consents")
	var rows []struct {
		ClientID  string `db:"client_id"`
		Name      string `db:"name"`
		Scopes    string `db:"scopes"`
		UpdatedAt int64  `db:"updated_at"`
	}
	err = q.Select(ctx, &rows, `SELECT s.client_id, c.name, s.scopes, s.updated_at FROM consents s JOIN clients c ON c.id = s.client_id
		WHERE s.user_id = ? AND s.client_id > ? ORDER BY s.client_id LIMIT ?`, userID, after, limit)
	given := make([]openid.Given, len(rows))
	for i, r := range rows {
		given[i] = openid.Given{ClientID: r.ClientID, ClientName: r.Name, Scopes: strings.Fields(r.Scopes), UpdatedAt: at(r.UpdatedAt)}
	}
	return given, err
}

// DeleteConsent implements openid.Rows; false when there is none.
func (OpenID) DeleteConsent(ctx context.Context, tx *store.Tx, userID, clientID string) (_ bool, err error) {
	defer tried.To(&err, "delete consent")
	return changed(ctx, tx, "DELETE FROM consents WHERE user_id = ? AND client_id = ?", userID, clientID)
}

// DropCodes implements openid.Rows.
func (OpenID) DropCodes(ctx context.Context, tx *store.Tx, userID, clientID string) (err error) {
	defer tried.To(&err, "delete unused codes")
	unused := store.Rows{
		Table: "authorization_codes", Key: []string{"hash"}, Args: []any{clientID, userID},
		Where: "client_id = ? AND used_at IS NULL AND sid IN (SELECT sid FROM refresh_families WHERE user_id = ?)",
	}
	_, err = unused.Delete(ctx, tx)
	return err
}

// InsertCode implements openid.Rows. An existing hash and an unknown client or session are database errors.
func (OpenID) InsertCode(ctx context.Context, tx *store.Tx, hash []byte, c openid.Code) (err error) {
	defer tried.To(&err, "insert code")
	_, err = tx.Exec(ctx, `INSERT INTO authorization_codes
		(hash, client_id, sid, redirect_uri, challenge, nonce, scopes, acr, amr, factor, auth_time, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		hash, c.ClientID, c.SessionID, c.RedirectURI, c.Challenge, c.Nonce, join(c.Scopes), c.Level.ACR, join(c.Level.AMR), c.Level.Factor,
		c.AuthTime.UnixMicro(), c.CreatedAt.UnixMicro(), c.ExpiresAt.UnixMicro())
	return err
}

// Code implements openid.Rows; false when the code is unknown or from before a restore.
func (OpenID) Code(ctx context.Context, q store.Querier, hash []byte) (_ openid.Code, _ bool, err error) {
	defer tried.To(&err, "read code")
	var r struct {
		ClientID  string  `db:"client_id"`
		SID       string  `db:"sid"`
		UserID    string  `db:"user_id"`
		Redirect  string  `db:"redirect_uri"`
		Challenge string  `db:"challenge"`
		Nonce     string  `db:"nonce"`
		Scopes    string  `db:"scopes"`
		ACR       string  `db:"acr"`
		AMR       string  `db:"amr"`
		Factor    string  `db:"factor"`
		AuthTime  int64   `db:"auth_time"`
		CreatedAt int64   `db:"created_at"`
		ExpiresAt int64   `db:"expires_at"`
		Gave      *string `db:"gave"`
	}
	found, err := one(ctx, q, &r, `SELECT client_id, sid, (SELECT user_id FROM refresh_families f WHERE f.sid = authorization_codes.sid) AS user_id, redirect_uri,
		challenge, nonce, scopes, acr, amr, factor, auth_time, created_at, expires_at, gave FROM authorization_codes WHERE hash = ? AND`+afterRestore, hash)
	if err != nil || !found {
		return openid.Code{}, false, err
	}
	c := openid.Code{
		ClientID: r.ClientID, SessionID: r.SID, UserID: r.UserID, RedirectURI: r.Redirect, Challenge: r.Challenge, Nonce: r.Nonce, Scopes: strings.Fields(r.Scopes),
		AuthTime: at(r.AuthTime), CreatedAt: at(r.CreatedAt), ExpiresAt: at(r.ExpiresAt),
	}
	if r.Gave != nil {
		c.Gave = *r.Gave
	}
	if r.ACR != "" {
		c.Level = session.Level{ACR: r.ACR, AMR: strings.Fields(r.AMR), Factor: r.Factor, At: c.AuthTime}
	}
	return c, true, nil
}

// UseCode implements openid.Rows. It is false, and uses nothing, when the code was used, has expired, is unknown, belongs to another client, or was issued for
// another redirect URI or challenge. Of concurrent calls only the first is true.
func (OpenID) UseCode(ctx context.Context, tx *store.Tx, hash []byte, clientID, redirectURI, challenge, gave string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark code as used")
	return changed(ctx, tx, `UPDATE authorization_codes SET used_at = ?, gave = ?
		WHERE hash = ? AND client_id = ? AND redirect_uri = ? AND challenge = ? AND used_at IS NULL AND expires_at > ? AND`+afterRestore,
		at.UnixMicro(), gave, hash, clientID, redirectURI, challenge, at.UnixMicro())
}

// SweepCodes implements openid.Rows.
func (OpenID) SweepCodes(ctx context.Context, tx *store.Tx, before time.Time) (err error) {
	defer tried.To(&err, "delete codes")
	old := store.Rows{Table: "authorization_codes", Key: []string{"hash"}, Where: "expires_at < ?", Args: []any{before.UnixMicro()}}
	_, err = old.Delete(ctx, tx)
	return err
}
