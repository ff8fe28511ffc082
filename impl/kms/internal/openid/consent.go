package openid

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Given is a person's consent to a web app.
type Given struct {
	ClientID, ClientName string
	Scopes               []string
	UpdatedAt            time.Time // when the person last consented
}

const consentListName = "consents"

// ListConsents returns a page of the caller's consents, by the ID of the web app, and the cursor of the next page, or "". Another user's consents are
// domain.NotFound. A token that is not from a person's own session is domain.Forbidden.
func (p *Provider) ListConsents(ctx context.Context, caller *auth.Principal, userID, cursor string, limit int) (_ []Given, _ string, err error) {
	defer tried.To(&err, "list consents")
	var after string
	if cursor != "" {
		if err := page.Decode(consentListName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	if err := ownConsents(caller, userID); err != nil {
		return nil, "", err
	}
	given, err := p.Rows.Consents(ctx, p.DB.Read(ctx), userID, after, limit+1)
	if err != nil || len(given) <= limit {
		return given, "", err
	}
	given = given[:limit]
	return given, page.Encode(consentListName, given[limit-1].ClientID), nil
}

// ownConsents allows only a person's own session, not one of a web app or an API key, and only for the person's own consents.
func ownConsents(caller *auth.Principal, userID string) error {
	switch {
	case caller.SessionID == "" || caller.ClientID != signing.LoginClient:
		return domain.Refuse(domain.Forbidden, "Consents can only be read and withdrawn in the person's own session.")
	case userID != caller.Subject:
		return domain.Refuse(domain.NotFound, "There is no such user.")
	}
	return nil
}

// WithdrawConsent withdraws the caller's consent to a web app, ends the app's sessions for the caller, deletes its unused codes, and returns the number of
// sessions. The caller's row is locked exclusively. A code exchange, a refresh and an authorization lock it too: each has either committed, and then what it
// created ends here, or fails afterwards. A missing consent is domain.NotFound.
func (p *Provider) WithdrawConsent(ctx context.Context, caller *auth.Principal, userID, clientID string) (ended int64, err error) {
	defer tried.To(&err, "withdraw consent")
	if err := ownConsents(caller, userID); err != nil {
		return 0, err
	}
	err = p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := p.Standing.Hold(ctx, tx, caller, authority.Ref{Kind: auth.KindUser, ID: userID}); err != nil {
			return err
		}
		// The client is locked before its sessions, as in the deletion of a client.
		_, found, err := p.Rows.Client(ctx, tx, clientID, authority.Shared)
		if err != nil {
			return fmt.Errorf("lock client: %w", err)
		}
		if !found {
			return noConsent()
		}
		if ended, err = p.Sessions.EndOfUserAtApp(ctx, tx, userID, clientID, "the consent was withdrawn"); err != nil {
			return err
		}
		if err := p.Rows.DropCodes(ctx, tx, userID, clientID); err != nil {
			return err
		}
		withdrawn, err := p.Rows.DeleteConsent(ctx, tx, userID, clientID)
		if err != nil {
			return err
		}
		if !withdrawn {
			return noConsent() // the transaction is rolled back, so no session ends
		}
		return p.audit.Append(ctx, tx, auditlog.Event{
			Action: "withdrawConsent", Target: clientID, Detail: map[string]string{"sessions": strconv.FormatInt(ended, 10)},
		})
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}

func noConsent() error {
	return domain.Refuse(domain.NotFound, "There is no consent for such a web app.")
}
