package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

var (
	_ challenge.Repository = (*Store)(nil)
	_ challenge.Tx         = tx{}
)

// Change implements challenge.Repository.
func (s *Store) Change(ctx context.Context, fn func(ctx context.Context, tx challenge.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, t *store.Tx) error { return fn(ctx, tx{t}) })
}

// challengeRow is a challenge as stored in the database.
type challengeRow struct {
	ID         string `db:"id"`
	Subject    string `db:"subject"`
	Client     string `db:"client"`
	Purpose    string `db:"purpose"`
	Channel    string `db:"channel"`
	FactorID   string `db:"factor_id"`
	Operation  string `db:"operation"`
	CodeSum    []byte `db:"code_sum"`
	Status     string `db:"status"`
	Attempts   int    `db:"attempts"`
	Life       int64  `db:"life"`
	DeliveryID string `db:"delivery_id"`
	CreatedAt  int64  `db:"created_at"`
	CodeAt     int64  `db:"code_at"`
	ExpiresAt  int64  `db:"expires_at"`
	UsedAt     int64  `db:"used_at"`
	// Joined where needed.
	Delivery string `db:"delivery_status"`
	Reason   string `db:"delivery_reason"`
	Masked   string `db:"masked_target"`
}

const challengeColumns = `id, subject, client, purpose, channel, factor_id, operation, code_sum, status, attempts, life, delivery_id, created_at, code_at,
	expires_at, used_at`

func (r challengeRow) challenge() challenge.Challenge {
	return challenge.Challenge{
		ID: r.ID, Subject: r.Subject, Client: r.Client, Purpose: r.Purpose, Channel: delivery.Channel(r.Channel), FactorID: r.FactorID, Operation: r.Operation,
		Status: challenge.Status(r.Status), Attempts: r.Attempts, Life: time.Duration(r.Life) * time.Microsecond, DeliveryID: r.DeliveryID, CodeSum: r.CodeSum,
		Created: moment(r.CreatedAt), CodeAt: moment(r.CodeAt), Expires: moment(r.ExpiresAt), Used: moment(r.UsedAt),
		Delivery: challenge.DeliveryStatus(r.Delivery), Reason: r.Reason, MaskedTarget: r.Masked,
	}
}

// Targets implements challenge.Repository.
func (s *Store) Targets(ctx context.Context, subject string) (_ []challenge.Target, err error) {
	defer tried.To(&err, "read targets of subject")
	var rows []struct {
		ID     string `db:"id"`
		Type   string `db:"type"`
		Sealed []byte `db:"sealed_seed"`
		Sum    string `db:"target_sum"`
		Masked string `db:"masked_target"`
	}
	err = s.db.Read(ctx).Select(ctx, &rows, `SELECT id, type, sealed_seed, target_sum, masked_target FROM factors
		WHERE subject = ? AND status = 'active' AND type IN ('email', 'sms', 'webhook') ORDER BY last_used_at DESC, id LIMIT ?`, subject, factor.MaxFactors)
	if err != nil {
		return nil, err
	}
	targets := make([]challenge.Target, 0, len(rows))
	for _, r := range rows {
		targets = append(targets, challenge.Target{FactorID: r.ID, Channel: delivery.Channel(r.Type), Sealed: r.Sealed, Sum: r.Sum, Masked: r.Masked})
	}
	return targets, nil
}

// SealedTarget implements challenge.Repository.
func (s *Store) SealedTarget(ctx context.Context, subject, factorID string) (sealed []byte, err error) {
	defer tried.To(&err, "read target of factor")
	err = s.db.Read(ctx).Get(ctx, &sealed, `SELECT sealed_seed FROM factors WHERE id = ? AND subject = ? AND status <> 'revoked'`, factorID, subject)
	if none(err) {
		return nil, nil
	}
	return sealed, err
}

// joined selects challenges with the state of the delivery of their present code.
var joined = `SELECT c.` + strings.ReplaceAll(strings.Join(strings.Fields(challengeColumns), " "), ", ", ", c.") + `,
	COALESCE(d.status, '') AS delivery_status, COALESCE(d.reason, '') AS delivery_reason, COALESCE(f.masked_target, '') AS masked_target
	FROM challenges c LEFT JOIN deliveries d ON d.id = c.delivery_id LEFT JOIN factors f ON f.id = c.factor_id`

// Challenge implements challenge.Repository.
func (s *Store) Challenge(ctx context.Context, id string) (_ challenge.Challenge, known bool, err error) {
	defer tried.To(&err, "read challenge")
	return s.one(ctx, joined+` WHERE c.id = ?`, id)
}

