package kms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/password"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	programs "github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// core is the domain over its database.
type core struct {
	config Config
	db     *store.DB
	core   *handlers.Core
}

// build makes the domain on a database.
func build(ctx context.Context, c Config, db *store.DB) (*core, error) {
	domain, err := assemble(ctx, c, db)
	if err != nil {
		return nil, err
	}
	built := &core{config: c, db: db, core: domain}
	if err := built.prepare(ctx); err != nil {
		return nil, err
	}
	return built, nil
}

// keysets are the keysets that every start needs.
type keysets struct {
	signing, refresh, pepper, secrets, answers, fingerprints *seal.Keyset
}

func openKeysets(ctx context.Context, v *vault.Vault) (k keysets, err error) {
	for _, one := range []struct {
		into **seal.Keyset
		open func(context.Context, string) (*seal.Keyset, error)
		name string
	}{
		{&k.signing, v.AEAD, vault.Signing}, {&k.refresh, v.AEAD, vault.Refresh}, {&k.pepper, v.MAC, vault.APIKeys},
		{&k.secrets, v.AEAD, vault.Secrets}, {&k.answers, v.AEAD, vault.Answers}, {&k.fingerprints, v.MAC, vault.Fingerprints},
	} {
		if *one.into, err = one.open(ctx, one.name); err != nil {
			return k, err
		}
	}
	return k, nil
}

// assemble makes the domain. The root key comes first: a wrong one must not change anything.
func assemble(ctx context.Context, c Config, db *store.DB) (*handlers.Core, error) {
	v, err := vault.Open(ctx, db, kmsdb.Keysets{}, c.RootKeyFile, c.Clock)
	if err != nil {
		return nil, err
	}
	issuer, err := fixIssuer(ctx, db, c.Issuer)
	if err != nil {
		return nil, err
	}
	sets, err := openKeysets(ctx, v)
	if err != nil {
		return nil, err
	}
	contracts, err := contract.LoadAll()
	if err != nil {
		return nil, err
	}
	catalogue, err := authority.NewCatalogue(issuer, contracts)
	if err != nil {
		return nil, err
	}
	ring, err := signing.Open(ctx, db, kmsdb.SigningKeys{}, sets.signing, c.Clock)
	if err != nil {
		return nil, err
	}
	mint := &signing.Mint{Issuer: issuer, Signer: ring, Catalogue: catalogue, Clock: c.Clock}
	return domain(c, db, v, sets, mint, ring), nil
}

// domain wires the parts of the domain.
func domain(c Config, db *store.DB, v *vault.Vault, sets keysets, mint *signing.Mint, ring *signing.Ring) *handlers.Core {
	hasher := password.NewHasher()
	users := user.New(db, kmsdb.Users{}, hasher, c.Clock)
	owners := kmsdb.Owners{Users: kmsdb.Users{}, Services: kmsdb.Services{}}
	apiKeys := apikey.New(db, kmsdb.APIKeys{}, owners, sets.pepper, mint.Catalogue, c.Clock)
	services := programs.New(db, kmsdb.Services{}, apiKeys, mint.Catalogue, c.Clock)
	proofKeys := credential.NewProofKeys(db, kmsdb.ProofKeys{}, services, c.Clock)
	publicURL := strings.TrimSuffix(c.PublicURL, "/")
	if publicURL == "" {
		publicURL = mint.Issuer
	}
	return &handlers.Core{
		DB: db, Answers: idempotency.New(sets.fingerprints, sets.answers, c.Clock),
		Bootstrap: user.NewBootstrap(db, kmsdb.Users{}, users, filepath.Join(c.DataDir, "bootstrap.token"), c.Clock),
		Users:     users, Services: services, TokenFiles: services.Files(c.EnrolDir, c.Log), Keys: apiKeys,
		Sessions: session.New(session.Config{
			DB: db, Rows: kmsdb.Sessions{}, Users: kmsdb.Users{}, Hasher: hasher, Mint: mint, Sealer: sets.refresh,
			ProofKeys: proofKeys, Clock: c.Clock,
		}),
		Secrets:  secret.New(db, kmsdb.Secrets{}, sets.secrets, services, c.Clock),
		Keyrings: secret.NewKeyrings(db, v, services, c.Clock), ProofKeys: proofKeys, Mint: mint, Ring: ring, PublicURL: publicURL,
	}
}

// fixIssuer stores the issuer at the first start and demands the same one ever after: every token and every service knows it.
func fixIssuer(ctx context.Context, db *store.DB, configured string) (string, error) {
	const name = "issuer"
	stored, err := kmsdb.Settings{}.Setting(ctx, db.Read(ctx), name)
	if err != nil {
		return "", fmt.Errorf("read issuer: %w", err)
	}
	switch {
	case stored == "" && configured == "":
		return "", errors.New("ISSUER: is required at the first start; it can't be changed later")
	case stored == "":
		err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			stored, err = kmsdb.Settings{}.Fix(ctx, tx, name, configured)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("store issuer: %w", err)
		}
	}
	if configured != "" && configured != stored {
		return "", fmt.Errorf("ISSUER: is %q here, but was fixed as %q at the first start; it can't be changed", configured, stored)
	}
	return stored, nil
}

// prepare does what every start does before the service is ready.
func (b *core) prepare(ctx context.Context) error {
	if err := b.core.Services.RegisterFamily(ctx); err != nil {
		return fmt.Errorf("register the family's services: %w", err)
	}
	if err := b.core.TokenFiles.Refresh(ctx); err != nil {
		return fmt.Errorf("write enrolment tokens: %w", err)
	}
	path, err := b.core.Bootstrap.Issue(ctx)
	if err != nil {
		return fmt.Errorf("write bootstrap token: %w", err)
	}
	b.announce(ctx, path)
	return nil
}

func (b *core) announce(ctx context.Context, path string) {
	switch {
	case path == "":
	case b.config.OnBootstrapToken != nil:
		b.config.OnBootstrapToken(path)
	default:
		b.config.Log.InfoContext(ctx, "there is no administrator yet; make one with the token in this file", "path", path)
	}
}

const (
	reissuePause = 5 * time.Second // in which a removed bootstrap token is missed
	tidyPause    = time.Minute     // between two times that stored answers are blanked and forgotten
)

// tend does what is due in intervals until ctx ends.
func (b *core) tend(ctx context.Context, life *lifecycle.Service) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{
		b.core.Ring.Watch, b.core.Keys.Run, b.core.TokenFiles.Run, b.core.Sessions.Run,
		life.Every(reissuePause, "write a new bootstrap token", b.reissue),
		life.Every(tidyPause, "remove old answers", func(ctx context.Context) error { return b.core.Answers.SweepAll(ctx, b.db) }),
	} {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}

// reissue writes a new bootstrap token when somebody has asked for one by removing the old.
func (b *core) reissue(ctx context.Context) error {
	path, err := b.core.Bootstrap.Reissue(ctx)
	b.announce(ctx, path)
	return err
}

// keys is the auth.KeySource of the service's own tokens.
type keys struct{ s *service }

// Key implements auth.KeySource.
func (k keys) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	built := k.s.core.Load()
	if built == nil {
		return "", nil, auth.ErrUnknownKey
	}
	return built.core.Ring.Key(ctx, kid)
}
