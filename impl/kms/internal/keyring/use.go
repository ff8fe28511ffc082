package keyring

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Text is a ciphertext, sum or signature, with the number of the key that produced it.
type Text struct {
	Bytes  []byte
	Number int64
}

// Encrypt seals plain and binds it to a context, which must be the same for decryption.
func (s *Keyrings) Encrypt(ctx context.Context, caller *auth.Principal, name string, plain, bound []byte) (_ Text, err error) {
	defer tried.To(&err, "encrypt")
	k, err := s.use(ctx, caller, "encryptData", name, AES256GCM)
	if err != nil {
		return Text{}, err
	}
	return s.encrypt(ctx, k, forData, plain, bound)
}

// Decrypt opens what Encrypt sealed with the same context, else it fails with domain.ValidationFailed.
func (s *Keyrings) Decrypt(ctx context.Context, caller *auth.Principal, name string, blob, bound []byte) (_ []byte, err error) {
	defer tried.To(&err, "decrypt")
	k, err := s.use(ctx, caller, "decryptData", name, AES256GCM)
	if err != nil {
		return nil, err
	}
	return s.decrypt(ctx, k, forData, "/ciphertext", blob, bound)
}

// Rewrap opens a ciphertext and seals it under the current key; the plaintext never leaves the kms.
func (s *Keyrings) Rewrap(ctx context.Context, caller *auth.Principal, name string, blob, bound []byte) (_ Text, err error) {
	defer tried.To(&err, "rewrap")
	k, err := s.use(ctx, caller, "rewrapData", name, AES256GCM)
	if err != nil {
		return Text{}, err
	}
	plain, err := s.decrypt(ctx, k, forData, "/ciphertext", blob, bound)
	if err != nil {
		return Text{}, err
	}
	return s.encrypt(ctx, k, forData, plain, bound)
}

// DataKey is a data key in clear, and wrapped by a keyring.
type DataKey struct{ Plain, Wrapped []byte }

// CreateDataKey creates a data key.
func (s *Keyrings) CreateDataKey(ctx context.Context, caller *auth.Principal, name string) (_ DataKey, err error) {
	defer tried.To(&err, "create data key")
	k, err := s.use(ctx, caller, "createDataKey", name, AES256GCM)
	if err != nil {
		return DataKey{}, err
	}
	plain := seal.NewDataKey()
	wrapped, err := s.encrypt(ctx, k, forDataKey, plain, nil)
	return DataKey{plain, wrapped.Bytes}, err
}

// UnwrapDataKey opens a data key that this keyring has wrapped, else it fails with domain.ValidationFailed.
func (s *Keyrings) UnwrapDataKey(ctx context.Context, caller *auth.Principal, name string, wrapped []byte) (_ DataKey, err error) {
	defer tried.To(&err, "unwrap data key")
	k, err := s.use(ctx, caller, "unwrapDataKey", name, AES256GCM)
	if err != nil {
		return DataKey{}, err
	}
	plain, err := s.decrypt(ctx, k, forDataKey, "/wrapped", wrapped, nil)
	return DataKey{plain, wrapped}, err
}

// Sum returns the HMAC of data under the current key.
func (s *Keyrings) Sum(ctx context.Context, caller *auth.Principal, name string, data []byte) (_ Text, err error) {
	defer tried.To(&err, "sum")
	k, err := s.use(ctx, caller, "computeMac", name, HMACSHA256)
	if err != nil {
		return Text{}, err
	}
	key, err := s.key(ctx, k, k.Current)
	if err != nil {
		return Text{}, err
	}
	return Text{sum(key, data), k.Current}, nil
}

// VerifySum reports whether a sum over data is valid under its key. A key below the minimum version verifies nothing.
func (s *Keyrings) VerifySum(ctx context.Context, caller *auth.Principal, name string, data []byte, given Text) (_ bool, err error) {
	defer tried.To(&err, "verify sum")
	k, err := s.use(ctx, caller, "verifyMac", name, HMACSHA256)
	if err != nil || given.Number < k.MinVersion || given.Number > k.Current {
		return false, err
	}
	key, err := s.key(ctx, k, given.Number)
	if err != nil {
		return false, err
	}
	return hmac.Equal(sum(key, data), given.Bytes), nil
}

// Sign signs data with the current key.
func (s *Keyrings) Sign(ctx context.Context, caller *auth.Principal, name string, data []byte) (_ Text, err error) {
	defer tried.To(&err, "sign")
	k, err := s.use(ctx, caller, "signData", name, EdDSA, ES256)
	if err != nil {
		return Text{}, err
	}
	key, err := s.key(ctx, k, k.Current)
	if err != nil {
		return Text{}, err
	}
	signature, err := sign(k.Algorithm, key, data)
	return Text{signature, k.Current}, err
}

// VerifySignature reports whether a signature over data is valid under its key. A key below the minimum version verifies nothing.
func (s *Keyrings) VerifySignature(ctx context.Context, caller *auth.Principal, name string, data []byte, given Text) (_ bool, err error) {
	defer tried.To(&err, "verify signature")
	k, err := s.use(ctx, caller, "verifySignature", name, EdDSA, ES256)
	if err != nil || given.Number < k.MinVersion || given.Number > k.Current {
		return false, err
	}
	key, found, err := s.rows.Key(ctx, s.db.Read(ctx), k.ID, given.Number)
	if err != nil || !found {
		return false, err
	}
	return verify(k.Algorithm, key.Public, data, given.Bytes), nil
}