// Enrolling implements challenge.Repository.
func (s *Store) Enrolling(ctx context.Context, subject, factorID string) (_ challenge.Challenge, known bool, err error) {
	defer tried.To(&err, "read challenge of enrolment")
	return s.one(ctx, joined+` WHERE c.subject = ? AND c.purpose = ? ORDER BY c.created_at DESC, c.id DESC LIMIT 1`, subject, "enrol:"+factorID)
}

func (s *Store) one(ctx context.Context, query string, args ...any) (challenge.Challenge, bool, error) {
	var r challengeRow
	err := s.db.Read(ctx).Get(ctx, &r, query, args...)
	if none(err) {
		return challenge.Challenge{}, false, nil
	}
	return r.challenge(), err == nil, err
}

// Replace implements challenge.Tx.
func (t tx) Replace(ctx context.Context, subject, purpose string, now time.Time) (err error) {
	defer tried.To(&err, "replace challenge")
	n, err := t.Exec(ctx, `UPDATE challenges SET status = 'replaced' WHERE subject = ? AND purpose = ? AND status = 'open'`, subject, purpose)
	if err != nil || n == 0 {
		return err
	}
	_, err = t.Exec(ctx, `UPDATE deliveries SET status = 'failed', reason = 'replaced', sealed_code = ?, lease = '', changed_at = ? WHERE status = 'queued'
		AND challenge_id IN (SELECT id FROM challenges WHERE subject = ? AND purpose = ? AND status = 'replaced')`, []byte{}, micros(now), subject, purpose)
	return err
}

// InsertChallenge implements challenge.Tx.
func (t tx) InsertChallenge(ctx context.Context, c challenge.Challenge) (err error) {
	defer tried.To(&err, "insert challenge")
	_, err = t.Exec(ctx, `INSERT INTO challenges (`+challengeColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ID, c.Subject, c.Client, c.Purpose, string(c.Channel), c.FactorID, c.Operation, c.CodeSum, string(c.Status), c.Attempts, c.Life.Microseconds(),
		c.DeliveryID, micros(c.Created), micros(c.CodeAt), micros(c.Expires), micros(c.Used))
	return err
}

// takes is the condition under which a challenge accepts an attempt. Both placeholders are the current time. A challenge that ends later than any can was made
// while the clock was ahead, and accepts none.
var takes = fmt.Sprintf(`status = 'open' AND attempts < %d AND expires_at > ? AND expires_at <= CAST(? AS BIGINT) + %d`, challenge.MaxAttempts,
	challenge.FurthestEnd.Microseconds())

// Admit implements challenge.Tx. One statement counts and decides, so that of any number of parallel attempts only as many pass as are left.
func (t tx) Admit(ctx context.Context, id, client string, now time.Time) (_ challenge.Challenge, open bool, err error) {
	defer tried.To(&err, "admit attempt at challenge")
	var r challengeRow
	err = t.Get(ctx, &r, `UPDATE challenges SET attempts = attempts + 1 WHERE id = ? AND client = ? AND `+takes+` RETURNING `+challengeColumns,
		id, client, micros(now), micros(now))
	if none(err) {
		return challenge.Challenge{}, false, nil
	}
	return r.challenge(), err == nil, err
}

// Accept implements challenge.Tx. Exactly one attempt wins. A code whose factor was revoked meanwhile is not accepted.
func (t tx) Accept(ctx context.Context, id string, sum []byte, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark challenge as verified")
	n, err := t.Exec(ctx, `UPDATE challenges SET status = 'verified', used_at = ? WHERE id = ? AND status = 'open' AND code_sum = ? AND expires_at > ?
		AND EXISTS (SELECT 1 FROM factors WHERE factors.id = challenges.factor_id AND factors.status <> 'revoked')`,
		micros(now), id, sum, micros(now))
	return n == 1, err
}

// Renew implements challenge.Tx.
func (t tx) Renew(ctx context.Context, c challenge.Challenge, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "renew code of challenge")
	n, err := t.Exec(ctx, `UPDATE challenges SET code_sum = ?, delivery_id = ?, code_at = ?, expires_at = ? WHERE id = ? AND client = ? AND `+takes,
		c.CodeSum, c.DeliveryID, micros(c.CodeAt), micros(c.Expires), c.ID, c.Client, micros(now), micros(now))
	return n == 1, err
}

