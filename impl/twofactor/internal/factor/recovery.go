package factor

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	recoveryCount = 10 // codes of one set
	recoverySize  = 15 // bytes of one code: with 120 bits a keyed hash protects it, and guesses need not be counted
	recoveryGroup = 4  // characters between two dashes
	recoveryFew   = 3  // with fewer left, the person should create new ones
)

// crockford is the encoding of recovery codes. Its alphabet has no letter that can be taken for a digit.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// RecoveryCodes are codes of which each can be used once in place of a code of an authenticator.
type RecoveryCodes struct {
	Codes []string
	Made  time.Time
}

// RecoveryCodesLeft says how many codes of a set are left.
type RecoveryCodesLeft struct {
	Remaining int
	Few       bool
	Made      time.Time // zero: there never were any
}

// newRecoveryCodes makes a set of codes, and the hashes that are stored of it.
func (s *Service) newRecoveryCodes(subject string, now time.Time) (made RecoveryCodes, hashes [][]byte, err error) {
	made.Made = now
	for range recoveryCount {
		raw := make([]byte, recoverySize)
		if _, err := io.ReadFull(s.Random, raw); err != nil {
			return RecoveryCodes{}, nil, fmt.Errorf("make recovery code: %w", err)
		}
		code := crockford.EncodeToString(raw)
		hash, err := s.recoveryHash(subject, code)
		if err != nil {
			return RecoveryCodes{}, nil, err
		}
		var groups []string
		for ; code != ""; code = code[recoveryGroup:] {
			groups = append(groups, code[:recoveryGroup])
		}
		made.Codes, hashes = append(made.Codes, strings.Join(groups, "-")), append(hashes, hash)
	}
	return made, hashes, nil
}

// FreshCodes are recovery codes that have not been shown or stored.
type FreshCodes struct {
	subject string
	made    RecoveryCodes
	hashes  [][]byte
}

// NewRecoveryCodes makes codes, which KeepIfFirst stores in the change that confirms a factor.
func (s *Service) NewRecoveryCodes(subject string, now time.Time) (FreshCodes, error) {
	made, hashes, err := s.newRecoveryCodes(subject, now)
	return FreshCodes{subject: subject, made: made, hashes: hashes}, err
}

// KeepIfFirst stores the codes, and returns them to be shown, when the factor is the subject's first and the subject has no unused codes. Otherwise it returns none.
// counts are those before the factor became active.
func (f FreshCodes) KeepIfFirst(ctx context.Context, tx Tx, counts Counts) (RecoveryCodes, error) {
	if counts.Active > 0 {
		return RecoveryCodes{}, nil
	}
	left, _, err := tx.RecoveryCodes(ctx, f.subject)
	if err != nil || left > 0 {
		return RecoveryCodes{}, err
	}
	return f.made, tx.PutRecoveryCodes(ctx, f.subject, f.hashes, f.made.Made)
}

// recoveryHash returns the hash that is stored of a code. It ignores case and dashes, which depend on how a person writes the code.
func (s *Service) recoveryHash(subject, code string) ([]byte, error) {
	code = strings.ToUpper(strings.ReplaceAll(code, "-", ""))
	hash, err := s.Sealer.Sum([]byte("twofactor recovery code\x00" + subject + "\x00" + code))
	if err != nil {
		return nil, fmt.Errorf("hash recovery code: %w", err)
	}
	return hash, nil
}

// CreateRecoveryCodes makes new recovery codes for the caller, who has given a second factor. Earlier codes stop working. ErrNoFactor when the caller has no
// active factor that they could replace.
func (s *Service) CreateRecoveryCodes(ctx context.Context, c Caller) (made RecoveryCodes, err error) {
	defer tried.To(&err, "make recovery codes")
	now := s.Clock.Now().Truncate(time.Microsecond)
	if _, err := s.standing(ctx, c); err != nil {
		return RecoveryCodes{}, err
	}
	made, hashes, err := s.newRecoveryCodes(c.Subject, now)
	if err != nil {
		return RecoveryCodes{}, err
	}
	err = s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		counts, err := tx.Lock(ctx, c.Subject, now)
		if err != nil {
			return err
		}
		if counts.Active == 0 {
			return ErrNoFactor
		}
		if err := tx.PutRecoveryCodes(ctx, c.Subject, hashes, now); err != nil {
			return err
		}
		return tx.Audit(ctx, Event{At: now, Action: "createRecoveryCodes", Subject: c.Subject, RequestID: c.RequestID})
	})
	if err != nil {
		return RecoveryCodes{}, err
	}
	return made, nil
}

