package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// deliveryRow is a delivery as stored in the database.
type deliveryRow struct {
	ID          string `db:"id"`
	ChallengeID string `db:"challenge_id"`
	Subject     string `db:"subject"`
	FactorID    string `db:"factor_id"`
	Channel     string `db:"channel"`
	SealedCode  []byte `db:"sealed_code"`
	Status      string `db:"status"`
	Tries       int    `db:"tries"`
	Provider    string `db:"provider"`
	ProviderID  string `db:"provider_id"`
	Reason      string `db:"reason"`
	Notice      string `db:"notice"`
	GivesUpAt   int64  `db:"gives_up_at"`
	CreatedAt   int64  `db:"created_at"`
	SentAt      int64  `db:"sent_at"`
	// Joined where needed.
	Masked       string `db:"masked_target"`
	Purpose      string `db:"purpose"`
	Operation    string `db:"operation"`
	Life         int64  `db:"life"`
	Began        int64  `db:"began"`
	Current      bool   `db:"is_current"`
	SealedTarget []byte `db:"sealed_target"`
}

const deliveryColumns = `d.id, d.challenge_id, d.subject, d.factor_id, d.channel, d.sealed_code, d.status, d.tries, d.provider, d.provider_id, d.reason, d.notice,
	d.gives_up_at, d.created_at, d.sent_at`

func (r deliveryRow) delivery() challenge.Delivery {
	return challenge.Delivery{
		ID: r.ID, ChallengeID: r.ChallengeID, Subject: r.Subject, FactorID: r.FactorID, Channel: delivery.Channel(r.Channel), SealedCode: r.SealedCode,
		Status: challenge.DeliveryStatus(r.Status), Tries: r.Tries, Provider: r.Provider, ProviderID: r.ProviderID, Reason: r.Reason, Notice: factor.Notice(r.Notice), GivesUp: moment(r.GivesUpAt),
		Created: moment(r.CreatedAt), SentAt: moment(r.SentAt), MaskedTarget: r.Masked,
	}
}

// InsertDelivery implements challenge.Tx.
func (t tx) InsertDelivery(ctx context.Context, d challenge.Delivery) (err error) {
	defer tried.To(&err, "insert delivery")
	_, err = t.Exec(ctx, `INSERT INTO deliveries (id, challenge_id, subject, factor_id, channel, sealed_code, status, tries, lease, due_at, gives_up_at, provider,
		provider_id, reason, created_at, sent_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', ?, ?, '', '', '', ?, 0, ?)`,
		d.ID, d.ChallengeID, d.Subject, d.FactorID, string(d.Channel), d.SealedCode, string(d.Status), micros(d.Created), micros(d.GivesUp), micros(d.Created),
		micros(d.Created))
	return err
}

// Claim implements challenge.Repository. A delivery that is to wait beyond honest was written while the clock was ahead, and counts as due.
func (s *Store) Claim(ctx context.Context, lease string, now, until, honest time.Time, limit int) (_ []challenge.Order, err error) {
	defer tried.To(&err, "claim deliveries")
	var due int
	err = s.db.Read(ctx).Get(ctx, &due, `SELECT COUNT(*) FROM deliveries WHERE status = 'queued' AND (due_at <= ? OR due_at > ?)`, micros(now), micros(honest))
	if err != nil || due == 0 { // the common case writes nothing
		return nil, err
	}
	var rows []deliveryRow
	err = s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		skip := "" // SQLite has one writer
		if t.Dialect() == store.PostgreSQL {
			skip = "FOR UPDATE SKIP LOCKED"
		}
		n, err := t.Exec(ctx, `WITH due AS MATERIALIZED (
				SELECT id FROM deliveries WHERE status = 'queued' AND (due_at <= ? OR due_at > ?) ORDER BY due_at, id LIMIT ? `+skip+`
			) UPDATE deliveries SET lease = ?, due_at = ?, tries = tries + 1 WHERE id IN (SELECT id FROM due)`,
			micros(now), micros(honest), limit, lease, micros(until))
		if err != nil || n == 0 {
			return err
		}
		rows = nil
		return t.Select(ctx, &rows, `SELECT `+deliveryColumns+`, COALESCE(c.purpose, '') AS purpose, COALESCE(c.operation, '') AS operation,
			COALESCE(c.life, 0) AS life, COALESCE(c.created_at, 0) AS began, COALESCE(c.status = 'open' AND c.delivery_id = d.id, FALSE) AS is_current,
			COALESCE(f.sealed_seed, ?) AS sealed_target
			FROM deliveries d LEFT JOIN challenges c ON c.id = d.challenge_id LEFT JOIN factors f ON f.id = d.factor_id AND f.status <> 'revoked'
			WHERE d.lease = ? ORDER BY d.id`, []byte{}, lease)
	})
	orders := make([]challenge.Order, 0, len(rows))
	for _, r := range rows {
		orders = append(orders, challenge.Order{
			Delivery: r.delivery(), Lease: lease, Purpose: r.Purpose, Operation: r.Operation, Life: time.Duration(r.Life) * time.Microsecond, Began: moment(r.Began),
			Current: r.Current, SealedTarget: r.SealedTarget,
		})
	}
	return orders, err
}

