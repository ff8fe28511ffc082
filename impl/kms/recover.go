package kms

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/handlers"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/store"
)

// Recovery is what an operator on the kms's machine can do when it is no longer possible through the API. Exactly one of Administrator, Password, Factors, Unlock,
// EnableService and EnrolmentFor selects the action.
type Recovery struct {
	Administrator   string // make this user an active administrator
	Password        string // set NewPassword for this user, and clear failed sign-ins
	Factors         string // void this user's second factors
	Unlock          string // clear this user's failed sign-ins
	EnableService   string // enable this service
	EnrolmentFor    string // create an enrolment token of this service
	NewPassword     string
	setPasswordHash string
}

// Recovered is the result of a recovery.
type Recovered struct {
	AuditSeq       int64  // number of the event in the kms's audit log
	Invitation     string // for the first factor of an administrator; "" when none was made
	EnrolmentToken string
}

// ErrRunning says that a kms is running on the SQLite database. It must be stopped first.
var ErrRunning = errors.New("a kms is running on this data directory: stop it first")

// ErrRefused wraps refusals by the rules of the kms; the error's text is meant for people.
var ErrRefused = errors.New("refused")

// Recover opens the database of the kms, unseals it with the root key, and carries out one recovery. It ends the user's sessions, keys and tokens. Factors
// are voided by a signed record that twofactor reads from the revocation feed. On SQLite no kms may be running (ErrRunning).
func Recover(ctx context.Context, c Config, r Recovery) (Recovered, error) {
	db, err := openStopped(ctx, &c)
	if err != nil {
		return Recovered{}, err
	}
	done, err := recoverOn(ctx, c, db, r)
	return done, errors.Join(explain(err), db.Close())
}

// openStopped completes the configuration and opens the database. On SQLite the kms must be stopped (ErrRunning).
func openStopped(ctx context.Context, c *Config) (*store.DB, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of kms: %w", err)
	}
	if c.DatabaseURLFile == "" {
		if _, err := os.Stat(filepath.Join(c.DataDir, handlers.Word+".db")); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no kms in %s", c.DataDir)
		}
	}
	db, err := lifecycle.Open(ctx, handlers.Word, c.Service, schema)
	if errors.Is(err, store.ErrLocked) {
		return nil, ErrRunning
	}
	if err != nil {
		return nil, fmt.Errorf("open database of kms: %w", err)
	}
	return db, nil
}

// explain turns a refusal into an error with its sentence.
func explain(err error) error {
	var refusal *domain.Refusal
	if errors.As(err, &refusal) {
		return fmt.Errorf("%w: %s", ErrRefused, refusal.Sentence)
	}
	return err
}

func recoverOn(ctx context.Context, c Config, db *store.DB, r Recovery) (done Recovered, err error) {
	d, err := assemble(ctx, c, db, nil) // refuses a root key that does not fit the database; no key is presented, so no limits are needed
	if err != nil {
		return Recovered{}, err
	}
	if r.Password != "" {
		if r.setPasswordHash, err = d.Users.HashFor(ctx, r.Password, r.NewPassword); err != nil {
			return Recovered{}, err
		}
	}
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		done, err = r.do(ctx, tx, d)
		return err
	})
	if err != nil {
		return Recovered{}, err
	}
	head, err := audit.Head(ctx, db.Read(ctx))
	if err != nil {
		return Recovered{}, fmt.Errorf("read number of the audit event: %w", err)
	}
	done.AuditSeq = head
	return done, nil
}

func (r Recovery) do(ctx context.Context, tx *store.Tx, d *handlers.Domain) (Recovered, error) {
	switch {
	case r.EnableService != "":
		return Recovered{}, d.Services.RecoverEnable(ctx, tx, r.EnableService)
	case r.EnrolmentFor != "":
		made, err := d.Services.RecoverEnrolment(ctx, tx, r.EnrolmentFor)
		return Recovered{EnrolmentToken: made.Token}, err
	case r.Unlock != "":
		if err := d.Sessions.ForgiveIn(ctx, tx, r.Unlock); err != nil {
			return Recovered{}, err
		}
		return Recovered{}, auditlog.Log{Clock: d.Mint.Clock}.Append(ctx, tx, auditlog.Event{Action: "unlockUser"})
	}
	name := r.Administrator + r.Password + r.Factors
	made, err := d.Users.Recover(ctx, tx, user.Recovery{
		Username: name, Administrator: r.Administrator != "", PasswordHash: r.setPasswordHash, VoidFactors: r.Factors != "",
	})
	if err != nil {
		return Recovered{}, err
	}
	return Recovered{Invitation: made.Invitation.Token}, d.Sessions.ForgiveIn(ctx, tx, name)
}
