// Package session signs users in and manages their sessions: passwords, refresh tokens and their families, and authentication levels.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	revoked "github.com/fountainai/fountain/internal/revocation"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/password"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// The lifetimes of a session.
const (
	idleLife     = 12 * time.Hour     // of an unused refresh token
	absoluteLife = 7 * 24 * time.Hour // of a family, however often it is used
	grace        = 10 * time.Second   // in which a used refresh token returns the same successor
	waitLife     = 5 * time.Minute    // of a session that waits for its second factor
)

// Family is a session: the family of refresh tokens that one sign-in has started.
type Family struct {
	ID, UserID, ClientID           string
	AuthTime, CreatedAt, ExpiresAt time.Time
	Waits                          bool     // whether it waits for its second factor; it expires without one
	Level                          Level    // of its sign-in; zero for a password alone
	Parent                         string   // only of a web app's session: the person's session, with which it ends
	Scopes                         []string // only of a web app's session: the granted scopes
	UserAgent                      string   // the client's User-Agent at the sign-in, or ""
	ClientName                     string   // of a web app; only Families fills it in
}

// Level is the authentication level of a sign-in with a second factor, or with a passkey alone.
type Level struct {
	ACR    string
	AMR    []string
	Factor string    // the type of the factor, one of package auth's
	At     time.Time // when the factor was used
}

// Shown is the state of a refresh token that Use refused.
type Shown struct {
	FamilyID       string
	Live           bool // neither the family nor the token has ended
	Successor      []byte
	SuccessorUntil time.Time // zero when the token is unused
}

// Rows are the queries of the domain. Rows from before a restore count as ended.
type Rows interface {
	// Admit counts a sign-in attempt before the password is checked; false while the identity is locked. free is the number of attempts without
	// a lock, and locks are the lock durations after each further attempt.
	Admit(ctx context.Context, tx *store.Tx, identity []byte, at time.Time, free int, locks []time.Duration) (bool, error)
	// Forgive resets the identity's count.
	Forgive(ctx context.Context, tx *store.Tx, identity []byte, at time.Time) error

	// InsertFamily stores a new session.
	InsertFamily(ctx context.Context, tx *store.Tx, f Family) error
	// Complete ends a session's wait for its second factor, and sets its expiry to expires. Only the first caller gets the session; others get false.
	Complete(ctx context.Context, tx *store.Tx, sid string, l Level, now, expires time.Time) (Family, bool, error)
	// Holder returns the session of a refresh token, in any state.
	Holder(ctx context.Context, q store.Querier, hash []byte) (_ Family, found bool, err error)
	InsertToken(ctx context.Context, tx *store.Tx, hash []byte, familyID string, at, expires time.Time) error
	// Use consumes a refresh token of a live session and stores its sealed successor. Only the first caller gets the session; others get false.
	Use(ctx context.Context, tx *store.Tx, hash, successor []byte, at, until time.Time) (Family, bool, error)
	// Shown returns the state of a token that Use refused.
	Shown(ctx context.Context, q store.Querier, hash []byte, at time.Time) (Shown, bool, error)
	// Family returns a session that has not ended, of an active user.
	Family(ctx context.Context, q store.Querier, id string, at time.Time) (Family, bool, error)
	// Families returns a user's sessions that have not ended at the time, newest first, starting after the session with ID before.
	Families(ctx context.Context, q store.Querier, userID, before string, at time.Time, limit int) ([]Family, error)
	// Find returns a session, in any state.
	Find(ctx context.Context, q store.Querier, id string) (Family, bool, error)
	// UserOf returns the user of a session, in any state.
	UserOf(ctx context.Context, q store.Querier, id string) (userID string, found bool, err error)
	// Revoke ends a session; false when it was already revoked.
	Revoke(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error)
	// RevokeChildren ends the web app sessions that belong to a person's session, except for the keep newest ones, and returns their IDs.
	RevokeChildren(ctx context.Context, tx *store.Tx, parent string, keep int, at time.Time, reason string) ([]string, error)
	// RevokeOfClient ends all sessions of a web app and returns their IDs.
	RevokeOfClient(ctx context.Context, tx *store.Tx, clientID string, at time.Time, reason string) ([]string, error)
	// RevokeOfUserAtClient ends a user's sessions at a web app and returns their IDs.
	RevokeOfUserAtClient(ctx context.Context, tx *store.Tx, userID, clientID string, at time.Time, reason string) ([]string, error)
	// Sweep deletes rows that ended long ago. It also removes locks that end later than the longest lock allows, and returns their number.
	Sweep(ctx context.Context, tx *store.Tx, at time.Time, longest time.Duration) (ahead int64, err error)

	// UseProof records a proof's ID as used; false when it was used before.
	UseProof(ctx context.Context, tx *store.Tx, jti string, expires time.Time) (bool, error)
}

