package kms

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/egress"
	"github.com/fountainai/fountain/internal/seal"
)

// Config is the configuration of the kms. DataDir is required, and Issuer at the first start.
type Config struct {
	config.Service

	RootKeyFile string `env:"ROOT_KEY_FILE"` // default <DataDir>/root.key
	// PreviousRootKeyFile holds the previous root key during a rotation; default <RootKeyFile>.previous. It need not exist.
	PreviousRootKeyFile string `env:"PREVIOUS_ROOT_KEY_FILE"`

	EnrolDir  string `env:"ENROL_DIR"`  // enrolment tokens are written to <EnrolDir>/<word>/token; default <DataDir>/enrol
	PublicURL string `env:"PUBLIC_URL"` // base of the endpoints' URLs in the metadata; default the issuer

	Rotators // targets of secret rotations outside the kms

	SigningKeyLife time.Duration `env:"SIGNING_KEY_LIFE"` // how long a key signs tokens before it is replaced; default 90 days
	// SigningKeySetAge is how long a verifier may cache the key set. A key is published for twice as long before it signs. The default and maximum is 5 minutes.
	SigningKeySetAge time.Duration `env:"SIGNING_KEY_SET_AGE"`
	SecretVersions   int64         `env:"SECRET_VERSIONS"` // number of versions kept per secret; default 50

	Redis            config.Redis      `env:"-"` // shares the rate limits of keys between replicas; its variables have the prefix config.RedisPrefix
	Version          string            `env:"-"` // of the program, reported by health
	OnBootstrapToken func(path string) `env:"-"` // called with the path of the bootstrap token; default: a line in the log
}

// Rotators is the operator's configuration of rotations that reach targets outside the kms.
type Rotators struct {
	RotationAllow  []string `env:"ROTATION_ALLOW"`   // allowed addresses of rotators and engines, as entries of package egress; default none
	RotationCAFile string   `env:"ROTATION_CA_FILE"` // CAs trusted for them, instead of the system's
	// RotationDeny are further listeners of this process (host:port) that no rotation may reach, whatever RotationAllow says.
	RotationDeny []string `env:"-"`
}

// Validate checks the entries of RotationAllow.
func (r Rotators) Validate() error {
	if err := (egress.Options{Purpose: "rotation", Allow: r.RotationAllow, Deny: r.RotationDeny}).Validate(); err != nil {
		return fmt.Errorf("ROTATION_ALLOW: %w", err)
	}
	return nil
}

// Validate checks the configuration without side effects, and reports all faults at once. It fills in defaults.
func (c *Config) Validate() error {
	c.Complete(handlers.Word)
	if c.DataDir != "" && c.RootKeyFile == "" {
		c.RootKeyFile = filepath.Join(c.DataDir, "root.key")
	}
	if c.RootKeyFile != "" && c.PreviousRootKeyFile == "" {
		c.PreviousRootKeyFile = seal.PreviousFile(c.RootKeyFile)
	}
	if c.DataDir != "" && c.EnrolDir == "" {
		c.EnrolDir = filepath.Join(c.DataDir, "enrol")
	}
	if c.SigningKeyLife == 0 {
		c.SigningKeyLife = signing.DefaultLife
	}
	if c.SigningKeySetAge == 0 {
		c.SigningKeySetAge = signing.DefaultSetAge
	}
	if c.SecretVersions == 0 {
		c.SecretVersions = secret.DefaultKeep
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	errs := []error{c.Service.Validate(), c.Redis.Validate(), c.Rotators.Validate()}
	if c.SecretVersions < secret.MinKeep || c.SecretVersions > secret.MaxKeep {
		errs = append(errs, fmt.Errorf("SECRET_VERSIONS: must be %d to %d", secret.MinKeep, secret.MaxKeep))
	}
	if c.SigningKeyLife < signing.MinLife {
		errs = append(errs, fmt.Errorf("SIGNING_KEY_LIFE: must be at least %s", signing.MinLife))
	}
	if c.SigningKeySetAge < signing.MinSetAge || c.SigningKeySetAge > signing.DefaultSetAge || c.SigningKeySetAge%time.Second != 0 {
		errs = append(errs, fmt.Errorf("SIGNING_KEY_SET_AGE: must be whole seconds, %s to %s", signing.MinSetAge, signing.DefaultSetAge))
	}
	for name, address := range map[string]string{"ISSUER": c.Issuer, "PUBLIC_URL": c.PublicURL} {
		if address != "" && !httpURL(address) {
			errs = append(errs, errors.New(name+": must be an absolute http or https URL without user, query, fragment and final slash"))
		}
	}
	return errors.Join(errs...)
}

// httpURL reports whether s can be the base of URLs, to which paths are appended unchanged.
func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		u.RawQuery == "" && u.Fragment == "" && !strings.HasSuffix(s, "/")
}
