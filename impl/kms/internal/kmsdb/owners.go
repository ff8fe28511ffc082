package kmsdb

import (
	"context"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
)

// Owners finds owners; it is apikey.Owners.
type Owners struct {
	Users interface {
		Get(ctx context.Context, q store.Querier, id string) (user.User, bool, error)
	}
	Services interface {
		Get(ctx context.Context, q store.Querier, id string) (service.Service, bool, error)
	}
}

// Find returns the owner of this kind and id.
func (Owners) Find(ctx context.Context, q store.Querier, kind, id string) (apikey.Owner, bool, error) {
	if kind == auth.KindUser {
		u, found, err := d.Users.Get(ctx, q, id)
		return apikey.Owner{
			Kind: kind, ID: id, Name: u.Username, Active: u.Status == user.Active,
			Scopes: authority.ScopesOf(u.Roles), Roles: u.Roles,
		}, found, err
	}
	s, found, err := d.Services.Get(ctx, q, id)
	return apikey.Owner{Kind: kind, ID: id, Name: s.Name, Active: s.Status == service.Active, Scopes: s.Scopes}, found, err
}
