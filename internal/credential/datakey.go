package credential

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the table of wrapped data keys (00014).
var Migrations = must(fs.Sub(files, "migrations"))

func must(f fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}

// ErrForeignDataKey means that the service's data key was not wrapped by this kms: the kms's database was lost, or it is another kms. Waiting does
// not help.
var ErrForeignDataKey = errors.New("this kms has not wrapped the service's data key")

// AbandonDataKey deletes the wrapped data key: the next DataKey makes the kms create a new one. What was sealed with the old key cannot be opened any
// more; the caller removes it in the same transaction.
func AbandonDataKey(ctx context.Context, tx *store.Tx, keyring string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM data_keys WHERE keyring = ?", keyring); err != nil {
		return fmt.Errorf("delete data key: %w", err)
	}
	return nil
}

// DataKey returns the key with which the service seals. The first call ever makes the kms create it, in the keyring with the service's name; its
// wrapped form is stored in the service's own database and unwrapped by the kms at each start. Replicas get the same key. It returns
// ErrForeignDataKey when the kms cannot unwrap it.
func (s *Source) DataKey(ctx context.Context, db *store.DB) (*seal.Key, error) {
	wrapped, err := storedKey(ctx, db, s.Word)
	if err != nil {
		return nil, err
	}
	if wrapped == nil {
		if wrapped, err = s.createKey(ctx, db); err != nil {
			return nil, err
		}
	}
	opened, err := s.callKeyring(ctx, "unwrap", map[string][]byte{"wrapped": wrapped}, http.StatusOK)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Status == http.StatusUnprocessableEntity {
		return nil, fmt.Errorf("%w: restore the kms's own database, or let the service start over with fountain recover data-key %s",
			ErrForeignDataKey, s.Word)
	}
	if err != nil {
		return nil, fmt.Errorf("open data key: %w", err)
	}
	return seal.FromDataKey(opened.Plaintext)
}

// storedKey returns the wrapped key, or nil.
func storedKey(ctx context.Context, db *store.DB, keyring string) (wrapped []byte, err error) {
	err = db.Read(ctx).Get(ctx, &wrapped, "SELECT wrapped FROM data_keys WHERE keyring = ?", keyring)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return wrapped, err
}

// createKey has the kms create a key, stores it unless another replica has stored one first, and returns the stored one.
func (s *Source) createKey(ctx context.Context, db *store.DB) ([]byte, error) {
	made, err := s.callKeyring(ctx, "data-keys", nil, http.StatusCreated)
	if err != nil {
		return nil, fmt.Errorf("make data key: %w", err)
	}
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO data_keys (keyring, wrapped, created_at) VALUES (?, ?, ?) ON CONFLICT (keyring) DO NOTHING",
			s.Word, made.Wrapped, s.Clock.Now().UnixMicro())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store data key: %w", err)
	}
	return storedKey(ctx, db, s.Word)
}

type dataKey struct {
	Plaintext []byte `json:"plaintext"`
	Wrapped   []byte `json:"wrapped"`
}

func (s *Source) callKeyring(ctx context.Context, verb string, body any, want int) (dataKey, error) {
	var answer dataKey
	bearer, err := s.Token(ctx, kmsAudience)
	if err != nil {
		return answer, err
	}
	err = s.call(ctx, request{
		method: http.MethodPost, path: "/kms/v1/keyrings/" + s.Word + "/" + verb, bearer: bearer, json: body, want: want,
	}, &answer)
	return answer, err
}