// allowed locks the caller's rows and returns a keyring that they may use: administrators may use all, a service those that list it. A missing keyring and one
// that the caller may not use are the same domain.NotFound.
func (s *Keyrings) allowed(ctx context.Context, tx *store.Tx, caller *auth.Principal, name string) (Keyring, error) {
	held, err := s.standing.Hold(ctx, tx, caller)
	if err != nil {
		return Keyring{}, err
	}
	k, found, err := s.rows.Find(ctx, tx, name)
	if err != nil {
		return Keyring{}, err
	}
	may := held.Caller.HasRole(authority.RoleAdmin)
	if caller.Kind == auth.KindService {
		may = held.Caller.Name != "" && slices.Contains(k.Services, held.Caller.Name)
	}
	if !found || !may {
		return Keyring{}, notFound()
	}
	return k, nil
}

// use returns a keyring for one use, and records the use before it happens. A keyring of another algorithm or one that is to be deleted is domain.StateConflict.
func (s *Keyrings) use(ctx context.Context, caller *auth.Principal, action, name string, good ...Algorithm) (k Keyring, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if k, err = s.allowed(ctx, tx, caller, name); err != nil {
			return err
		}
		if !slices.Contains(good, k.Algorithm) {
			return domain.Refuse(domain.StateConflict, "The keyring's algorithm does not support this operation.")
		}
		if !k.DeleteAt.IsZero() {
			return pendingDeletion()
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: name, Detail: map[string]string{"credential": caller.ClientID}})
	})
	return k, err
}

// key opens a key of a keyring. If the sealed text does not open, it is read once more: since the first read the key may have been rewrapped and the
// old wrapping key dropped.
func (s *Keyrings) key(ctx context.Context, k Keyring, number int64) (plain []byte, err error) {
	for range 2 {
		key, found, err := s.rows.Key(ctx, s.db.Read(ctx), k.ID, number)
		if err != nil {
			return nil, err
		}
		if !found { // the keyring was deleted meanwhile
			return nil, notFound()
		}
		plain, err = s.vault.Unwrap(ctx, key.Sealed, wrapAAD(k.ID, number))
		if err == nil {
			return plain, nil
		}
		if !errors.Is(err, seal.ErrOpen) {
			break
		}
	}
	return nil, fmt.Errorf("open key %d of keyring %s: %w", number, k.Name, err)
}

func (s *Keyrings) encrypt(ctx context.Context, k Keyring, purpose string, plain, bound []byte) (Text, error) {
	number, err := s.reserve(ctx, k)
	if err != nil {
		return Text{}, err
	}
	key, err := s.key(ctx, k, number)
	if err != nil {
		return Text{}, err
	}
	blob, err := encrypt(key, number, plain, bind(k.ID, number, purpose, bound))
	return Text{blob, number}, err
}

func (s *Keyrings) decrypt(ctx context.Context, k Keyring, purpose, pointer string, blob, bound []byte) ([]byte, error) {
	refused := func(cause error) error {
		return domain.Refuse(domain.ValidationFailed, "This can't be decrypted with the keyring: it was altered, belongs to another keyring or context, or its key was given up.").
			WithField("body", pointer, "sealed", "does not open under this keyring").Because(cause)
	}
	number, err := keyOf(blob)
	if err != nil || number < k.MinVersion || number > k.Current {
		return nil, refused(errOpen)
	}
	key, err := s.key(ctx, k, number)
	if err != nil {
		return nil, err
	}
	plain, err := decrypt(key, blob, bind(k.ID, number, purpose, bound))
	if errors.Is(err, errOpen) {
		return nil, refused(err)
	}
	return plain, err
}

// reserve takes one use of the current key, and returns its number. Uses are counted in the database in blocks before they are made, so that a killed process
// loses some of a block, but never makes uncounted ones. A key without remaining uses is replaced first.
func (s *Keyrings) reserve(ctx context.Context, k Keyring) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blocks[k.ID]
	if b.number != k.Current || b.max != k.MaxUses || b.left == 0 {
		var err error
		if b, err = s.reserveBlock(ctx, k); err != nil {
			return 0, fmt.Errorf("reserve uses of the key: %w", err)
		}
	}
	b.left--
	if len(s.blocks) > 2*MaxKeyrings { // some are of deleted keyrings
		clear(s.blocks)
	}
	s.blocks[k.ID] = b
	return b.number, nil
}

// reserveBlock reserves a block of uses of the current key; if it has none left, of a new key.
func (s *Keyrings) reserveBlock(ctx context.Context, k Keyring) (b block, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, found, err := s.rows.Lock(ctx, tx, k.Name)
		if err != nil {
			return err
		}
		if !found || now.ID != k.ID || !now.DeleteAt.IsZero() {
			return notFound()
		}
		n := min(max(now.MaxUses/100, 1), 10_000)
		reserved, err := s.rows.Reserve(ctx, tx, now.ID, now.Current, n, now.MaxUses)
		if err != nil {
			return err
		}
		if !reserved {
			if err := s.rotate(ctx, tx, &now); err != nil {
				return err
			}
			if err := s.store(ctx, tx, "rotateKeyring", &now); err != nil {
				return err
			}
			if reserved, err = s.rows.Reserve(ctx, tx, now.ID, now.Current, n, now.MaxUses); err != nil || !reserved {
				return errors.Join(err, errors.New("a new key has no uses"))
			}
		}
		b = block{now.Current, n, now.MaxUses}
		return nil
	})
	return b, err
}