// RecoveryCodesLeft returns how many recovery codes the subject has.
func (s *Service) RecoveryCodesLeft(ctx context.Context, subject string) (left RecoveryCodesLeft, err error) {
	defer tried.To(&err, "count recovery codes")
	left.Remaining, left.Made, err = s.Repository.RecoveryCodes(ctx, subject)
	left.Few = left.Remaining < recoveryFew
	return left, err
}

// UseRecoveryCode accepts a recovery code of the caller, once, and returns a proof for the caller's session, as Verify does. It ends a lock and makes the session proven (Proven). A wrong or used code gives
// ErrInvalidCode.
func (s *Service) UseRecoveryCode(ctx context.Context, c Caller, code string) (_ Proof, err error) {
	defer tried.To(&err, "use recovery code")
	if c.Session == "" {
		return Proof{}, ErrNoSession
	}
	if _, err := s.standing(ctx, c); err != nil {
		return Proof{}, err
	}
	hash, err := s.recoveryHash(c.Subject, code)
	if err != nil {
		return Proof{}, err
	}
	now := s.Clock.Now()
	claims := s.claims(c, auth.FactorRecoveryCode, now)
	event := Event{At: now, Action: "useRecoveryCode", Subject: c.Subject, RequestID: c.RequestID}
	used := false
	err = s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Lock(ctx, c.Subject, now); err != nil {
			return err
		}
		if used, err = tx.UseRecoveryCode(ctx, c.Subject, hash, now); err != nil {
			return err
		}
		if !used {
			event.Denied, event.Detail = true, map[string]string{"reason": "wrong"}
			return tx.Audit(ctx, event)
		}
		if err := tx.EndLock(ctx, c.Subject, false); err != nil {
			return err
		}
		if err := tx.Prove(ctx, c.Subject, c.Session, now); err != nil {
			return err
		}
		if err := tx.Notify(ctx, c.Subject, NoticeRecoveryCode, "", now, now); err != nil {
			return err
		}
		event.Denied, event.Detail = false, map[string]string{"proof": claims.ID}
		return tx.Audit(ctx, event)
	})
	if err != nil {
		return Proof{}, err
	}
	if !used {
		return Proof{}, ErrInvalidCode
	}
	return s.prove(claims)
}

// Ended counts what a reset has ended: the factors, and the recovery codes that were not used.
type Ended struct{ Factors, RecoveryCodes int64 }

// Reset revokes all factors and deletes all recovery codes of a subject, for an administrator. The caller has given a second factor.
func (s *Service) Reset(ctx context.Context, c Caller, subject, reason string) (ended Ended, err error) {
	defer tried.To(&err, "reset factors")
	standing, err := s.standing(ctx, c)
	if err != nil {
		return Ended{}, err
	}
	if !standing.Administrator {
		return Ended{}, ErrNotAdministrator
	}
	now := s.Clock.Now()
	err = s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		if ended, err = s.endAll(ctx, tx, subject, NoticeReset, now, now); err != nil {
			return err
		}
		return tx.Audit(ctx, Event{At: now, Action: "resetFactors", Subject: c.Subject, Target: subject, RequestID: c.RequestID, Detail: map[string]string{
			"reason": reason, "factors": strconv.FormatInt(ended.Factors, 10), "recoveryCodes": strconv.FormatInt(ended.RecoveryCodes, 10),
		}})
	})
	return ended, err
}

// endAll revokes the factors and deletes the recovery codes that a subject got up to a time, and resets the counts of wrong codes. The notice also goes to the
// addresses that it revokes.
func (s *Service) endAll(ctx context.Context, tx Tx, subject string, n Notice, before, now time.Time) (ended Ended, err error) {
	if _, err := tx.Lock(ctx, subject, now); err != nil {
		return Ended{}, err
	}
	if err := tx.Notify(ctx, subject, n, "", before, now); err != nil {
		return Ended{}, err
	}
	if ended.Factors, err = tx.RevokeAll(ctx, subject, before, now); err != nil {
		return Ended{}, err
	}
	if ended.RecoveryCodes, err = tx.DropRecoveryCodes(ctx, subject, before); err != nil {
		return Ended{}, err
	}
	return ended, tx.EndLock(ctx, subject, true)
}