// Users reads users by name or ID.
type Users interface {
	Get(ctx context.Context, q store.Querier, id string) (user.User, bool, error)
	// Credentials returns the user with this exact name, and the hash of the password.
	Credentials(ctx context.Context, q store.Querier, username string) (user.User, string, bool, error)
}

// Sealer seals the successors of refresh tokens; *seal.Keyset implements it.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Config is what Sessions depends on.
type Config struct {
	DB        *store.DB
	Rows      Rows
	Users     Users
	Accounts  *user.Users
	Standing  *authority.Standing
	Feed      *revocation.Feed
	Hasher    *password.Hasher
	Mint      *signing.Mint
	Sealer    Sealer
	ProofKeys auth.KeySource
	Refusals  *auditlog.Refusals
	Clock     clock.Clock
}

// Sessions is the domain of sessions.
type Sessions struct {
	Config
	audit auditlog.Log
	queue *loginQueue
}

// New returns the domain of sessions.
func New(c Config) *Sessions {
	return &Sessions{Config: c, audit: auditlog.Log{Clock: c.Clock}, queue: newLoginQueue()}
}

// newRefresh returns a new random refresh token.
func newRefresh() string {
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	return "rt_" + base64.RawURLEncoding.EncodeToString(random)
}

// refreshHash needs no key: the token has 256 random bits.
func refreshHash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// keeps reports whether the level of the session's sign-in still counts.
func (f Family) keeps(asked authority.SecondFactor, now time.Time) bool {
	return f.Level.ACR != "" && asked.AcceptsAtSignIn(f.Level.Factor) && asked.Keeps(f.Level.At, now)
}

// access issues the access token of a session. raised gives it the level of the session's sign-in, otherwise it has that of a password. The level of a
// step-up is not refreshed. The caller has locked the owner's row.
func (s *Sessions) access(u authority.Owner, f Family, raised bool, r signing.Request) (signing.Issued, error) {
	scopes, audience, err := s.Mint.Narrow(u.Scopes, r)
	if err != nil {
		return signing.Issued{}, err
	}
	grant := signing.Grant{
		Subject: u.ID, Username: u.Name, Kind: auth.KindUser, ClientID: f.ClientID, SessionID: f.ID, Epoch: u.Epoch,
		Scopes: scopes, Audience: audience, Roles: u.Roles, Tenant: u.Tenant,
		ACR: contract.ACRPassword, AMR: []string{"pwd"}, AuthTime: f.AuthTime, Life: signing.UserLife,
	}
	if raised {
		grant.ACR, grant.AMR, grant.Factor, grant.AuthTime = f.Level.ACR, f.Level.AMR, f.Level.Factor, f.Level.At
	}
	return s.Mint.Issue(grant)
}

