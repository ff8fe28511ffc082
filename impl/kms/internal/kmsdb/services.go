package kmsdb

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Services implements service.Rows.
type Services struct{}

type serviceRow struct {
	ID        string `db:"id"`
	Name      string `db:"name"`
	Scopes    string `db:"scopes"`
	Family    int64  `db:"family"`
	Status    string `db:"status"`
	Version   int64  `db:"version"`
	CreatedAt int64  `db:"created_at"`
	UpdatedAt int64  `db:"updated_at"`
	Epoch     int64  `db:"token_epoch"`
	Tenant    string `db:"tenant"`
}

const serviceColumns = "id, name, scopes, family, status, version, created_at, updated_at, token_epoch, tenant"

func (r serviceRow) service() service.Service {
	return service.Service{
		ID: r.ID, Name: r.Name, Scopes: strings.Fields(r.Scopes), Family: r.Family == 1, Status: r.Status, Version: r.Version,
		CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt), Epoch: r.Epoch, Tenant: r.Tenant,
	}
}

// Insert implements service.Rows; false when the name is taken, also by a deleted service. An ID that is taken is a database error.
func (Services) Insert(ctx context.Context, tx *store.Tx, s service.Service) (_ bool, err error) {
	defer tried.To(&err, "insert service")
	return changed(ctx, tx, "INSERT INTO services ("+serviceColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (name) DO NOTHING",
		s.ID, s.Name, join(s.Scopes), flag(s.Family), s.Status, s.Version, s.CreatedAt.UnixMicro(), s.UpdatedAt.UnixMicro(), s.Tenant)
}

// SetFamilyScopes implements service.Rows; false when the service already has these scopes, does not exist or is not of the family.
func (Services) SetFamilyScopes(ctx context.Context, tx *store.Tx, name string, scopes []string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "write scopes of family service")
	return changed(ctx, tx, "UPDATE services SET scopes = ?, version = version + 1, updated_at = ? WHERE name = ? AND family = 1 AND scopes <> ?",
		join(scopes), at.UnixMicro(), name, join(scopes))
}

// Update implements service.Rows; false when the service is at another version, deleted or does not exist.
func (Services) Update(ctx context.Context, tx *store.Tx, s service.Service, from int64) (_ bool, err error) {
	defer tried.To(&err, "update service row")
	return changed(ctx, tx, "UPDATE services SET status = ?, scopes = ?, version = ?, updated_at = ? WHERE id = ? AND version = ? AND deleted_at IS NULL",
		s.Status, join(s.Scopes), s.Version, s.UpdatedAt.UnixMicro(), s.ID, from)
}

// Delete marks a service as deleted and disables it; false when it was already deleted.
func (Services) Delete(ctx context.Context, tx *store.Tx, id string, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark service as deleted")
	return changed(ctx, tx, `UPDATE services SET deleted_at = ?, status = 'disabled', scopes = '', version = version + 1, updated_at = ?
		WHERE id = ? AND deleted_at IS NULL`, at.UnixMicro(), at.UnixMicro(), id)
}

// Declare replaces the declared scopes of a service; false when another service declares one of them. Some are written then, so the transaction must
// be rolled back.
func (Services) Declare(ctx context.Context, tx *store.Tx, id string, scopes []string) (_ bool, err error) {
	defer tried.To(&err, "write declared scopes")
	if _, err := tx.Exec(ctx, "DELETE FROM declared_scopes WHERE service_id = ?", id); err != nil {
		return false, err
	}
	for _, scope := range scopes {
		inserted, err := changed(ctx, tx, "INSERT INTO declared_scopes (scope, service_id) VALUES (?, ?) ON CONFLICT (scope) DO NOTHING", scope, id)
		if err != nil || !inserted {
			return false, err
		}
	}
	return true, nil
}

// Declares returns which of the scopes are declared by a service, in the order given. It locks their rows (shared) until the transaction ends.
func (Services) Declares(ctx context.Context, tx *store.Tx, scopes []string) (_ []string, err error) {
	defer tried.To(&err, "read declared scopes")
	var declared []string
	for _, scope := range scopes {
		var found string
		ok, err := one(ctx, tx, &found, "SELECT scope FROM declared_scopes WHERE scope = ?"+locking(tx, authority.Shared), scope)
		if err != nil {
			return nil, err
		}
		if ok {
			declared = append(declared, scope)
		}
	}
	return declared, nil
}

