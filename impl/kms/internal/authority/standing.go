package authority

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// StandingRows are the queries of Standing.
type StandingRows interface {
	Owners
	SecondFactors
	// LiveSession reports whether a session of the user is neither revoked nor expired nor waiting for its second factor. It locks the row, so
	// that the answer stays true until the transaction ends.
	LiveSession(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (bool, error)
	// WaitingSession reports whether a session of the user waits for its second factor. It locks the row exclusively until the transaction ends.
	WaitingSession(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (bool, error)
	// WorkingKey reports whether a key of the owner is neither revoked nor expired. It locks the row, so that the answer stays true until the
	// transaction ends.
	WorkingKey(ctx context.Context, tx *store.Tx, keyID string, owner Ref, at time.Time) (bool, error)
	// TokenEnded reports whether the access token with this jti was revoked.
	TokenEnded(ctx context.Context, q store.Querier, jti string) (bool, error)
}

// Standing checks whether the rows behind a token are still valid: its owner, and its session or API key. The token itself does not show this:
// it remains valid for minutes after its session was revoked or its user lost a role.
type Standing struct {
	Rows  StandingRows
	Clock clock.Clock
}

// Held are the owners whose rows a transaction has locked, as they were read.
type Held struct {
	Caller Owner
	owners map[Ref]Owner
}

// Owner returns a locked owner; false when none has that reference.
func (h Held) Owner(ref Ref) (Owner, bool) {
	o, found := h.owners[ref]
	return o, found
}

// Hold must come first in every transaction that creates, rotates, grants, reveals or ends something. It locks the rows that the caller's
// token depends on, and the owners that the transaction acts on, in one order for all transactions: owners by kind and ID, then the session,
// then the key. A concurrent transaction that ends one of them therefore either waits for this one, or is seen by it.
// The caller is refused with domain.Ended when its owner is not active, its session or key has ended, or its token is older than the owner's
// epoch. Decisions about the caller must use the roles and scopes returned here, not those in the token.
//
// A session that waits for its second factor is refused too: see HoldSigningIn.
func (s *Standing) Hold(ctx context.Context, tx *store.Tx, caller *auth.Principal, acts ...Ref) (Held, error) {
	return s.hold(ctx, tx, caller, s.Rows.LiveSession, acts)
}

// HoldSigningIn is Hold for the few operations that are open to a session that waits for its second factor. waits is false when the session
// does not wait any more. A waiting session's row is locked exclusively.
func (s *Standing) HoldSigningIn(ctx context.Context, tx *store.Tx, caller *auth.Principal) (held Held, waits bool, err error) {
	held, err = s.hold(ctx, tx, caller, func(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (good bool, err error) {
		if waits, err = s.Rows.WaitingSession(ctx, tx, sid, userID, at); err != nil || waits {
			return waits, err
		}
		return s.Rows.LiveSession(ctx, tx, sid, userID, at)
	}, nil)
	return held, waits, err
}

// sessionCheck reports whether a session may act, and locks its row so that the answer stays true until the transaction ends.
type sessionCheck func(ctx context.Context, tx *store.Tx, sid, userID string, at time.Time) (bool, error)

func (s *Standing) hold(ctx context.Context, tx *store.Tx, caller *auth.Principal, good sessionCheck, acts []Ref) (_ Held, err error) {
	defer tried.To(&err, "lock caller")
	own := Ref{caller.Kind, caller.Subject}
	refs := append(slices.Clone(acts), own)
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	held := Held{owners: map[Ref]Owner{}}
	for _, ref := range slices.Compact(refs) {
		lock := Shared
		if slices.Contains(acts, ref) {
			lock = Exclusive
		}
		owner, found, err := s.Rows.Owner(ctx, tx, ref, lock)
		if err != nil {
			return Held{}, fmt.Errorf("lock owner %s: %w", ref.ID, err)
		}
		if found {
			held.owners[ref] = owner
		}
	}
	held.Caller = held.owners[own]
	return held, s.stands(ctx, tx, caller, held.Caller, good)
}

// HoldAdministrator is Hold for a caller who must currently be an administrator; others are refused with domain.Forbidden.
func (s *Standing) HoldAdministrator(ctx context.Context, tx *store.Tx, caller *auth.Principal, acts ...Ref) error {
	held, err := s.Hold(ctx, tx, caller, acts...)
	if err != nil {
		return err
	}
	if !held.Caller.HasRole(RoleAdmin) {
		return domain.Refuse(domain.Forbidden, "Only an administrator may do this.")
	}
	return nil
}

// stands refuses a caller whose owner, session, key or token has ended.
func (s *Standing) stands(ctx context.Context, tx *store.Tx, caller *auth.Principal, owner Owner, good sessionCheck) error {
	if !owner.Active || caller.Epoch < owner.Epoch {
		return Ended()
	}
	now := s.Clock.Now()
	if caller.SessionID != "" {
		stands, err := good(ctx, tx, caller.SessionID, caller.Subject, now)
		if err != nil {
			return fmt.Errorf("lock session: %w", err)
		}
		if !stands {
			return Ended()
		}
	}
	if IsKeyID(caller.ClientID) {
		works, err := s.Rows.WorkingKey(ctx, tx, caller.ClientID, owner.Ref, now)
		if err != nil {
			return fmt.Errorf("lock key: %w", err)
		}
		if !works {
			return Ended()
		}
	} else if caller.SessionID == "" {
		return Ended() // neither a session nor a key could be revoked
	}
	ended, err := s.Rows.TokenEnded(ctx, tx, caller.TokenID)
	if err != nil {
		return fmt.Errorf("look for the token's end: %w", err)
	}
	if ended {
		return Ended()
	}
	return nil
}

// IsKeyID reports whether a client_id is that of an API key.
func IsKeyID(clientID string) bool { return strings.HasPrefix(clientID, "key_") }

// Ended returns the refusal of a caller whose session, key or owner has ended.
func Ended() error {
	return domain.Refuse(domain.Ended, "The token is no longer valid: its session or API key has ended, or its owner was disabled or changed.")
}

// HasRole reports whether the owner currently has the role.
func (o Owner) HasRole(role string) bool { return slices.Contains(o.Roles, role) }
