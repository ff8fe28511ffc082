package mail

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Request is a login for which a password reset was requested. It has not been matched to a user yet.
type Request struct {
	Asked  []byte // MAC of the login: people type passwords into that field, which a plain hash would reveal to guessing
	Sealed []byte
	At     time.Time
}

// RequestRows are the queries for requests.
type RequestRows interface {
	// Ask stores a request, unless one for the login is waiting.
	Ask(ctx context.Context, tx *store.Tx, asked, sealed []byte, at time.Time) error
	// CountAsked returns the number of waiting requests.
	CountAsked(ctx context.Context, q store.Querier) (int64, error)
	// Asked returns requests, oldest first, starting after the given one.
	Asked(ctx context.Context, q store.Querier, after Request, limit int) ([]Request, error)
	// Forget deletes requests from before the time, and returns how many.
	Forget(ctx context.Context, tx *store.Tx, before time.Time) (int64, error)
	// Take deletes a request; false when it was already deleted.
	Take(ctx context.Context, tx *store.Tx, asked []byte) (bool, error)
	// CountSince returns how many mails of a kind were written for a user since a time.
	CountSince(ctx context.Context, tx *store.Tx, userID string, kind Kind, since time.Time) (int64, error)
}

const (
	// RequestPause is the interval between checks for requests.
	RequestPause = time.Second
	mostRequests = 10_000 // waiting requests
	requestLife  = 5 * time.Minute
	requestBatch = 256
	perHour      = 3  // mails per user on request
	perDay       = 10 // mails per user on request
	noticeLife   = 24 * time.Hour
)

// requestAAD is the associated data that binds the sealed login to its request.
func requestAAD(asked []byte) []byte { return append([]byte("request "), asked...) }

// Request stores that a password reset was requested for a login. Answer looks for the user later, so that neither the result nor its timing reveals whether
// the user exists. Errors, for any login: domain.MailOff, domain.Overloaded.
func (s *Mails) Request(ctx context.Context, login string) (err error) {
	defer tried.To(&err, "request password reset")
	on, err := s.On(ctx, s.DB.Read(ctx))
	if err != nil {
		return err
	}
	if !on {
		return Off()
	}
	waiting, err := s.Rows.CountAsked(ctx, s.DB.Read(ctx))
	if err != nil {
		return fmt.Errorf("count requests: %w", err)
	}
	if waiting >= mostRequests {
		return domain.Refuse(domain.Overloaded, "Too many password resets are being requested at the moment.").After(time.Minute)
	}
	asked, err := s.Sums.Sum([]byte("password request " + strings.ToLower(strings.TrimSpace(login))))
	if err != nil {
		return fmt.Errorf("sum login: %w", err)
	}
	sealed, err := s.Sealer.Seal([]byte(login), requestAAD(asked))
	if err != nil {
		return fmt.Errorf("seal login: %w", err)
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.Rows.Ask(ctx, tx, asked, sealed, domain.Now(s.Clock))
	})
}

// Answer writes mails to the users of all waiting requests. Each has a transaction of its own, so that a failure does not affect the others. A request that
// failed is tried again at the next call, until it expires.
func (s *Mails) Answer(ctx context.Context) error {
	if err := s.forget(ctx); err != nil {
		return err
	}
	failed, last := 0, Request{Asked: []byte{}}
	var first error
	for full := true; full && ctx.Err() == nil; {
		requests, err := s.Rows.Asked(ctx, s.DB.Read(ctx), last, requestBatch)
		if err != nil {
			return err
		}
		for _, last = range requests {
			if err := s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return s.answer(ctx, tx, last) }); err != nil {
				failed, first = failed+1, cmp.Or(first, err)
			}
		}
		full = len(requests) == requestBatch
	}
	if failed > 0 {
		return fmt.Errorf("answer requests for new passwords: %d failed, the first: %w", failed, first)
	}
	return nil
}

// forget deletes expired requests. They would fill the table, and the user has probably asked again.
func (s *Mails) forget(ctx context.Context) error {
	before := domain.Now(s.Clock).Add(-requestLife)
	oldest, err := s.Rows.Asked(ctx, s.DB.Read(ctx), Request{Asked: []byte{}}, 1)
	if err != nil || len(oldest) == 0 || !oldest[0].At.Before(before) {
		return err
	}
	var late int64
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		late, err = s.Rows.Forget(ctx, tx, before)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget requests for new passwords: %w", err)
	}
	if late > 0 {
		s.Log.WarnContext(ctx, "requests for new passwords were not answered in time", "requests", late)
		s.count.WithLabelValues(string(ForgottenPassword), "late").Add(float64(late))
	}
	return nil
}

func (s *Mails) answer(ctx context.Context, tx *store.Tx, r Request) error {
	taken, err := s.Rows.Take(ctx, tx, r.Asked)
	if err != nil || !taken {
		return err
	}
	login, err := s.Sealer.Open(r.Sealed, requestAAD(r.Asked))
	if err != nil {
		s.Log.ErrorContext(ctx, "a request for a new password can't be read", "error", err)
		return nil // it will never be readable
	}
	u, found, err := s.Users.Claimant(ctx, tx, string(login))
	if err != nil || !found {
		return err
	}
	enough, err := s.limitReached(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	if enough {
		tx.AfterCommit(func() { s.count.WithLabelValues(string(ForgottenPassword), "limited").Inc() })
		return nil
	}
	made, err := s.Users.CreateForgotten(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	m, err := s.write(ctx, tx, ForgottenPassword, u.ID, content{u.Email, made.Token}, made.ExpiresAt)
	if err != nil {
		return err
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: "requestPasswordReset", Target: u.ID, Detail: map[string]string{"mail": m.ID, "to": m.To}})
}

// limitReached reports whether the limit of mails that requests may cause for a user is reached.
func (s *Mails) limitReached(ctx context.Context, tx *store.Tx, userID string) (bool, error) {
	now := domain.Now(s.Clock)
	for _, limit := range []struct {
		of     int64
		within time.Duration
	}{{perHour, time.Hour}, {perDay, 24 * time.Hour}} {
		sent, err := s.Rows.CountSince(ctx, tx, userID, ForgottenPassword, now.Add(-limit.within))
		if err != nil {
			return false, fmt.Errorf("count mails: %w", err)
		}
		if sent >= limit.of {
			return true, nil
		}
	}
	return false, nil
}

// TellChanged writes a mail to a user with a mail address that a reset was used. Where mails are off it does nothing, and the password is changed all the same.
func (s *Mails) TellChanged(ctx context.Context, tx *store.Tx, u user.User) (err error) {
	defer tried.To(&err, "notify of a new password")
	return s.notify(ctx, tx, PasswordChanged, u)
}

// TellMoved writes a mail to the user's old address, if any, that it is no longer the account's. Where mails are off it does nothing, and the address is changed
// all the same.
func (s *Mails) TellMoved(ctx context.Context, tx *store.Tx, before user.User) (err error) {
	defer tried.To(&err, "notify of another mail address")
	return s.notify(ctx, tx, AddressChanged, before)
}

// notify writes a mail without a link.
func (s *Mails) notify(ctx context.Context, tx *store.Tx, kind Kind, u user.User) error {
	on, err := s.On(ctx, tx)
	if err != nil || !on || u.Email == "" {
		return err
	}
	_, err = s.write(ctx, tx, kind, u.ID, content{Address: u.Email}, domain.Now(s.Clock).Add(noticeLife))
	return err
}