// Cancel implements challenge.Tx.
func (t tx) Cancel(ctx context.Context, id, client string, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark challenge as cancelled")
	n, err := t.Exec(ctx, `UPDATE challenges SET status = 'cancelled' WHERE id = ? AND client = ? AND status = 'open' AND expires_at > ?`, id, client, micros(now))
	return n == 1, err
}

// HasTarget implements challenge.Tx.
func (t tx) HasTarget(ctx context.Context, subject, sum string) (_ bool, err error) {
	defer tried.To(&err, "look for target")
	var n int
	err = t.Get(ctx, &n, `SELECT COUNT(*) FROM factors WHERE subject = ? AND status = 'active' AND target_sum = ?`, subject, sum)
	return n > 0, err
}

// InsertTarget implements challenge.Tx. Statements divide by the column period, so it must not be zero; for such a factor it has no meaning.
func (t tx) InsertTarget(ctx context.Context, r factor.Record, to challenge.Target, raises bool) (err error) {
	defer tried.To(&err, "insert factor for delivery")
	r.Parameters.Period = 30
	if err := t.Insert(ctx, r); err != nil {
		return err
	}
	_, err = t.Exec(ctx, `UPDATE factors SET target_sum = ?, raises = ? WHERE id = ?`, to.Sum, flag(raises), r.ID)
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ActivateTarget implements challenge.Tx.
func (t tx) ActivateTarget(ctx context.Context, subject, factorID string, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "activate factor for delivery")
	n, err := t.Exec(ctx, `UPDATE factors SET status = 'active', confirmed_at = ?, last_used_at = ? WHERE id = ? AND subject = ? AND type IN ('email', 'sms', 'webhook')
		AND status = 'pending' AND expires_at > ?`, micros(now), micros(now), factorID, subject, micros(now))
	return n == 1, err
}

// MarkUsed implements challenge.Tx.
func (t tx) MarkUsed(ctx context.Context, factorID string, now time.Time) (err error) {
	defer tried.To(&err, "mark factor as used")
	_, err = t.Exec(ctx, `UPDATE factors SET last_used_at = ? WHERE id = ? AND status = 'active'`, micros(now), factorID)
	return err
}

// SetRaising implements challenge.Repository.
func (s *Store) SetRaising(ctx context.Context, channels []delivery.Channel) (err error) {
	defer tried.To(&err, "set which factors raise a session")
	args := []any{}
	raising := "type = 'totp'"
	for _, channel := range channels {
		raising += " OR type = ?"
		args = append(args, string(channel))
	}
	return s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		for value, which := range map[int]string{1: raising, 0: "NOT (" + raising + ")"} {
			wrong := store.Rows{Table: "factors", Key: []string{"id"}, Args: args,
				Where: fmt.Sprintf("raises <> %d AND type IN ('totp', 'email', 'sms', 'webhook') AND (%s)", value, which)}
			if err := wrong.Lock(ctx, t); err != nil {
				return err
			}
			if _, err := t.Exec(ctx, fmt.Sprintf("UPDATE factors SET raises = %d WHERE %s", value, wrong.Where), args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Record implements challenge.Tx.
func (t tx) Record(ctx context.Context, e challenge.Event) (err error) {
	defer tried.To(&err, "record event")
	kind, outcome := "user", audit.OK
	if e.Service {
		kind = "service"
	}
	if e.Denied {
		outcome = "denied"
	}
	return audit.Append(ctx, t.Tx, audit.Event{
		At: e.At, Action: e.Action, Actor: e.Actor, ActorKind: kind, Target: e.Target, Outcome: outcome, RequestID: e.RequestID, Detail: e.Detail,
	})
}

const (
	// keepChallenges is how long after its creation a challenge is kept, so that it is reported as ended.
	keepChallenges = 24 * time.Hour
	// keepDeliveries is how long deliveries are kept for inspection.
	keepDeliveries = 30 * 24 * time.Hour
)

// SweepChallenges implements challenge.Repository.
func (s *Store) SweepChallenges(ctx context.Context, now time.Time) (err error) {
	defer tried.To(&err, "delete old challenges")
	return s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		return deleteOld(ctx, t,
			store.Rows{Table: "challenges", Key: []string{"id"}, Where: "created_at < ?", Args: before(now, keepChallenges)},
			store.Rows{Table: "deliveries", Key: []string{"id"}, Where: "created_at < ?", Args: before(now, keepDeliveries)},
			store.Rows{Table: "send_counters", Key: []string{"kind", "key", "begins"}, Where: "ends < ?", Args: before(now, 0)},
		)
	})
}
