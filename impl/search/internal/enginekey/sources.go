package enginekey

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/config"
)

// SecretName is the name of the kms secret that holds the key.
const SecretName = "search.typesense"

// File is a Source that reads the key from a file.
type File string

// Key implements Source.
func (f File) Key(context.Context) (Key, error) {
	text, err := config.ReadSecret(string(f))
	return Key{Text: text}, err
}

// KMS is a Source that stores the key in the kms.
type KMS struct {
	Client *kms.Client
	// Waiting is a client whose timeout is longer than Hold.
	Waiting *kms.Client
	// Name is the name of the secret; "" means SecretName.
	Name string
	// Make lets the first reader create the key. It is for the embedded engine, which accepts any key.
	Make bool
	// Refused is called when the kms refuses the service's token.
	Refused func()
}

// Key implements Source. If several replicas create the key at the same time, all use the same one.
func (s KMS) Key(ctx context.Context) (Key, error) {
	key, status, err := s.get(ctx)
	if err != nil || status != http.StatusNotFound {
		return key, err
	}
	if !s.Make {
		return Key{}, ErrAbsent
	}
	if err := s.put(ctx); err != nil {
		return Key{}, err
	}
	key, status, err = s.get(ctx)
	if err == nil && status == http.StatusNotFound {
		err = ErrAbsent
	}
	return key, err
}

// Hold is how long the kms may hold a Watch.
const Hold = 25 * time.Second

// Watch implements Watcher.
func (s KMS) Watch(ctx context.Context, known int64) (version int64, err error) {
	tag, prefer := `"`+strconv.FormatInt(known, 10)+`"`, "wait="+strconv.Itoa(int(Hold/time.Second))
	resp, err := s.Waiting.WatchSecret(ctx, s.name(), &kms.WatchSecretParams{IfNoneMatch: &tag, Prefer: &prefer})
	if err != nil {
		return 0, fmt.Errorf("ask the kms: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotModified {
		return known, nil
	}
	if err := s.check(resp, http.StatusOK); err != nil {
		return 0, err
	}
	var told kms.SecretMetadata
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&told); err != nil {
		return 0, fmt.Errorf("read answer of the kms: %w", err)
	}
	return told.Version, nil
}

func (s KMS) name() string {
	if s.Name == "" {
		return SecretName
	}
	return s.Name
}

// maxAnswer limits the size in bytes of a response of the kms.
const maxAnswer = 64 << 10

func (s KMS) get(ctx context.Context) (key Key, status int, err error) {
	resp, err := s.Client.GetSecret(ctx, s.name(), nil)
	if err != nil {
		return Key{}, 0, fmt.Errorf("ask the kms: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotFound {
		return Key{}, resp.StatusCode, nil
	}
	if err := s.check(resp, http.StatusOK); err != nil {
		return Key{}, resp.StatusCode, err
	}
	var secret kms.Secret
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&secret); err != nil {
		return Key{}, resp.StatusCode, fmt.Errorf("read answer of the kms: %w", err)
	}
	return Key{Text: secret.Value, Version: secret.Version}, resp.StatusCode, nil
}

// put stores a new key, unless one exists already.
func (s KMS) put(ctx context.Context) error {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	absent := "*"
	resp, err := s.Client.PutSecret(ctx, s.name(), &kms.PutSecretParams{IfNoneMatch: &absent}, kms.SecretPut{Value: hex.EncodeToString(random)})
	if err != nil {
		return fmt.Errorf("ask the kms: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusPreconditionFailed { // another process was faster, and its key is used
		return nil
	}
	return s.check(resp, http.StatusCreated)
}

func (s KMS) check(resp *http.Response, want int) error {
	if resp.StatusCode == http.StatusUnauthorized && s.Refused != nil {
		s.Refused()
	}
	if resp.StatusCode != want {
		return fmt.Errorf("the kms answered %d", resp.StatusCode)
	}
	return nil
}