// Details fills in the services' declared scopes and the time of the last use of their keys (zero: never).
func (Services) Details(ctx context.Context, q store.Querier, services []service.Service) (err error) {
	defer tried.To(&err, "read details of service")
	for i := range services {
		s := &services[i]
		if err := q.Select(ctx, &s.Declared, "SELECT scope FROM declared_scopes WHERE service_id = ? ORDER BY scope", s.ID); err != nil {
			return err
		}
		var used *int64
		if err := q.Get(ctx, &used, "SELECT MAX(last_used_at) FROM api_keys WHERE owner_kind = 'service' AND owner_id = ?", s.ID); err != nil {
			return err
		}
		s.LastUsedAt = fromColumn(used)
	}
	return nil
}

// Carriers returns the services that have one of the scopes, by ID.
func (Services) Carriers(ctx context.Context, tx *store.Tx, scopes []string) (_ []service.Service, err error) {
	defer tried.To(&err, "read services with a scope")
	found := map[string]service.Service{}
	for _, scope := range scopes {
		var rows []serviceRow
		err := tx.Select(ctx, &rows, "SELECT "+serviceColumns+" FROM services WHERE ' ' || scopes || ' ' LIKE ?", "% "+scope+" %")
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			found[r.ID] = r.service()
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b service.Service) int { return strings.Compare(a.ID, b.ID) }), nil
}

// LockCarriers locks the services that have one of the scopes, and the service with the ID, in the order of IDs.
func (Services) LockCarriers(ctx context.Context, tx *store.Tx, scopes []string, id string) (err error) {
	defer tried.To(&err, "lock services with a scope")
	rows := store.Rows{Table: "services", Key: []string{"id"}, Where: "id = ?" + strings.Repeat(" OR ' ' || scopes || ' ' LIKE ?", len(scopes)), Args: []any{id}}
	for _, scope := range scopes {
		rows.Args = append(rows.Args, "% "+scope+" %")
	}
	return rows.Lock(ctx, tx)
}

// Get implements service.Rows; false when the service does not exist or is deleted.
func (Services) Get(ctx context.Context, q store.Querier, id string) (_ service.Service, _ bool, err error) {
	defer tried.To(&err, "read service")
	var r serviceRow
	found, err := one(ctx, q, &r, "SELECT "+serviceColumns+" FROM services WHERE id = ? AND deleted_at IS NULL", id)
	return r.service(), found, err
}

// ByName implements service.Rows; false when no service has exactly this name or it is deleted.
func (Services) ByName(ctx context.Context, q store.Querier, name string) (_ service.Service, _ bool, err error) {
	defer tried.To(&err, "read service by name")
	var r serviceRow
	found, err := one(ctx, q, &r, "SELECT "+serviceColumns+" FROM services WHERE name = ? AND deleted_at IS NULL", name)
	return r.service(), found, err
}

// List implements service.Rows: at most limit services by name, starting after the given name, without deleted ones.
func (Services) List(ctx context.Context, q store.Querier, after string, limit int) (_ []service.Service, err error) {
	defer tried.To(&err, "read services")
	var rows []serviceRow
	err = q.Select(ctx, &rows, "SELECT "+serviceColumns+" FROM services WHERE name > ? AND deleted_at IS NULL ORDER BY name LIMIT ?", after, limit)
	services := make([]service.Service, len(rows))
	for i, r := range rows {
		services[i] = r.service()
	}
	return services, err
}

