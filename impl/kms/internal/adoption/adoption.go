package adoption

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/page"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

// Services reads registered services.
type Services interface {
	Get(ctx context.Context, q store.Querier, id string) (service.Service, bool, error)
	ByName(ctx context.Context, q store.Querier, name string) (service.Service, bool, error)
	// Details fills in the services' declared scopes.
	Details(ctx context.Context, q store.Querier, services []service.Service) error
}

// Adoptions is the domain of adopted services.
type Adoptions struct {
	DB       *store.DB
	Rows     Rows
	Services Services
	Standing *authority.Standing
	Feed     *revocation.Feed
	Judge    *Bench
	Clock    clock.Clock
}

func (a *Adoptions) audit() auditlog.Log { return auditlog.Log{Clock: a.Clock} }

// announce notifies the gateways, through the revocation feed, that an adopted service has changed.
func (a *Adoptions) announce(tx *store.Tx, name string) { a.Feed.Append(tx, ended.Contract, name, 0) }

// mayRead refuses services other than the gateway, whatever scopes they have. Users were already authorized by the contract's policy.
func (a *Adoptions) mayRead(ctx context.Context, caller *auth.Principal) error {
	if caller.Kind == auth.KindUser {
		return nil
	}
	owner, found, err := a.Standing.Rows.Owner(ctx, a.DB.Read(ctx), authority.Ref{Kind: caller.Kind, ID: caller.Subject}, authority.Unlocked)
	if err != nil {
		return fmt.Errorf("read the caller: %w", err)
	}
	if !found || !owner.Family || owner.Name != authority.Gateway {
		return domain.Refuse(domain.Forbidden, "The gateway is the only service that can read contracts.")
	}
	return nil
}

// Get returns a contract with its documents; domain.NotFound when there is none.
func (a *Adoptions) Get(ctx context.Context, caller *auth.Principal, name string) (Contract, error) {
	if err := a.mayRead(ctx, caller); err != nil {
		return Contract{}, err
	}
	c, found, err := a.Rows.Whole(ctx, a.DB.Read(ctx), name)
	if err != nil {
		return Contract{}, fmt.Errorf("read contract: %w", err)
	}
	if !found {
		return Contract{}, notFound()
	}
	return c, nil
}

const listName = "contracts"

// List returns a page of contracts by name, without documents and warnings, and the cursor of the next page, or "".
func (a *Adoptions) List(ctx context.Context, caller *auth.Principal, cursor string, limit int) ([]Contract, string, error) {
	if err := a.mayRead(ctx, caller); err != nil {
		return nil, "", err
	}
	var after string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	contracts, err := a.Rows.List(ctx, a.DB.Read(ctx), after, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list contracts: %w", err)
	}
	if len(contracts) <= limit {
		return contracts, "", nil
	}
	return contracts[:limit], page.Encode(listName, contracts[limit-1].Name), nil
}

// Retire ends the adoption of a service; domain.NotFound when it is not adopted.
func (a *Adoptions) Retire(ctx context.Context, caller *auth.Principal, name string) error {
	return a.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := a.lockService(ctx, tx, caller, name); err != nil {
			return err
		}
		retired, err := a.end(ctx, tx, name)
		if err != nil {
			return err
		}
		if !retired {
			return notFound()
		}
		return nil
	})
}

// Ended implements service.Contracts.
func (a *Adoptions) Ended(ctx context.Context, tx *store.Tx, name string) error {
	_, err := a.end(ctx, tx, name)
	return err
}

// end deletes a contract; false when there is none. The transaction has locked the service's row.
func (a *Adoptions) end(ctx context.Context, tx *store.Tx, name string) (bool, error) {
	c, found, err := a.Rows.Get(ctx, tx, name)
	if err != nil {
		return false, fmt.Errorf("read contract: %w", err)
	}
	if !found {
		return false, nil
	}
	if err := a.Rows.Delete(ctx, tx, name); err != nil {
		return false, fmt.Errorf("delete contract: %w", err)
	}
	if _, err := a.changeUsage(ctx, tx, Room{-1, -c.size()}); err != nil {
		return false, err
	}
	a.announce(tx, name)
	return true, a.audit().Append(ctx, tx, auditlog.Event{Action: "retireContract", Target: name, Detail: map[string]string{"digest": c.Live.Digest}})
}

// Switched implements service.Contracts.
func (a *Adoptions) Switched(ctx context.Context, tx *store.Tx, name string) error {
	_, found, err := a.Rows.Get(ctx, tx, name)
	if err != nil {
		return fmt.Errorf("read contract: %w", err)
	}
	if !found {
		return nil
	}
	version, err := a.changeUsage(ctx, tx, Room{})
	if err != nil {
		return err
	}
	if err := a.Rows.SetVersion(ctx, tx, name, version); err != nil {
		return fmt.Errorf("raise the contract's version: %w", err)
	}
	a.announce(tx, name)
	return nil
}

func notFound() error { return domain.Refuse(domain.NotFound, "The service is not adopted.") }
