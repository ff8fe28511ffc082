package kmsdb

import (
	"context"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Sessions implements session.Rows.
type Sessions struct{}

// Admit implements session.Rows. The attempt that reaches the limit sets the lock itself, so that of many concurrent attempts no more than the limit are
// ever checked. A lock that ends later than the longest lock allows was set by a clock that was ahead, and is ignored.
func (Sessions) Admit(ctx context.Context, tx *store.Tx, identity []byte, at time.Time, free int, locks []time.Duration) (_ bool, err error) {
	defer tried.To(&err, "write sign-in attempt")
	now := at.UnixMicro()
	var lock strings.Builder
	lock.WriteString("CASE login_guard.failures + 1")
	args := []any{identity, now}
	for i := range free {
		lock.WriteString(" WHEN ? THEN 0")
		args = append(args, i+1)
	}
	for i, wait := range locks[:len(locks)-1] {
		lock.WriteString(" WHEN ? THEN ?")
		args = append(args, free+i+1, now+wait.Microseconds())
	}
	lock.WriteString(" ELSE ? END")
	longest := locks[len(locks)-1]
	args = append(args, now+longest.Microseconds(), now, at.Add(longest+clock.Slack).UnixMicro())
	return changed(ctx, tx, `INSERT INTO login_guard (identity, failures, locked_until, updated_at) VALUES (?, 1, 0, ?)
		ON CONFLICT (identity) DO UPDATE SET failures = login_guard.failures + 1, updated_at = excluded.updated_at,
			locked_until = `+typed(tx, lock.String())+`
		WHERE login_guard.locked_until <= ? OR login_guard.locked_until > ?`, args...)
}

// typed adds the types of the placeholders, which PostgreSQL cannot infer in a CASE.
func typed(q store.Querier, expression string) string {
	if q.Dialect() == store.PostgreSQL {
		return strings.ReplaceAll(expression, "?", "CAST(? AS BIGINT)")
	}
	return expression
}

// Forgive implements session.Rows. An identity without failures is not an error.
func (Sessions) Forgive(ctx context.Context, tx *store.Tx, identity []byte, at time.Time) (err error) {
	defer tried.To(&err, "clear failed sign-ins")
	_, err = tx.Exec(ctx, "UPDATE login_guard SET failures = 0, locked_until = 0, updated_at = ? WHERE identity = ?", at.UnixMicro(), identity)
	return err
}

type familyRow struct {
	SID       string `db:"sid"`
	UserID    string `db:"user_id"`
	ClientID  string `db:"client_id"`
	AuthTime  int64  `db:"auth_time"`
	CreatedAt int64  `db:"created_at"`
	ExpiresAt int64  `db:"expires_at"`
	Waiting   int64  `db:"waiting"`
	ACR       string `db:"acr"`
	AMR       string `db:"amr"`
	Factor    string `db:"factor"`
	RaisedAt  int64  `db:"raised_at"`
	Parent    string `db:"parent"`
	Scopes    string `db:"scopes"`
	UserAgent string `db:"user_agent"`
}

const familyColumns = "sid, user_id, client_id, auth_time, created_at, expires_at, waiting, acr, amr, factor, raised_at, parent, scopes, user_agent"

func (r familyRow) family() session.Family {
	f := session.Family{
		ID: r.SID, UserID: r.UserID, ClientID: r.ClientID, Waits: r.Waiting == 1,
		AuthTime: at(r.AuthTime), CreatedAt: at(r.CreatedAt), ExpiresAt: at(r.ExpiresAt), Parent: r.Parent, UserAgent: r.UserAgent,
	}
	if r.Parent != "" {
		f.Scopes = strings.Fields(r.Scopes)
	}
	if r.ACR != "" {
		f.Level = session.Level{ACR: r.ACR, AMR: strings.Fields(r.AMR), Factor: r.Factor, At: at(r.RaisedAt)}
	}
	return f
}

// raised converts a level's time to its stored form; 0 is no level.
func raised(l session.Level) int64 {
	if l.At.IsZero() {
		return 0
	}
	return l.At.UnixMicro()
}

// familyLive is the condition that a session has not ended and does not wait for its second factor. Its placeholder is the time.
const familyLive = " waiting = 0 AND revoked_at IS NULL AND expires_at > ? AND" + afterRestore +
	"AND EXISTS (SELECT 1 FROM users u WHERE u.id = refresh_families.user_id AND u.status = 'active') "

// InsertFamily stores a session. The transaction has locked the user's row. An existing ID and an unknown user are database errors.
func (Sessions) InsertFamily(ctx context.Context, tx *store.Tx, f session.Family) (err error) {
	defer tried.To(&err, "insert session")
	waiting := 0
	if f.Waits {
		waiting = 1
	}
	_, err = tx.Exec(ctx, "INSERT INTO refresh_families ("+familyColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		f.ID, f.UserID, f.ClientID, f.AuthTime.UnixMicro(), f.CreatedAt.UnixMicro(), f.ExpiresAt.UnixMicro(),
		waiting, f.Level.ACR, join(f.Level.AMR), f.Level.Factor, raised(f.Level), f.Parent, join(f.Scopes), f.UserAgent)
	return err
}

// Complete implements session.Rows. It is false when the session does not wait or has ended. Of concurrent calls only the first is true.
func (Sessions) Complete(ctx context.Context, tx *store.Tx, sid string, l session.Level, now, expires time.Time) (_ session.Family, _ bool, err error) {
	defer tried.To(&err, "complete session")
	var r familyRow
	done, err := one(ctx, tx, &r, `UPDATE refresh_families SET waiting = 0, acr = ?, amr = ?, factor = ?, raised_at = ?, expires_at = ?
		WHERE sid = ? AND waiting = 1 AND revoked_at IS NULL AND expires_at > ? AND`+afterRestore+`RETURNING `+familyColumns,
		l.ACR, join(l.AMR), l.Factor, raised(l), expires.UnixMicro(), sid, now.UnixMicro())
	return r.family(), done, err
}

// Holder implements session.Rows; false when the token is unknown.
func (Sessions) Holder(ctx context.Context, q store.Querier, hash []byte) (_ session.Family, found bool, err error) {
	defer tried.To(&err, "read session of refresh token")
	var r familyRow
	found, err = one(ctx, q, &r, "SELECT "+familyColumns+" FROM refresh_families WHERE sid = (SELECT sid FROM refresh_tokens WHERE hash = ?)", hash)
	return r.family(), found, err
}

// InsertToken implements session.Rows. An existing hash and an unknown session are database errors.
func (Sessions) InsertToken(ctx context.Context, tx *store.Tx, hash []byte, familyID string, at, expires time.Time) (err error) {
	defer tried.To(&err, "insert refresh token")
	_, err = tx.Exec(ctx, "INSERT INTO refresh_tokens (hash, sid, created_at, expires_at) VALUES (?, ?, ?, ?)",
		hash, familyID, at.UnixMicro(), expires.UnixMicro())
	return err
}

// Use implements session.Rows. It is false, and uses nothing, when the token was used, has expired or is unknown, or its session has ended. Of concurrent
// calls only the first is true.
func (Sessions) Use(ctx context.Context, tx *store.Tx, hash, successor []byte, at, until time.Time) (_ session.Family, _ bool, err error) {
	defer tried.To(&err, "mark refresh token as used")
	now := at.UnixMicro()
	var sid string
	used, err := one(ctx, tx, &sid, `UPDATE refresh_tokens SET used_at = ?, successor_sealed = ?, successor_until = ?
		WHERE hash = ? AND used_at IS NULL AND expires_at > ?
			AND sid IN (SELECT sid FROM refresh_families WHERE`+familyLive+`)
		RETURNING sid`, now, successor, until.UnixMicro(), hash, now, now)
	if err != nil || !used {
		return session.Family{}, false, err
	}
	var r familyRow
	_, err = one(ctx, tx, &r, "SELECT "+familyColumns+" FROM refresh_families WHERE sid = ?", sid)
	return r.family(), true, err
}

// Shown implements session.Rows; false when the token is unknown.
func (Sessions) Shown(ctx context.Context, q store.Querier, hash []byte, at time.Time) (_ session.Shown, _ bool, err error) {
	defer tried.To(&err, "read refresh token")
	var r struct {
		SID       string `db:"sid"`
		Successor []byte `db:"successor_sealed"`
		Until     *int64 `db:"successor_until"`
		Live      int64  `db:"live"`
	}
	known, err := one(ctx, q, &r, `SELECT sid, successor_sealed, successor_until,
		CASE WHEN sid IN (SELECT sid FROM refresh_families WHERE`+familyLive+`) THEN 1 ELSE 0 END AS live
		FROM refresh_tokens WHERE hash = ?`, at.UnixMicro(), hash)
	return session.Shown{FamilyID: r.SID, Live: r.Live == 1, Successor: r.Successor, SuccessorUntil: fromColumn(r.Until)}, known, err
}

// Family implements session.Rows; false when the session has ended, its user is not active, or it does not exist.
func (Sessions) Family(ctx context.Context, q store.Querier, id string, at time.Time) (_ session.Family, _ bool, err error) {
	defer tried.To(&err, "read session")
	var r familyRow
	found, err := one(ctx, q, &r, "SELECT "+familyColumns+" FROM refresh_families WHERE sid = ? AND"+familyLive,
		id, at.UnixMicro())
	return r.family(), found, err
}

// Families implements session.Rows. It returns at most limit sessions, and none for a user who is not active.
func (Sessions) Families(ctx context.Context, q store.Querier, userID, before string, at time.Time, limit int) (_ []session.Family, err error) {
	defer tried.To(&err, "read sessions")
	query := "SELECT " + familyColumns + ", COALESCE((SELECT name FROM clients WHERE clients.id = refresh_families.client_id), '') AS client_name" +
		" FROM refresh_families WHERE user_id = ? AND" + familyLive
	args := []any{userID, at.UnixMicro()}
	if before != "" {
		query, args = query+"AND sid < ?", append(args, before)
	}
	var rows []struct {
		familyRow
		ClientName string `db:"client_name"`
	}
	err = q.Select(ctx, &rows, query+" ORDER BY sid DESC LIMIT ?", append(args, limit)...)
	families := make([]session.Family, len(rows))
	for i, r := range rows {
		families[i] = r.family()
		families[i].ClientName = r.ClientName
	}
	return families, err
}

// Find implements session.Rows; false when there is none.
func (Sessions) Find(ctx context.Context, q store.Querier, id string) (_ session.Family, found bool, err error) {
	defer tried.To(&err, "find session")
	var r familyRow
	found, err = one(ctx, q, &r, "SELECT "+familyColumns+" FROM refresh_families WHERE sid = ?", id)
	return r.family(), found, err
}

// UserOf implements session.Rows; false when there is no such session.
func (Sessions) UserOf(ctx context.Context, q store.Querier, id string) (userID string, found bool, err error) {
	defer tried.To(&err, "read user of session")
	found, err = one(ctx, q, &userID, "SELECT user_id FROM refresh_families WHERE sid = ?", id)
	return userID, found, err
}

// Revoke implements session.Rows; false when the session was already revoked or does not exist.
func (Sessions) Revoke(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (_ bool, err error) {
	defer tried.To(&err, "mark session as revoked")
	return changed(ctx, tx, "UPDATE refresh_families SET revoked_at = ?, revoked_for = ? WHERE sid = ? AND revoked_at IS NULL",
		at.UnixMicro(), reason, id)
}

// RevokeChildren implements session.Rows. It returns the IDs of the sessions that it has ended.
func (Sessions) RevokeChildren(ctx context.Context, tx *store.Tx, parent string, keep int, at time.Time, reason string) (ended []string, err error) {
	defer tried.To(&err, "mark sessions of clients as revoked")
	open := store.Rows{Table: "refresh_families", Key: []string{"sid"}, Where: "parent = ? AND revoked_at IS NULL", Args: []any{parent}}
	if keep > 0 {
		open.Where += " AND sid < (SELECT sid FROM refresh_families WHERE parent = ? AND revoked_at IS NULL ORDER BY sid DESC LIMIT 1 OFFSET ?)"
		open.Args = append(open.Args, parent, keep-1)
	}
	return revokeOpen(ctx, tx, open, at, reason)
}

// revokeOpen revokes sessions and returns their IDs. It locks them in the order of their IDs, as all who revoke several do, to avoid deadlocks.
func revokeOpen(ctx context.Context, tx *store.Tx, open store.Rows, at time.Time, reason string) (ended []string, err error) {
	if err := open.Lock(ctx, tx); err != nil {
		return nil, err
	}
	err = tx.Select(ctx, &ended, "UPDATE refresh_families SET revoked_at = ?, revoked_for = ? WHERE "+open.Where+" RETURNING sid",
		append([]any{at.UnixMicro(), reason}, open.Args...)...)
	return ended, err
}

// RevokeOfClient implements session.Rows. It returns the IDs of the sessions that it has ended.
func (Sessions) RevokeOfClient(ctx context.Context, tx *store.Tx, clientID string, at time.Time, reason string) (ended []string, err error) {
	defer tried.To(&err, "mark sessions of client as revoked")
	open := store.Rows{Table: "refresh_families", Key: []string{"sid"}, Where: "client_id = ? AND revoked_at IS NULL", Args: []any{clientID}}
	return revokeOpen(ctx, tx, open, at, reason)
}

// RevokeOfUserAtClient implements session.Rows. It returns the IDs of the sessions that it has ended.
func (Sessions) RevokeOfUserAtClient(ctx context.Context, tx *store.Tx, userID, clientID string, at time.Time, reason string) (ended []string, err error) {
	defer tried.To(&err, "mark sessions of user at client as revoked")
	open := store.Rows{
		Table: "refresh_families", Key: []string{"sid"}, Where: "client_id = ? AND user_id = ? AND revoked_at IS NULL", Args: []any{clientID, userID},
	}
	return revokeOpen(ctx, tx, open, at, reason)
}

const (
	// usedMemory is how many used refresh tokens are kept per session, so that one that is presented again is recognised as stolen.
	usedMemory = 1000
	// maxGuarded is how many identities with failed sign-ins are kept.
	maxGuarded = 1_000_000
)

// guardMemory is how long an identity is kept after its last attempt; it is longer than any lock.
const guardMemory = 24 * time.Hour

// Sweep implements session.Rows. It returns how many locks it removed because they end later than the longest lock allows.
func (Sessions) Sweep(ctx context.Context, tx *store.Tx, at time.Time, longest time.Duration) (ahead int64, err error) {
	defer tried.To(&err, "delete ended sessions")
	now := at.UnixMicro()
	sealed := store.Rows{Table: "refresh_tokens", Key: []string{"hash"}, Where: "successor_sealed IS NOT NULL AND successor_until < ?", Args: []any{now}}
	if _, err := sealed.Update(ctx, tx, "successor_sealed = NULL"); err != nil {
		return 0, err
	}
	for _, old := range []store.Rows{
		{Table: "refresh_families", Key: []string{"sid"}, Where: "expires_at < ?", Args: []any{now}},
		{Table: "proofs", Key: []string{"jti"}, Where: "expires_at < ?", Args: []any{now}},
		{Table: "login_guard", Key: []string{"identity"}, Where: "updated_at < ?", Args: []any{at.Add(-guardMemory).UnixMicro()}},
		// These two bounds keep the tables small, however often a user signs in and refreshes, and however many names an attacker tries.
		{Table: "refresh_tokens", Key: []string{"hash"}, Where: `hash IN (SELECT hash FROM
			(SELECT hash, ROW_NUMBER() OVER (PARTITION BY sid ORDER BY used_at DESC) AS newer FROM refresh_tokens WHERE used_at IS NOT NULL) AS used
			WHERE newer > ?)`, Args: []any{usedMemory}},
		{Table: "login_guard", Key: []string{"identity"}, Args: []any{maxGuarded},
			Where: "updated_at < (SELECT updated_at FROM login_guard ORDER BY updated_at DESC LIMIT 1 OFFSET ?)"},
	} {
		if _, err := old.Delete(ctx, tx); err != nil {
			return 0, err
		}
	}
	locked := store.Rows{Table: "login_guard", Key: []string{"identity"}, Where: "locked_until > ?", Args: []any{at.Add(longest + clock.Slack).UnixMicro()}}
	return locked.Update(ctx, tx, "locked_until = 0")
}

// UseProof implements session.Rows; false when the proof was used before. Of concurrent calls only the first is true.
func (Sessions) UseProof(ctx context.Context, tx *store.Tx, jti string, expires time.Time) (_ bool, err error) {
	defer tried.To(&err, "insert proof")
	return changed(ctx, tx, "INSERT INTO proofs (jti, expires_at) VALUES (?, ?) ON CONFLICT (jti) DO NOTHING", jti, expires.UnixMicro())
}