// Active locks the row of a user and returns it; false when the user does not exist or is not active.
func (s *Sessions) Active(ctx context.Context, tx *store.Tx, userID string) (authority.Owner, bool, error) {
	u, found, err := s.Standing.Rows.Owner(ctx, tx, authority.Ref{Kind: auth.KindUser, ID: userID}, authority.Shared)
	if err != nil {
		return u, false, fmt.Errorf("lock user: %w", err)
	}
	return u, found && u.Active, nil
}

// Logout ends the session of the caller's token. A token issued for an API key has no session (domain.Forbidden). Repeating it is safe.
func (s *Sessions) Logout(ctx context.Context, caller *auth.Principal) (err error) {
	defer tried.To(&err, "sign out")
	if caller.SessionID == "" {
		return domain.Refuse(domain.Forbidden, "This token belongs to no session.")
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := s.Active(ctx, tx, caller.Subject); err != nil {
			return err
		}
		return s.end(ctx, tx, caller.SessionID, "logoutUser", "signed out", auditlog.Event{})
	})
}

// Others reports whether a refresh token belongs to another user's session. A token without a session belongs to no user.
func (s *Sessions) Others(ctx context.Context, text, userID string) (_ bool, err error) {
	defer tried.To(&err, "compare user of refresh token")
	f, found, err := s.Rows.Holder(ctx, s.DB.Read(ctx), refreshHash(text))
	return found && f.UserID != userID, err
}

// RevokeRefresh ends the session of a client's refresh token (RFC 7009). It ignores unknown tokens and those of other clients.
func (s *Sessions) RevokeRefresh(ctx context.Context, clientID, text string) (err error) {
	defer tried.To(&err, "revoke refresh token")
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		f, found, err := s.Rows.Holder(ctx, tx, refreshHash(text))
		if err != nil {
			return fmt.Errorf("read refresh token: %w", err)
		}
		if !found || f.ClientID != clientID {
			return nil
		}
		if _, _, err := s.Active(ctx, tx, f.UserID); err != nil {
			return err
		}
		return s.end(ctx, tx, f.ID, "revokeToken", "refresh token revoked", auditlog.Event{Actor: f.UserID, Kind: auth.KindUser})
	})
}

// end ends a session with its access tokens, and records it, unless the session was already revoked.
func (s *Sessions) end(ctx context.Context, tx *store.Tx, sid, action, reason string, e auditlog.Event) error {
	ended, err := s.revoke(ctx, tx, sid, reason)
	if err != nil || !ended {
		return err
	}
	e.Action, e.Target = action, sid
	return s.audit.Append(ctx, tx, e)
}

// revoke ends a session and the web app sessions that belong to it; false when it was already revoked.
func (s *Sessions) revoke(ctx context.Context, tx *store.Tx, sid, reason string) (bool, error) {
	now := domain.Now(s.Clock)
	ended, err := s.Rows.Revoke(ctx, tx, sid, now, reason)
	if err != nil || !ended {
		return false, err
	}
	s.Feed.Append(tx, revoked.Session, sid, 0)
	// This comes after the revocation of the session: a concurrent exchange of an authorization code holds the session's row, so the session it creates is
	// seen here.
	children, err := s.Rows.RevokeChildren(ctx, tx, sid, 0, now, reason)
	s.publishEnds(tx, children)
	return err == nil, err
}

// publishEnds appends the ends of sessions to the revocation feed.
func (s *Sessions) publishEnds(tx *store.Tx, sids []string) {
	for _, sid := range sids {
		s.Feed.Append(tx, revoked.Session, sid, 0)
	}
}

// Sweep deletes sessions, proofs and counts of failed sign-ins that ended long ago. It removes locks that were set by a clock that was ahead, and
// returns their number.
func (s *Sessions) Sweep(ctx context.Context) (ahead int64, err error) {
	defer tried.To(&err, "delete ended sessions")
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		ahead, err = s.Rows.Sweep(ctx, tx, s.Clock.Now(), longestLock)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweep sessions: %w", err)
	}
	return ahead, nil
}
