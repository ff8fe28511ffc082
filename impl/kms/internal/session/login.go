package session

import (
	"context"

	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// Login signs a user in by name and password. Every refusal is the same invalid_credentials after the same work, whether the user is
// unknown, disabled or locked or the password wrong. More sign-ins than can be judged are overloaded.
func (s *Sessions) Login(ctx context.Context, username, secret string) (signing.Issued, error) {
	who := identity(username)
	release, err := s.turns.wait(ctx, who)
	if err != nil {
		return signing.Issued{}, err
	}
	defer release()
	u, good, err := s.judge(ctx, who, username, secret)
	if err != nil {
		return signing.Issued{}, err
	}
	if !good {
		return signing.Issued{}, s.refuse(ctx, u)
	}
	return s.begin(ctx, who, u)
}

// judge counts the attempt, in a commit of its own that no later failure takes back, and then compares.
func (s *Sessions) judge(ctx context.Context, who []byte, username, secret string) (user.User, bool, error) {
	release, err := s.Hasher.Acquire(ctx) // before the count: an attempt that is not judged must not count
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
		return user.User{}, false, err
	}
	u, hash, _, err := s.Users.Credentials(ctx, s.DB.Read(ctx), username)
	if err != nil {
		return user.User{}, false, err
	}
	if !admitted {
		hash = "" // takes as long, and tells nothing about a password that is tried meanwhile
	}
	right := s.Hasher.Verify(secret, hash)
	return u, right && u.Status == user.Active, nil
}

// refuse records the failure and answers it.
func (s *Sessions) refuse(ctx context.Context, u user.User) error {
	err := s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.audit.Append(ctx, tx, domain.Event{Action: "loginUser", Target: u.ID, Outcome: domain.Denied})
	})
	if err != nil {
		return err
	}
	return invalidCredentials()
}

func invalidCredentials() error {
	return domain.Refuse(domain.InvalidCredentials, "The username or the password is wrong.")
}

// begin starts a session.
func (s *Sessions) begin(ctx context.Context, who []byte, u user.User) (signing.Issued, error) {
	now := domain.Now(s.Clock)
	f := Family{
		ID: id.New("ses"), UserID: u.ID, ClientID: signing.LoginClient,
		AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(absoluteLife),
	}
	issued, err := s.access(u, f, signing.Request{})
	if err != nil {
		return signing.Issued{}, err
	}
	issued.Refresh = newRefresh()
	began := false
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if began, err = s.Rows.InsertFamily(ctx, tx, f); err != nil || !began {
			return err
		}
		if err := s.Rows.InsertToken(ctx, tx, refreshHash(issued.Refresh), f.ID, now, now.Add(idleLife)); err != nil {
			return err
		}
		if err := s.Rows.Forgive(ctx, tx, who, now); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, domain.Event{
			Action: "loginUser", Actor: u.ID, Kind: auth.KindUser, Target: u.ID, Detail: map[string]string{"session": f.ID},
		})
	})
	if err != nil {
		return signing.Issued{}, err
	}
	if !began { // disabled in this moment
		return signing.Issued{}, s.refuse(ctx, u)
	}
	return issued, nil
}
