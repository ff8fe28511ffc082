package kmsdb

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Mails implements mail.Rows.
type Mails struct{}

type mailRow struct {
	ID        string `db:"id"`
	Kind      string `db:"kind"`
	UserID    string `db:"user_id"`
	Sealed    []byte `db:"sealed"`
	Masked    string `db:"masked"`
	Status    string `db:"status"`
	Reason    string `db:"reason"`
	Tries     int    `db:"tries"`
	CreatedAt int64  `db:"created_at"`
	UpdatedAt int64  `db:"updated_at"`
	ExpiresAt int64  `db:"expires_at"`
}

const mailColumns = "id, kind, user_id, sealed, masked, status, reason, tries, created_at, updated_at, expires_at"

func (r mailRow) mail() mail.Mail {
	return mail.Mail{
		ID: r.ID, Kind: mail.Kind(r.Kind), UserID: r.UserID, To: r.Masked, Status: mail.Status(r.Status), Reason: r.Reason, Tries: r.Tries,
		CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt), ExpiresAt: at(r.ExpiresAt),
	}
}

// Insert implements mail.Rows. An ID that is taken and an unknown user are database errors.
func (Mails) Insert(ctx context.Context, tx *store.Tx, m mail.Mail, sealed []byte) (err error) {
	defer tried.To(&err, "insert mail")
	_, err = tx.Exec(ctx, "INSERT INTO mails ("+mailColumns+", due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", m.ID, string(m.Kind), m.UserID, sealed, m.To,
		string(m.Status), m.Reason, m.Tries, m.CreatedAt.UnixMicro(), m.UpdatedAt.UnixMicro(), m.ExpiresAt.UnixMicro(), m.CreatedAt.UnixMicro())
	return err
}

// mailDue is the condition that a mail is to be sent now. Mails from before a restore are not sent: their links are invalid.
const mailDue = " status = 'waiting' AND due_at <= ? AND expires_at > ? AND" + afterRestore

// Claim implements mail.Rows. Concurrent calls get different mails.
func (Mails) Claim(ctx context.Context, tx *store.Tx, lease string, at, until time.Time, limit int) (_ []mail.Order, err error) {
	defer tried.To(&err, "claim mails")
	skip := "" // SQLite has one writer
	if tx.Dialect() == store.PostgreSQL {
		skip = "FOR UPDATE SKIP LOCKED"
	}
	n, err := tx.Exec(ctx, `WITH due AS MATERIALIZED (SELECT id FROM mails WHERE`+mailDue+`ORDER BY due_at, id LIMIT ? `+skip+`)
		UPDATE mails SET lease = ?, due_at = ?, tries = tries + 1 WHERE id IN (SELECT id FROM due)`, at.UnixMicro(), at.UnixMicro(), limit, lease, until.UnixMicro())
	if err != nil || n == 0 {
		return nil, err
	}
	var rows []mailRow
	err = tx.Select(ctx, &rows, "SELECT "+mailColumns+" FROM mails WHERE lease = ? ORDER BY id", lease)
	orders := make([]mail.Order, len(rows))
	for i, r := range rows {
		orders[i] = mail.Order{Mail: r.mail(), Sealed: r.Sealed, Lease: lease}
	}
	return orders, err
}

// Due implements mail.Rows.
func (Mails) Due(ctx context.Context, q store.Querier, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "look for mails")
	var n int64
	return one(ctx, q, &n, "SELECT 1 FROM mails WHERE"+mailDue+"LIMIT 1", at.UnixMicro(), at.UnixMicro())
}

// Leased implements mail.Rows.
func (Mails) Leased(ctx context.Context, tx *store.Tx, id, lease string) (_ mail.Mail, _ bool, err error) {
	defer tried.To(&err, "read mail under its lease")
	var r mailRow
	found, err := one(ctx, tx, &r, "SELECT "+mailColumns+" FROM mails WHERE id = ? AND lease = ? AND status = 'waiting'", id, lease)
	return r.mail(), found, err
}

// Settle implements mail.Rows. It changes nothing when the lease was lost meanwhile.
func (Mails) Settle(ctx context.Context, tx *store.Tx, lease string, m mail.Mail, due time.Time) (err error) {
	defer tried.To(&err, "write outcome of mail")
	_, err = tx.Exec(ctx, `UPDATE mails SET status = ?, reason = ?, updated_at = ?, due_at = ?, lease = '', sealed = CASE WHEN ? = 'waiting' THEN sealed ELSE NULL END
		WHERE id = ? AND lease = ? AND status = 'waiting'`, string(m.Status), m.Reason, m.UpdatedAt.UnixMicro(), due.UnixMicro(), string(m.Status), m.ID, lease)
	return err
}

// failMail fails waiting mails; it is completed with the condition that selects them.
const failMail = "UPDATE mails SET status = 'failed', reason = ?, sealed = NULL, lease = '', updated_at = ? WHERE status = 'waiting' AND "