// EndAccess implements service.Rows. A service without keys and tokens is not an error.
func (s Services) EndAccess(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (err error) {
	defer tried.To(&err, "end access of service")
	if err := s.SupersedeTokens(ctx, tx, id, at); err != nil {
		return err
	}
	return revokeOwned(ctx, tx, auth.KindService, id, at, reason)
}

// InsertToken implements service.Rows. An existing hash and an unknown service are database errors.
func (Services) InsertToken(ctx context.Context, tx *store.Tx, hash []byte, serviceID string, at, expires time.Time) (err error) {
	defer tried.To(&err, "insert enrolment token")
	_, err = tx.Exec(ctx, "INSERT INTO enrolment_tokens (hash, service_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
		hash, serviceID, at.UnixMicro(), expires.UnixMicro())
	return err
}

// SupersedeTokens implements service.Rows. A service without unused tokens is not an error.
func (Services) SupersedeTokens(ctx context.Context, tx *store.Tx, serviceID string, at time.Time) (err error) {
	defer tried.To(&err, "supersede enrolment tokens")
	_, err = tx.Exec(ctx, "UPDATE enrolment_tokens SET superseded_at = ? WHERE service_id = ? AND used_at IS NULL AND superseded_at IS NULL",
		at.UnixMicro(), serviceID)
	return err
}

// tokenOpen is the condition that an enrolment token can be used. Its placeholders are the hash and the time.
const tokenOpen = " hash = ? AND used_at IS NULL AND superseded_at IS NULL AND expires_at > ? AND" + afterRestore +
	"AND service_id IN (SELECT id FROM services WHERE status = 'active') "

// UseToken implements service.Rows. It returns the token's service; used is false when the token is not open. Of concurrent calls only the first is true.
func (Services) UseToken(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (serviceID string, used bool, err error) {
	defer tried.To(&err, "mark enrolment token as used")
	used, err = one(ctx, tx, &serviceID, "UPDATE enrolment_tokens SET used_at = ? WHERE"+tokenOpen+"RETURNING service_id",
		at.UnixMicro(), hash, at.UnixMicro())
	return serviceID, used, err
}

// RaiseEpoch invalidates every access token of the service, and returns the new epoch; sql.ErrNoRows when there is no such service.
func (Services) RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (epoch int64, err error) {
	defer tried.To(&err, "raise epoch of service")
	err = tx.Get(ctx, &epoch, "UPDATE services SET token_epoch = token_epoch + 1 WHERE id = ? RETURNING token_epoch", id)
	return epoch, err
}

// TokenService returns the service of a token in any state; false when the token is unknown.
func (Services) TokenService(ctx context.Context, q store.Querier, hash []byte) (serviceID string, found bool, err error) {
	defer tried.To(&err, "read service of enrolment token")
	found, err = one(ctx, q, &serviceID, "SELECT service_id FROM enrolment_tokens WHERE hash = ?", hash)
	return serviceID, found, err
}

// TokenUsed implements service.Rows; used is false when the token is unused or unknown.
func (Services) TokenUsed(ctx context.Context, q store.Querier, hash []byte) (serviceID string, used bool, err error) {
	defer tried.To(&err, "read used enrolment token")
	used, err = one(ctx, q, &serviceID, "SELECT service_id FROM enrolment_tokens WHERE hash = ? AND used_at IS NOT NULL", hash)
	return serviceID, used, err
}

// TokenOpen implements service.Rows; false when the token was used or superseded, has expired, is from before a restore or unknown, or its
// service is not active.
func (Services) TokenOpen(ctx context.Context, q store.Querier, hash []byte, at time.Time) (_ bool, err error) {
	defer tried.To(&err, "read open enrolment token")
	var n int64
	return one(ctx, q, &n, "SELECT 1 FROM enrolment_tokens WHERE"+tokenOpen, hash, at.UnixMicro())
}

// HasCredential implements service.Rows. A key from before a restore does not count.
func (Services) HasCredential(ctx context.Context, q store.Querier, serviceID string, at, fresh, until time.Time) (_ bool, err error) {
	defer tried.To(&err, "read working key of service")
	var n int64
	return one(ctx, q, &n, `SELECT 1 FROM api_keys WHERE owner_kind = 'service' AND owner_id = ? AND revoked_at IS NULL AND expires_at > ?
		AND (last_used_at IS NOT NULL OR created_at > ?) AND granted_until > ? AND`+afterRestore+`LIMIT 1`,
		serviceID, at.UnixMicro(), fresh.UnixMicro(), until.UnixMicro())
}

// SweepTokens implements service.Rows.
func (Services) SweepTokens(ctx context.Context, tx *store.Tx, before time.Time) (err error) {
	defer tried.To(&err, "delete old enrolment tokens")
	_, err = old("enrolment_tokens", "hash", before).Delete(ctx, tx)
	return err
}
