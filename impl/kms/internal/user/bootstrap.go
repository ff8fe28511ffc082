package user

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// BootstrapLife is how long a bootstrap token can be used.
const BootstrapLife = time.Hour

// BootstrapRows are the queries of Bootstrap. Tokens from before a restore count as expired.
type BootstrapRows interface {
	Administrators(ctx context.Context, q store.Querier) (int64, error)
	// InsertToken stores a token by its hash, and deletes the unused one that it replaces, if any, and expired ones.
	InsertToken(ctx context.Context, tx *store.Tx, hash, replaces []byte, at, expires time.Time) error
	TokenOpen(ctx context.Context, q store.Querier, hash []byte, at time.Time) (bool, error)
	// UseToken consumes a token; true only for the first caller.
	UseToken(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (bool, error)
}

// Bootstrap is the domain of the creation of the first administrator.
type Bootstrap struct {
	db    *store.DB
	rows  BootstrapRows
	users *Users
	path  string
	audit auditlog.Log
	clock clock.Clock

	refusals *auditlog.Refusals
}

// NewBootstrap returns the domain; path is the file of the token.
func NewBootstrap(db *store.DB, rows BootstrapRows, users *Users, path string, refusals *auditlog.Refusals, c clock.Clock) *Bootstrap {
	return &Bootstrap{db, rows, users, path, auditlog.Log{Clock: c}, c, refusals}
}

// Issue writes a new token over the old one while there is no administrator, and removes the file otherwise. It returns the file's path, or ""
// when no token is needed.
func (b *Bootstrap) Issue(ctx context.Context) (path string, err error) {
	defer tried.To(&err, "issue bootstrap token")
	administrators, err := b.rows.Administrators(ctx, b.db.Read(ctx))
	if err != nil {
		return "", fmt.Errorf("count administrators: %w", err)
	}
	if administrators > 0 {
		return "", b.remove()
	}
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	text := base64.RawURLEncoding.EncodeToString(random)
	var replaces []byte
	if old, err := os.ReadFile(b.path); err == nil {
		replaces = hash(strings.TrimSpace(string(old)))
	}
	err = b.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := domain.Now(b.clock)
		if err := b.rows.InsertToken(ctx, tx, hash(text), replaces, now, now.Add(BootstrapLife)); err != nil {
			return fmt.Errorf("store bootstrap token: %w", err)
		}
		return b.audit.Append(ctx, tx, auditlog.Event{Action: "createBootstrapToken"})
	})
	if err != nil {
		return "", err
	}
	return b.path, service.WriteFile(b.path, text)
}

// Reissue writes a new token when the file was removed while there is no administrator: this is how an operator on the machine asks for another
// one. It removes the file when another replica has created the first administrator.
func (b *Bootstrap) Reissue(ctx context.Context) (path string, err error) {
	if _, err := os.Lstat(b.path); errors.Is(err, os.ErrNotExist) {
		return b.Issue(ctx)
	}
	administrators, err := b.rows.Administrators(ctx, b.db.Read(ctx))
	if err != nil {
		return "", fmt.Errorf("count administrators: %w", err)
	}
	if administrators == 0 {
		return "", nil
	}
	return "", b.remove()
}

// Admin creates the first administrator. An invalid token is domain.InvalidBootstrapToken. When there already is an administrator, every call is
// domain.BootstrapClosed.
func (b *Bootstrap) Admin(ctx context.Context, token, username, secret string) (_ Created, err error) {
	defer tried.To(&err, "bootstrap administrator")
	q := b.db.Read(ctx)
	administrators, err := b.rows.Administrators(ctx, q)
	if err != nil {
		return Created{}, fmt.Errorf("count administrators: %w", err)
	}
	if administrators > 0 {
		return Created{}, domain.Refuse(domain.BootstrapClosed, "There is an administrator already.")
	}
	// The token is checked before it is used, so that callers without one can't make the kms hash passwords.
	open, err := b.rows.TokenOpen(ctx, q, hash(token), domain.Now(b.clock))
	if err != nil {
		return Created{}, fmt.Errorf("look up bootstrap token: %w", err)
	}
	if !open {
		return Created{}, b.refuse(ctx)
	}
	draft, err := b.users.Draft(ctx, username, secret, "", []string{authority.RoleAdmin})
	if err != nil {
		return Created{}, err
	}
	made, used, err := b.consume(ctx, token, draft)
	if err != nil {
		return Created{}, err
	}
	if !used {
		return Created{}, b.refuse(ctx)
	}
	return made, b.remove()
}

func (b *Bootstrap) consume(ctx context.Context, token string, draft Draft) (made Created, used bool, err error) {
	err = b.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if used, err = b.rows.UseToken(ctx, tx, hash(token), domain.Now(b.clock)); err != nil {
			return fmt.Errorf("use bootstrap token: %w", err)
		}
		if !used {
			return nil
		}
		made, err = b.users.CreateFirst(ctx, tx, draft)
		return err
	})
	return made, used, err
}

func (b *Bootstrap) refuse(ctx context.Context) error {
	err := b.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return b.refusals.Append(ctx, tx, auditlog.Event{Action: "bootstrapAdmin"})
	})
	if err != nil {
		return fmt.Errorf("record refused bootstrap: %w", err)
	}
	return domain.Refuse(domain.InvalidBootstrapToken, "The bootstrap token is unknown, used or expired.")
}

func (b *Bootstrap) remove() error {
	if err := os.Remove(b.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove bootstrap token: %w", err)
	}
	return nil
}

// hash needs no key: the token has 256 random bits.
func hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