// GiveUp implements mail.Rows.
func (Mails) GiveUp(ctx context.Context, tx *store.Tx, at time.Time, reason string) (_ int64, err error) {
	defer tried.To(&err, "give up mails")
	return tx.Exec(ctx, failMail+"expires_at <= ?", reason, at.UnixMicro(), at.UnixMicro())
}

// List implements mail.Rows.
func (Mails) List(ctx context.Context, q store.Querier, before string, limit int) (_ []mail.Mail, err error) {
	defer tried.To(&err, "read mails")
	var rows []mailRow
	err = q.Select(ctx, &rows, "SELECT "+mailColumns+" FROM mails WHERE ? = '' OR id < ? ORDER BY id DESC LIMIT ?", before, before, limit)
	mails := make([]mail.Mail, len(rows))
	for i, r := range rows {
		mails[i] = r.mail()
	}
	return mails, err
}

// Seen implements mail.Rows.
func (Mails) Seen(ctx context.Context, tx *store.Tx, at, since time.Time) (err error) {
	defer tried.To(&err, "write when mails were asked for")
	_, err = tx.Exec(ctx, "UPDATE mail_carrier SET seen_at = ? WHERE id = 1 AND (seen_at < ? OR seen_at > ?)", at.UnixMicro(), since.UnixMicro(), at.UnixMicro())
	return err
}

// LastSeen implements mail.Rows.
func (Mails) LastSeen(ctx context.Context, q store.Querier) (_ time.Time, err error) {
	defer tried.To(&err, "read when mails were asked for")
	var seen int64
	err = q.Get(ctx, &seen, "SELECT seen_at FROM mail_carrier WHERE id = 1")
	return at(seen), err
}

// Sweep implements mail.Rows.
func (Mails) Sweep(ctx context.Context, tx *store.Tx, before time.Time) (err error) {
	defer tried.To(&err, "delete old mails")
	_, err = old("mails", "id", before).Delete(ctx, tx)
	return err
}

// Ask implements mail.Rows.
func (Mails) Ask(ctx context.Context, tx *store.Tx, asked, sealed []byte, at time.Time) (err error) {
	defer tried.To(&err, "insert request for a reset")
	_, err = tx.Exec(ctx, "INSERT INTO reset_requests (asked, sealed, created_at) VALUES (?, ?, ?) ON CONFLICT (asked) DO NOTHING", asked, sealed, at.UnixMicro())
	return err
}

// CountAsked implements mail.Rows.
func (Mails) CountAsked(ctx context.Context, q store.Querier) (n int64, err error) {
	defer tried.To(&err, "count requests for resets")
	err = q.Get(ctx, &n, "SELECT COUNT(*) FROM reset_requests")
	return n, err
}

type askedRow struct {
	Asked  []byte `db:"asked"`
	Sealed []byte `db:"sealed"`
	At     int64  `db:"created_at"`
}

// Asked implements mail.Rows.
func (Mails) Asked(ctx context.Context, q store.Querier, after mail.Request, limit int) (_ []mail.Request, err error) {
	defer tried.To(&err, "read requests for resets")
	var rows []askedRow
	err = q.Select(ctx, &rows, "SELECT asked, sealed, created_at FROM reset_requests WHERE (created_at, asked) > (?, ?) ORDER BY created_at, asked LIMIT ?",
		after.At.UnixMicro(), after.Asked, limit)
	requests := make([]mail.Request, len(rows))
	for i, r := range rows {
		requests[i] = mail.Request{Asked: r.Asked, Sealed: r.Sealed, At: at(r.At)}
	}
	return requests, err
}

// Forget implements mail.Rows. It skips rows that another replica has locked.
func (Mails) Forget(ctx context.Context, tx *store.Tx, before time.Time) (_ int64, err error) {
	defer tried.To(&err, "delete old requests for resets")
	skip := "" // SQLite has one writer
	if tx.Dialect() == store.PostgreSQL {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	return tx.Exec(ctx, `WITH late AS MATERIALIZED (SELECT asked FROM reset_requests WHERE created_at < ?`+skip+`)
		DELETE FROM reset_requests WHERE asked IN (SELECT asked FROM late)`, before.UnixMicro())
}

// Take implements mail.Rows.
func (Mails) Take(ctx context.Context, tx *store.Tx, asked []byte) (_ bool, err error) {
	defer tried.To(&err, "delete request for a reset")
	return changed(ctx, tx, "DELETE FROM reset_requests WHERE asked = ?", asked)
}

// CountSince implements mail.Rows.
func (Mails) CountSince(ctx context.Context, tx *store.Tx, userID string, kind mail.Kind, since time.Time) (n int64, err error) {
	defer tried.To(&err, "count mails to a user")
	err = tx.Get(ctx, &n, "SELECT COUNT(*) FROM mails WHERE user_id = ? AND kind = ? AND created_at > ?", userID, string(kind), since.UnixMicro())
	return n, err
}
