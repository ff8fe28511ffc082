package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

var (
	_ passkey.Repository = (*Store)(nil)
	_ passkey.Tx         = tx{}
)

// Alter implements passkey.Repository. The only unique index that fn can violate is that of active passkeys, which gives passkey.ErrKnown.
func (s *Store) Alter(ctx context.Context, fn func(ctx context.Context, tx passkey.Tx) error) error {
	err := s.write(ctx, func(ctx context.Context, t *store.Tx) error { return fn(ctx, tx{t}) })
	if store.IsUnique(err) {
		return passkey.ErrKnown
	}
	return err
}

// passkeyRow is a passkey as stored in the database.
type passkeyRow struct {
	ID      string `db:"id"`
	Subject string `db:"subject"`
	Sealed  []byte `db:"sealed_seed"`
}

func (r passkeyRow) stored() passkey.Stored {
	return passkey.Stored{FactorID: r.ID, Subject: r.Subject, Sealed: r.Sealed}
}

// Passkeys implements passkey.Repository.
func (s *Store) Passkeys(ctx context.Context, subject string) (_ []passkey.Stored, err error) {
	defer tried.To(&err, "read passkeys of subject")
	var rows []passkeyRow
	err = s.db.Read(ctx).Select(ctx, &rows, `SELECT id, subject, sealed_seed FROM factors
		WHERE subject = ? AND status = 'active' AND type = 'passkey' ORDER BY created_at, id LIMIT ?`, subject, factor.MaxFactors)
	if err != nil {
		return nil, err
	}
	stored := make([]passkey.Stored, 0, len(rows))
	for _, r := range rows {
		stored = append(stored, r.stored())
	}
	return stored, nil
}

// Passkey implements passkey.Repository.
func (s *Store) Passkey(ctx context.Context, sum string) (_ passkey.Stored, known bool, err error) {
	defer tried.To(&err, "read passkey")
	var r passkeyRow
	err = s.db.Read(ctx).Get(ctx, &r, `SELECT id, subject, sealed_seed FROM factors WHERE target_sum = ? AND type = 'passkey' AND status = 'active'`, sum)
	if none(err) {
		return passkey.Stored{}, false, nil
	}
	return r.stored(), err == nil, err
}

// PasskeyChallenge implements passkey.Repository.
func (s *Store) PasskeyChallenge(ctx context.Context, id string) (_ passkey.Challenge, known bool, err error) {
	defer tried.To(&err, "read challenge of passkey")
	var r struct {
		ID        string `db:"id"`
		Subject   string `db:"subject"`
		Session   string `db:"session"`
		Challenge []byte `db:"challenge"`
		CreatedAt int64  `db:"created_at"`
		ExpiresAt int64  `db:"expires_at"`
		UsedAt    int64  `db:"used_at"`
	}
	err = s.db.Read(ctx).Get(ctx, &r, `SELECT id, subject, session, challenge, created_at, expires_at, used_at FROM passkey_challenges WHERE id = ?`, id)
	if none(err) {
		return passkey.Challenge{}, false, nil
	}
	c := passkey.Challenge{
		ID: r.ID, Subject: r.Subject, Session: r.Session, Bytes: r.Challenge, Created: moment(r.CreatedAt), Expires: moment(r.ExpiresAt), Used: r.UsedAt != 0,
	}
	return c, err == nil, err
}

// Expired implements passkey.Repository.
func (s *Store) Expired(ctx context.Context, subject, factorID string, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "look for expired enrolment")
	var n int
	err = s.db.Read(ctx).Get(ctx, &n, `SELECT COUNT(*) FROM factors WHERE id = ? AND subject = ? AND type = 'passkey' AND status = 'pending' AND expires_at <= ?`,
		factorID, subject, micros(now))
	return n > 0, err
}

// DropWaiting implements passkey.Tx.
func (t tx) DropWaiting(ctx context.Context, subject string, now time.Time) (open int, err error) {
	defer tried.To(&err, "drop waiting passkey")
	err = t.Get(ctx, &open, `SELECT COUNT(*) FROM factors WHERE subject = ? AND type = 'passkey' AND status = 'pending' AND expires_at > ?`, subject, micros(now))
	if err != nil {
		return 0, err
	}
	_, err = t.Exec(ctx, `DELETE FROM factors WHERE subject = ? AND type = 'passkey' AND status = 'pending'`, subject)
	return open, err
}

