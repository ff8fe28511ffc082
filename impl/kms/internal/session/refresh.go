package session

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/fountainai/fountain/internal/tried"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
)

// Refresh exchanges a refresh token of a sign-in for new tokens, as Renew does. A request can only narrow the access token.
func (s *Sessions) Refresh(ctx context.Context, text string, r signing.Request) (signing.Issued, error) {
	return s.Renew(ctx, text, Renewal{signing.LoginClient, func(_ context.Context, _ *store.Tx, u authority.Owner, f Family, raised bool) (signing.Issued, error) {
		return s.access(u, f, raised, r)
	}})
}

// Renewal defines the client that a refresh token must belong to, and how its access token is issued. raised tells Access whether the level of the
// session's sign-in still counts. The transaction has locked the user's row.
type Renewal struct {
	ClientID string
	Access   func(ctx context.Context, tx *store.Tx, u authority.Owner, f Family, raised bool) (signing.Issued, error)
}

// Renew exchanges a refresh token for new tokens. The token can be used once. Presented again within the grace period it gives the same
// successor, since the first answer may have been lost. Presented later it counts as stolen: the session is revoked, and the audit trail has a security
// event. Every refusal is domain.SessionEnded, also for another client's token.
func (s *Sessions) Renew(ctx context.Context, text string, r Renewal) (_ signing.Issued, err error) {
	defer tried.To(&err, "refresh session")
	now := domain.Now(s.Clock)
	hash := refreshHash(text)
	successor := newRefresh()
	sealed, err := s.Sealer.Seal([]byte(successor), successorContext(hash))
	if err != nil {
		return signing.Issued{}, fmt.Errorf("seal next refresh token: %w", err)
	}
	var issued signing.Issued
	refused := false
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, found, err := s.Rows.Holder(ctx, tx, hash)
		if err != nil {
			return fmt.Errorf("read refresh token: %w", err)
		}
		if refused = !found || held.ClientID != r.ClientID; refused {
			return nil
		}
		owner, active, err := s.Active(ctx, tx, held.UserID)
		if refused = !active; err != nil || refused {
			return err
		}
		f, first, err := s.Rows.Use(ctx, tx, hash, sealed, now, now.Add(grace))
		if err != nil {
			return fmt.Errorf("use refresh token: %w", err)
		}
		if first {
			err = s.Rows.InsertToken(ctx, tx, refreshHash(successor), f.ID, now, now.Add(idleLife))
		} else {
			f, successor, refused, err = s.replayRefresh(ctx, tx, hash)
		}
		if err != nil {
			return fmt.Errorf("find next refresh token: %w", err)
		}
		if refused {
			return nil
		}
		asked, err := s.Standing.SecondFactor(ctx, tx, owner)
		if err != nil {
			return err
		}
		raised := f.keeps(asked, now)
		if refused = asked.Always && !raised; refused {
			return s.end(ctx, tx, f.ID, "refreshToken", "second factor is too old", auditlog.Event{
				Actor: f.UserID, Kind: auth.KindUser, Outcome: auditlog.Denied, Detail: map[string]string{"reason": "second factor is missing or too old"},
			})
		}
		if issued, err = r.Access(ctx, tx, owner, f, raised); err != nil {
			return err // the transaction is rolled back, so a request for too much uses nothing up
		}
		issued.Refresh = successor
		return s.audit.Append(ctx, tx, auditlog.Event{
			Action: "refreshToken", Actor: f.UserID, Kind: auth.KindUser, Target: f.ID, Detail: auditlog.Granted(map[string]string{}, issued.Scopes, owner.Roles),
		})
	})
	if err == nil && refused {
		err = sessionEnded()
	}
	return issued, err
}

func sessionEnded() error {
	return domain.Refuse(domain.SessionEnded, "The session has ended; sign in again.")
}

func successorContext(hash []byte) []byte {
	return []byte("refresh-successor:" + hex.EncodeToString(hash))
}

// replayRefresh handles a token that could not be used: it is unknown, expired, or was used before.
func (s *Sessions) replayRefresh(ctx context.Context, tx *store.Tx, hash []byte) (f Family, successor string, refused bool, err error) {
	now := domain.Now(s.Clock)
	shown, known, err := s.Rows.Shown(ctx, tx, hash, now)
	if err != nil || !known || !shown.Live || shown.SuccessorUntil.IsZero() {
		return f, "", true, err
	}
	if now.After(shown.SuccessorUntil) {
		return f, "", true, s.revokeReused(ctx, tx, shown.FamilyID)
	}
	f, live, err := s.Rows.Family(ctx, tx, shown.FamilyID, now)
	if err != nil || !live {
		return f, "", true, err
	}
	plain, err := s.Sealer.Open(shown.Successor, successorContext(hash))
	return f, string(plain), false, err
}

// revokeReused ends a session because one of its refresh tokens was presented again after the grace period.
func (s *Sessions) revokeReused(ctx context.Context, tx *store.Tx, familyID string) error {
	ended, err := s.revoke(ctx, tx, familyID, "refresh token used twice")
	if err != nil || !ended {
		return err
	}
	return s.audit.Append(ctx, tx, auditlog.Event{
		Action: "refreshToken", Target: familyID, Outcome: auditlog.Denied, Detail: map[string]string{"security": "refresh token used twice"},
	})
}
