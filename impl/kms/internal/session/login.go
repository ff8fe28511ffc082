package session

import (
	"context"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Login signs a user in by name and password. Every refusal is the same domain.InvalidCredentials after the same amount of work, whether the user is
// unknown, disabled or locked or the password is wrong. It fails with domain.Overloaded when too many sign-ins are in progress. When a role of the user
// requires a second factor at sign-in, the session waits for it.
func (s *Sessions) Login(ctx context.Context, username, secret string) (_ SignedIn, err error) {
	defer tried.To(&err, "sign in")
	who := identity(username)
	release, err := s.queue.wait(ctx, who)
	if err != nil {
		return SignedIn{}, err
	}
	defer release()
	u, good, err := s.checkCredentials(ctx, who, lower(username), secret)
	if err != nil {
		return SignedIn{}, err
	}
	if !good {
		return SignedIn{}, s.refuse(ctx, u)
	}
	return s.begin(ctx, who, u)
}

// lower lower-cases a username. Only ASCII letters are changed, so that no name in another script becomes an existing one.
func lower(username string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, username)
}

// checkCredentials counts the attempt in a commit of its own, which no later failure rolls back, and then checks the password.
func (s *Sessions) checkCredentials(ctx context.Context, who []byte, username, secret string) (user.User, bool, error) {
	release, err := s.Hasher.Acquire(ctx) // before counting: an attempt that is not checked must not count
	if err != nil {
		return user.User{}, false, err
	}
	defer release()
	admitted := false
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		admitted, err = s.Rows.Admit(ctx, tx, who, domain.Now(s.Clock), freeAttempts, locks())
		return err
	})
	if err != nil {
		return user.User{}, false, fmt.Errorf("count sign-in attempt: %w", err)
	}
	u, hash, _, err := s.Users.Credentials(ctx, s.DB.Read(ctx), username)
	if err != nil {
		return user.User{}, false, fmt.Errorf("read credentials: %w", err)
	}
	if !admitted {
		hash = "" // takes the same time, and reveals nothing about the password
	}
	right := s.Hasher.Verify(secret, hash)
	return u, right && u.Status == user.Active, nil
}

// refuse records a failed sign-in and returns the refusal.
func (s *Sessions) refuse(ctx context.Context, u user.User) error {
	err := s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.Refusals.Append(ctx, tx, auditlog.Event{Action: "loginUser", Target: u.ID})
	})
	if err != nil {
		return fmt.Errorf("record refused sign-in: %w", err)
	}
	return invalidCredentials()
}

func invalidCredentials() error {
	return domain.Refuse(domain.InvalidCredentials, "The username or the password is wrong.")
}

// begin starts a session. The user's row is locked meanwhile, so that no session starts while the user is being disabled or deleted.
func (s *Sessions) begin(ctx context.Context, who []byte, u user.User) (in SignedIn, err error) {
	began := false
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		owner, active, err := s.Active(ctx, tx, u.ID)
		if began = active; err != nil || !active {
			return err
		}
		asked, err := s.Standing.SecondFactor(ctx, tx, owner)
		if err != nil {
			return err
		}
		if err := s.Rows.Forgive(ctx, tx, who, domain.Now(s.Clock)); err != nil {
			return fmt.Errorf("forgive failed sign-ins: %w", err)
		}
		if asked.Always {
			in, err = s.wait(ctx, tx, owner, asked)
			return err
		}
		in.Issued, err = s.byPassword(ctx, tx, owner)
		return err
	})
	if err != nil {
		return SignedIn{}, err
	}
	if !began { // it was disabled or deleted meanwhile
		return SignedIn{}, s.refuse(ctx, u)
	}
	return in, nil
}

// byPassword starts a session for a user of whom no second factor is required at sign-in.
func (s *Sessions) byPassword(ctx context.Context, tx *store.Tx, owner authority.Owner) (signing.Issued, error) {
	now := domain.Now(s.Clock)
	f := Family{
		ID: id.New("ses"), UserID: owner.ID, ClientID: signing.LoginClient,
		AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(absoluteLife), UserAgent: agent(ctx),
	}
	if err := s.Rows.InsertFamily(ctx, tx, f); err != nil {
		return signing.Issued{}, fmt.Errorf("begin session: %w", err)
	}
	issued, err := s.started(ctx, tx, owner, f, false, now)
	if err != nil {
		return signing.Issued{}, err
	}
	return issued, s.audit.Append(ctx, tx, auditlog.Event{
		Action: "loginUser", Actor: owner.ID, Kind: auth.KindUser, Target: owner.ID,
		Detail: auditlog.Granted(map[string]string{"session": f.ID}, issued.Scopes, owner.Roles),
	})
}