// Handed implements challenge.Tx. It updates the challenge before the delivery, as every transaction that updates both does. A worker that has lost its lease
// still starts the life of the code that it has sent.
func (t tx) Handed(ctx context.Context, o challenge.Order, r delivery.Receipt, expires, now time.Time) (err error) {
	defer tried.To(&err, "mark delivery as sent")
	_, err = t.Exec(ctx, `UPDATE challenges SET expires_at = ? WHERE id = ? AND delivery_id = ? AND status = 'open'`, micros(expires), o.ChallengeID, o.ID)
	if err != nil {
		return err
	}
	_, err = t.Exec(ctx, `UPDATE deliveries SET status = 'sent', sealed_code = ?, lease = '', provider = ?, provider_id = ?, reason = '', sent_at = ?, changed_at = ?
		WHERE id = ? AND status = 'queued'`, []byte{}, r.Provider, r.ID, micros(now), micros(now), o.ID)
	return err
}

// Postpone implements challenge.Tx.
func (t tx) Postpone(ctx context.Context, o challenge.Order, reason string, until, now time.Time) (err error) {
	defer tried.To(&err, "postpone delivery")
	_, err = t.Exec(ctx, `UPDATE deliveries SET lease = '', due_at = ?, reason = ?, changed_at = ? WHERE id = ? AND lease = ? AND status = 'queued'`,
		micros(until), reason, micros(now), o.ID, o.Lease)
	return err
}

// GiveUp implements challenge.Tx.
func (t tx) GiveUp(ctx context.Context, o challenge.Order, reason string, now time.Time) (err error) {
	defer tried.To(&err, "give delivery up")
	_, err = t.Exec(ctx, `UPDATE deliveries SET status = 'failed', sealed_code = ?, lease = '', reason = ?, changed_at = ? WHERE id = ? AND lease = ? AND status = 'queued'`,
		[]byte{}, reason, micros(now), o.ID, o.Lease)
	return err
}

// Drop implements challenge.Tx.
func (t tx) Drop(ctx context.Context, challengeID, reason string, now time.Time) (err error) {
	defer tried.To(&err, "drop deliveries of challenge")
	_, err = t.Exec(ctx, `UPDATE deliveries SET status = 'failed', sealed_code = ?, lease = '', reason = ?, changed_at = ? WHERE challenge_id = ? AND status = 'queued'`,
		[]byte{}, reason, micros(now), challengeID)
	return err
}

// Report implements challenge.Tx. It changes only a message that is sent and not reported on yet, so that a late report does not replace an earlier one.
func (t tx) Report(ctx context.Context, providerID string, s challenge.DeliveryStatus, reason string, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "note report of a provider")
	n, err := t.Exec(ctx, `UPDATE deliveries SET status = ?, reason = ?, changed_at = ? WHERE provider_id = ? AND channel = 'sms' AND status = 'sent'`,
		string(s), reason, micros(now), providerID)
	return n > 0, err
}

// Deliveries implements challenge.Repository. It leaves out the deliveries of subjects without a factor, which are sent nowhere.
func (s *Store) Deliveries(ctx context.Context, after factor.Cursor, limit int) (_ []challenge.Delivery, err error) {
	defer tried.To(&err, "read deliveries")
	where, args := "", []any{}
	if !after.Created.IsZero() {
		where, args = " AND (d.created_at < ? OR (d.created_at = ? AND d.id < ?))", []any{micros(after.Created), micros(after.Created), after.ID}
	}
	var rows []deliveryRow
	err = s.db.Read(ctx).Select(ctx, &rows, `SELECT `+deliveryColumns+`, COALESCE(f.masked_target, '') AS masked_target
		FROM deliveries d LEFT JOIN factors f ON f.id = d.factor_id WHERE d.channel <> ''`+where+` ORDER BY d.created_at DESC, d.id DESC LIMIT ?`,
		append(args, limit)...)
	if err != nil {
		return nil, err
	}
	deliveries := make([]challenge.Delivery, 0, len(rows))
	for _, r := range rows {
		deliveries = append(deliveries, r.delivery())
	}
	return deliveries, nil
}
