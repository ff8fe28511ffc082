package session

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// maxOfApps is the limit of live web app sessions per session of a person. A further one ends the oldest.
const maxOfApps = 100

// BeginOfApp starts a web app's session f. Its parent is the person's session, which the transaction has locked. With offline it returns a refresh
// token, otherwise "".
func (s *Sessions) BeginOfApp(ctx context.Context, tx *store.Tx, f Family, offline bool) (refresh string, err error) {
	defer tried.To(&err, "begin session of client")
	if err := s.Rows.InsertFamily(ctx, tx, f); err != nil {
		return "", err
	}
	old, err := s.Rows.RevokeChildren(ctx, tx, f.Parent, maxOfApps, f.CreatedAt, "too many sessions of web apps")
	if err != nil {
		return "", err
	}
	s.publishEnds(tx, old)
	if !offline {
		return "", nil
	}
	refresh = newRefresh()
	if err := s.Rows.InsertToken(ctx, tx, refreshHash(refresh), f.ID, f.CreatedAt, f.CreatedAt.Add(idleLife)); err != nil {
		return "", fmt.Errorf("store refresh token: %w", err)
	}
	return refresh, nil
}

// EndOfApp ends one session of a web app and records the event e. It ignores a session that has ended.
func (s *Sessions) EndOfApp(ctx context.Context, tx *store.Tx, sid, reason string, e auditlog.Event) error {
	return s.end(ctx, tx, sid, e.Action, reason, e)
}

// EndAllOfApp ends every session of a web app.
func (s *Sessions) EndAllOfApp(ctx context.Context, tx *store.Tx, clientID, reason string) (err error) {
	defer tried.To(&err, "end sessions of client")
	ended, err := s.Rows.RevokeOfClient(ctx, tx, clientID, domain.Now(s.Clock), reason)
	if err != nil {
		return err
	}
	s.publishEnds(tx, ended)
	return nil
}

// EndOfUserAtApp ends every session of a user at a web app, and returns how many. The transaction has locked the user's row exclusively.
func (s *Sessions) EndOfUserAtApp(ctx context.Context, tx *store.Tx, userID, clientID, reason string) (n int64, err error) {
	defer tried.To(&err, "end sessions of user at client")
	ended, err := s.Rows.RevokeOfUserAtClient(ctx, tx, userID, clientID, domain.Now(s.Clock), reason)
	if err != nil {
		return 0, err
	}
	s.publishEnds(tx, ended)
	return int64(len(ended)), nil
}

// SignOutBy ends the person's session that a web app's session belongs to, and with it all app sessions under it. It ignores sessions that have ended,
// are unknown, or belong to another user or client.
func (s *Sessions) SignOutBy(ctx context.Context, sid, userID, clientID string) (err error) {
	defer tried.To(&err, "sign out by a client")
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := s.Active(ctx, tx, userID); err != nil {
			return err
		}
		f, found, err := s.Rows.Find(ctx, tx, sid)
		if err != nil {
			return err
		}
		if !found || f.UserID != userID || f.ClientID != clientID || f.Parent == "" {
			return nil
		}
		return s.end(ctx, tx, f.Parent, "endSession", "signed out by a web app", auditlog.Event{
			Actor: userID, Kind: auth.KindUser, Detail: map[string]string{"client": clientID},
		})
	})
}
