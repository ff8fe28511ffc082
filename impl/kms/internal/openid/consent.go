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

// Given is what a person has allowed a web app.
type Given struct {
	ClientID, ClientName string
	Scopes               []string
	UpdatedAt            time.Time // when the person agreed last
}

const consentListName = "consents"

// ListConsents returns a page of the caller's consents, by the id of the web app, and the cursor of the next one, or "". Those of others do not exist
// (domain.NotFound), and a token that is not of a person's own session is domain.Forbidden.
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

// ownConsents lets people see and withdraw their own consents, by a session that no app or key has.
func ownConsents(caller *auth.Principal, userID string) error {
	switch {
	case caller.SessionID == "" || caller.ClientID != signing.LoginClient:
		return domain.Refuse(domain.Forbidden, "Only a person's own session sees and withdraws consents.")
	case userID != caller.Subject:
		return domain.Refuse(domain.NotFound, "There is no such user.")
	}
	return nil
}

// WithdrawConsent takes back what the caller has allowed a web app, and ends all that the app has of the caller: sessions and unused codes; it returns how many
// sessions. The caller's row is held for this transaction alone: a trade, a refresh and an authorization hold it too, so each is either over, and what it made
// ends here, or finds nothing to stand on. A consent that is not there is domain.NotFound.
func (p *Provider) WithdrawConsent(ctx context.Context, caller *auth.Principal, userID, clientID string) (ended int64, err error) {
	defer tried.To(&err, "withdraw consent")
	if err := ownConsents(caller, userID); err != nil {
		return 0, err
	}
	err = p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := p.Standing.Hold(ctx, tx, caller, authority.Ref{Kind: auth.KindUser, ID: userID}); err != nil {
			return err
		}
		// Before its sessions, as in the deletion of a client.
		_, found, err := p.Rows.Client(ctx, tx, clientID, authority.Shared)
		if err != nil {
			return fmt.Errorf("hold client: %w", err)
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
			return noConsent() // and nothing was ended
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
