package adoption

import (
	"context"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
)

// Draft is a document to be stored.
type Draft struct {
	Document
	Upstreams     []string
	ActiveContent bool
	Accept        []string // names of accepted changes
	Shadow        bool
}

// Over is the precondition of a replacement.
type Over struct {
	Absent bool        // only if there is no contract
	Match  *etag.Match // only if its version matches; nil: in any case
}

// state is the service and contract that a document was checked against.
type state struct {
	service service.Service
	before  Contract
	found   bool
}

// Put adopts a service, or replaces its document; made is true for a new contract. The document is checked outside the transaction that stores it. That
// transaction locks the service, and refuses the document when the live one has changed since: domain.PreconditionFailed under a precondition, else
// domain.StateConflict.
func (a *Adoptions) Put(ctx context.Context, caller *auth.Principal, d Draft, over Over) (after Contract, made bool, err error) {
	if err := d.check(); err != nil {
		return Contract{}, false, err
	}
	var seen state
	// Authorization comes before the check of the document, which takes seconds.
	err = a.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		seen, err = a.lockState(ctx, tx, caller, d, over)
		return err
	})
	if err != nil {
		return Contract{}, false, err
	}
	if seen.found {
		if seen.before, seen.found, err = a.Rows.Whole(ctx, a.DB.Read(ctx), d.Service); err != nil {
			return Contract{}, false, fmt.Errorf("read live document: %w", err)
		}
	}
	edition, wanted, err := a.judge(ctx, d, seen)
	if err != nil {
		return Contract{}, false, err
	}
	edition.UpdatedAt, edition.UpdatedBy = domain.Now(a.Clock), caller.Subject
	err = a.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := a.lockState(ctx, tx, caller, d, over)
		if err != nil {
			return err
		}
		if now.before.Live.Digest != seen.before.Live.Digest || !slices.Equal(now.before.Live.Public, seen.before.Live.Public) {
			return domain.Refuse(domain.StateConflict, "The live contract was changed while the document was checked; send it again.")
		}
		if err := checkDeclared(now.service, wanted); err != nil {
			return err
		}
		made = !now.found
		after, err = a.store(ctx, tx, now, d, edition)
		return err
	})
	if d.Shadow {
		after.Live = seen.before.Live // it is unchanged; this one has its warnings
	}
	return after, made, err
}

// lockState locks the rows of the caller, who must be an administrator, and the service, and returns the state that the document will be checked against.
func (a *Adoptions) lockState(ctx context.Context, tx *store.Tx, caller *auth.Principal, d Draft, over Over) (state, error) {
	found, err := a.lockService(ctx, tx, caller, d.Service)
	if err != nil {
		return state{}, err
	}
	if found.Family {
		return state{}, domain.Refuse(domain.Forbidden, "The contracts of the family's services belong to the release and can't be changed.")
	}
	if found.Status != service.Active {
		return state{}, domain.Refuse(domain.StateConflict, "The service is disabled.")
	}
	now := state{service: found}
	if now.before, now.found, err = a.Rows.Get(ctx, tx, d.Service); err != nil {
		return state{}, fmt.Errorf("read contract: %w", err)
	}
	if over.Absent && now.found || over.Match != nil && (!now.found || !over.Match.Holds(now.before.Version)) {
		return state{}, domain.Refuse(domain.PreconditionFailed, "The contract was changed since it was read, or exists already.")
	}
	if d.Shadow && !now.found {
		return state{}, domain.Refuse(domain.StateConflict, "A shadow needs a live contract, and there is none.")
	}
	return now, nil
}

// lockService locks the rows of the caller, who must be an administrator, and the service with the name, and returns the service.
func (a *Adoptions) lockService(ctx context.Context, tx *store.Tx, caller *auth.Principal, name string) (service.Service, error) {
	named, found, err := a.Services.ByName(ctx, tx, name)
	if err != nil {
		return service.Service{}, fmt.Errorf("find service: %w", err)
	}
	var acts []authority.Ref
	if found {
		acts = append(acts, authority.Ref{Kind: auth.KindService, ID: named.ID})
	}
	if err := a.Standing.HoldAdministrator(ctx, tx, caller, acts...); err != nil {
		return service.Service{}, err
	}
	if found { // read again, now that its row is locked
		named, found, err = a.Services.Get(ctx, tx, named.ID)
		if err != nil {
			return service.Service{}, fmt.Errorf("read service: %w", err)
		}
	}
	if !found {
		return service.Service{}, domain.Refuse(domain.NotFound, "There is no service with this name.")
	}
	detailed := []service.Service{named}
	if err := a.Services.Details(ctx, tx, detailed); err != nil {
		return service.Service{}, fmt.Errorf("read what the service declares: %w", err)
	}
	return detailed[0], nil
}

// store stores the draft. The transaction has locked the service's row.
func (a *Adoptions) store(ctx context.Context, tx *store.Tx, now state, d Draft, e Edition) (Contract, error) {
	after := now.before
	after.Name, after.ServiceID, after.Active = d.Service, now.service.ID, true
	if d.Shadow {
		after.Shadow = &e
	} else {
		after.Live, after.Shadow, after.Upstreams, after.ActiveContent = e, nil, d.Upstreams, d.ActiveContent
	}
	more := Room{Bytes: after.size() - now.before.size()}
	if !now.found {
		after.CreatedAt, more.Contracts = e.UpdatedAt, 1
	}
	var err error
	if after.Version, err = a.changeUsage(ctx, tx, more); err != nil {
		return Contract{}, err
	}
	if err := a.Rows.Put(ctx, tx, after); err != nil {
		return Contract{}, fmt.Errorf("store contract: %w", err)
	}
	if !d.Shadow {
		if err := a.Rows.DropShadow(ctx, tx, after.Name); err != nil {
			return Contract{}, fmt.Errorf("drop shadow: %w", err)
		}
	}
	if err := a.Rows.PutEdition(ctx, tx, d.Shadow, e); err != nil {
		return Contract{}, fmt.Errorf("store document: %w", err)
	}
	a.announce(tx, after.Name)
	return after, a.audit().Append(ctx, tx, auditlog.Event{Action: "putContract", Target: after.Name, Detail: map[string]string{
		"digest": e.Digest, "version": fmt.Sprint(after.Version), "shadow": fmt.Sprint(d.Shadow),
	}})
}

// changeUsage changes the used room, and returns the next version; domain.LimitReached when the limit would be exceeded.
func (a *Adoptions) changeUsage(ctx context.Context, tx *store.Tx, more Room) (int64, error) {
	version, taken, err := a.Rows.Take(ctx, tx, more, Room{MaxContracts, MaxBytes})
	if err != nil {
		return 0, fmt.Errorf("take room for contract: %w", err)
	}
	if !taken {
		return 0, domain.Refuse(domain.LimitReached, fmt.Sprintf("There are at most %d contracts, of %d MiB together.", MaxContracts, MaxBytes>>20))
	}
	return version, nil
}
