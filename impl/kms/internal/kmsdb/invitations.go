package kmsdb

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// InsertInvitation stores an invitation by the hash of its token, and invalidates older unused ones of the user. An existing ID or hash and an unknown user
// are database errors.
func (Users) InsertInvitation(ctx context.Context, tx *store.Tx, id string, hash []byte, userID string, at, expires time.Time) (err error) {
	defer tried.To(&err, "insert invitation")
	if err := endInvitations(ctx, tx, userID, at); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO invitations (id, hash, user_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
		id, hash, userID, at.UnixMicro(), expires.UnixMicro())
	return err
}

// EndInvitations implements user.Rows.
func (Users) EndInvitations(ctx context.Context, tx *store.Tx, userID string, at time.Time) (err error) {
	defer tried.To(&err, "end invitations")
	return endInvitations(ctx, tx, userID, at)
}

func endInvitations(ctx context.Context, tx *store.Tx, userID string, at time.Time) error {
	_, err := tx.Exec(ctx, "UPDATE invitations SET superseded_at = ? WHERE user_id = ? AND used_for IS NULL AND superseded_at IS NULL", at.UnixMicro(), userID)
	if err != nil {
		return fmt.Errorf("supersede invitations: %w", err)
	}
	if _, err = tx.Exec(ctx, failMail+"user_id = ? AND kind = ?", superseded, at.UnixMicro(), userID, string(mail.Invitation)); err != nil {
		return fmt.Errorf("give up mails of invitations: %w", err)
	}
	return nil
}

const invitationOpen = " superseded_at IS NULL AND expires_at > ? AND" + afterRestore

// OpenInvitation returns the ID of the user's invitation with this hash; open is false when it was used or superseded, has expired, is from before a restore,
// another user's or unknown.
func (Users) OpenInvitation(ctx context.Context, q store.Querier, hash []byte, userID string, at time.Time) (id string, open bool, err error) {
	defer tried.To(&err, "read invitation")
	open, err = one(ctx, q, &id, "SELECT id FROM invitations WHERE hash = ? AND user_id = ? AND used_for IS NULL AND"+invitationOpen, hash, userID, at.UnixMicro())
	return id, open, err
}

// UseInvitation marks an invitation as used for a factor. It is true again for the same factor; false for another one and for an invitation that is not open.
func (Users) UseInvitation(ctx context.Context, tx *store.Tx, id, userID, factorID string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark invitation as used")
	return changed(ctx, tx, "UPDATE invitations SET used_for = ? WHERE id = ? AND user_id = ? AND (used_for IS NULL OR used_for = ?) AND"+invitationOpen,
		factorID, id, userID, factorID, at.UnixMicro())
}