// InsertWaiting implements passkey.Tx. Statements divide by the column period, so it must not be zero; for a passkey it has no meaning.
func (t tx) InsertWaiting(ctx context.Context, r factor.Record) error {
	r.Parameters.Period = 30
	return t.Insert(ctx, r)
}

// ActivatePasskey implements passkey.Tx.
func (t tx) ActivatePasskey(ctx context.Context, s passkey.Stored, sum string, counter uint32, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "activate passkey")
	n, err := t.Exec(ctx, `UPDATE factors SET status = 'active', sealed_seed = ?, target_sum = ?, sign_count = ?, confirmed_at = ?, last_used_at = ?
		WHERE id = ? AND subject = ? AND type = 'passkey' AND status = 'pending' AND expires_at > ?`,
		s.Sealed, sum, int64(counter), micros(now), micros(now), s.FactorID, s.Subject, micros(now))
	return n == 1, err
}

// PutChallenge implements passkey.Tx.
func (t tx) PutChallenge(ctx context.Context, c passkey.Challenge) (err error) {
	defer tried.To(&err, "put challenge of passkey")
	_, err = t.Exec(ctx, `INSERT INTO passkey_challenges (id, subject, session, challenge, created_at, expires_at, used_at) VALUES (?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (session) DO UPDATE SET id = excluded.id, subject = excluded.subject, challenge = excluded.challenge, created_at = excluded.created_at,
		expires_at = excluded.expires_at, used_at = 0`, c.ID, c.Subject, c.Session, c.Bytes, micros(c.Created), micros(c.Expires))
	return err
}

// TakeChallenge implements passkey.Tx. Exactly one caller wins.
func (t tx) TakeChallenge(ctx context.Context, id string, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark challenge of passkey as used")
	n, err := t.Exec(ctx, `UPDATE passkey_challenges SET used_at = ? WHERE id = ? AND used_at = 0 AND expires_at > ?
		AND created_at > (SELECT not_before FROM restore_mark WHERE id = 1)`, micros(now), id, micros(now))
	return n == 1, err
}

// TakeSignIn implements passkey.Tx. Exactly one caller wins.
func (t tx) TakeSignIn(ctx context.Context, id string, began, ends time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark sign-in as used")
	n, err := t.Exec(ctx, `INSERT INTO passkey_sign_ins (id, ends_at) SELECT CAST(? AS TEXT), CAST(? AS BIGINT) FROM restore_mark
		WHERE id = 1 AND not_before < ? ON CONFLICT (id) DO NOTHING`, id, micros(ends), micros(began))
	return n == 1, err
}

// Sign implements passkey.Tx. The statement itself compares the counter with the one that it replaces (WebAuthn, section 7.2, step 22).
func (t tx) Sign(ctx context.Context, factorID string, counter uint32, forward bool, now time.Time) (_ passkey.Signed, err error) {
	defer tried.To(&err, "note signature of passkey")
	n, err := t.Exec(ctx, `UPDATE factors SET sign_count = CASE WHEN sign_count < ? THEN ? ELSE sign_count END, last_used_at = ?
		WHERE id = ? AND type = 'passkey' AND status = 'active' AND (? = 0 OR sign_count < ? OR (sign_count = 0 AND ? = 0))`,
		int64(counter), int64(counter), micros(now), factorID, flag(forward), int64(counter), int64(counter))
	if err != nil || n == 1 {
		return passkey.Noted, err
	}
	var active int
	if err := t.Get(ctx, &active, `SELECT COUNT(*) FROM factors WHERE id = ? AND status = 'active'`, factorID); err != nil || active == 1 {
		return passkey.Back, err
	}
	return passkey.Revoked, nil
}

const (
	// keepPasskeyChallenges is how long after its creation a challenge is kept, so that it is reported as ended and not as unknown.
	keepPasskeyChallenges = time.Hour
	// keepSignIns is how long a used sign-in is kept after its end: longer than clocks are set back by mistake.
	keepSignIns = 24 * time.Hour
)

// SweepPasskeys implements passkey.Repository.
func (s *Store) SweepPasskeys(ctx context.Context, now time.Time) (err error) {
	defer tried.To(&err, "delete old challenges of passkeys")
	return s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		return deleteOld(ctx, t,
			store.Rows{Table: "passkey_challenges", Key: []string{"id"}, Where: "created_at < ?", Args: before(now, keepPasskeyChallenges)},
			store.Rows{Table: "passkey_sign_ins", Key: []string{"id"}, Where: "ends_at < ?", Args: before(now, keepSignIns)},
		)
	})
}
