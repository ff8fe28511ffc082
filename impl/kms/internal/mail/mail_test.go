package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// strangers are mails whose user look-ups fail.
func strangers(t *testing.T) (*kmstest.Parts, *mail.Mails) {
	t.Helper()
	p := kmstest.New(t)
	sealer, err := seal.NewAEAD()
	require.NoError(t, err)
	sums, err := seal.NewMAC()
	require.NoError(t, err)
	p.Write(func(ctx context.Context, tx *store.Tx) error {
		return kmsdb.Mails{}.Seen(ctx, tx, p.Clock.Now(), p.Clock.Now())
	})
	return p, mail.New(mail.Config{
		DB: p.DB, Rows: kmsdb.Mails{}, Standing: p.Standing, Sealer: sealer, Sums: sums, PublicURL: kmstest.Issuer, Clock: p.Clock, Log: slog.New(slog.DiscardHandler),
	})
}

// The duration of an answer does not reveal whether the user exists: the look-up comes after the answer.
func TestRequest_looksAtNoUserBeforeItHasAnswered(t *testing.T) {
	p, mails := strangers(t)
	p.First("ada")
	for _, login := range []string{"ada", "nobody", " ADA "} {
		require.NoError(t, mails.Request(t.Context(), login))
	}
	waiting, err := kmsdb.Mails{}.CountAsked(t.Context(), p.DB.Read(t.Context()))
	require.NoError(t, err)
	require.EqualValues(t, 2, waiting, "one for each login")
	require.Panics(t, func() { _ = mails.Answer(t.Context()) }, "it would be seen here")
	p.Clock.Advance(2 * time.Minute)
	require.ErrorIs(t, mails.Request(t.Context(), "ada"), domain.MailOff)
}

// People type passwords into the name field. With the database alone, guesses at what was typed can't be verified.
func TestRequest_keepsNothingThatTellsWhatWasTyped(t *testing.T) {
	var kept [][]byte
	for range 2 {
		p, mails := strangers(t)
		require.NoError(t, mails.Request(t.Context(), "hunter2"))
		waiting, err := kmsdb.Mails{}.Asked(t.Context(), p.DB.Read(t.Context()), mail.Request{Asked: []byte{}}, 2)
		require.NoError(t, err)
		require.Len(t, waiting, 1)
		kept = append(kept, waiting[0].Asked)
	}
	require.NotEqual(t, kept[0], kept[1], "without the key it is nothing that can be computed")
}

// Knowing a login is not enough to flood its mailbox.
func TestAnswer_writesTenMailsADay(t *testing.T) {
	p, mails := strangers(t)
	mails.Users = p.Users
	ada, email := p.First("ada"), "ada@example.org"
	_, err := p.Users.Update(t.Context(), p.Caller(ada.ID), ada.ID, etag.ParseMatch("*"), user.Change{Email: &email})
	require.NoError(t, err)
	written := func() int {
		all, err := kmsdb.Mails{}.List(t.Context(), p.DB.Read(t.Context()), "", 100)
		require.NoError(t, err)
		return len(all)
	}
	for hour := range 24 {
		p.Write(func(ctx context.Context, tx *store.Tx) error {
			return kmsdb.Mails{}.Seen(ctx, tx, p.Clock.Now(), p.Clock.Now())
		})
		for range 2 {
			require.NoError(t, mails.Request(t.Context(), "ada"))
			require.NoError(t, mails.Answer(t.Context()))
		}
		require.Equal(t, min(2*(hour+1), 10), written())
		p.Clock.Advance(time.Hour)
	}
	p.Write(func(ctx context.Context, tx *store.Tx) error {
		return kmsdb.Mails{}.Seen(ctx, tx, p.Clock.Now(), p.Clock.Now())
	})
	require.NoError(t, mails.Request(t.Context(), "ada"))
	require.NoError(t, mails.Answer(t.Context()))
	require.Equal(t, 11, written(), "the next day")
}

// stuck are rows from which some requests can't be taken.
type stuck struct {
	mail.Rows
}

var errStuck = errors.New("stuck")

func (r stuck) Take(ctx context.Context, tx *store.Tx, asked []byte) (bool, error) {
	if bytes.HasPrefix(asked, []byte("stuck")) {
		return false, errStuck
	}
	return r.Rows.Take(ctx, tx, asked)
}

// A failing request delays no others, however many there are, and is deleted after five minutes.
func TestAnswer_passesByWhatFails(t *testing.T) {
	p, mails := strangers(t)
	mails.Rows = stuck{mails.Rows}
	const many = 600 // more than two batches
	for _, name := range []string{"stuck", "text of nobody"} {
		p.Write(func(ctx context.Context, tx *store.Tx) error {
			for i := range many {
				if err := mails.Rows.Ask(ctx, tx, fmt.Appendf(nil, "%s %d", name, i), []byte{1}, p.Clock.Now()); err != nil {
					return err
				}
			}
			return nil
		})
		p.Clock.Advance(time.Second)
	}
	waiting := func() int64 {
		n, err := mails.Rows.CountAsked(t.Context(), p.DB.Read(t.Context()))
		require.NoError(t, err)
		return n
	}
	err := mails.Answer(t.Context())
	require.ErrorIs(t, err, errStuck)
	require.ErrorContains(t, err, "600 failed", "one line of the log tells of them all")
	require.EqualValues(t, many, waiting())
	p.Clock.Advance(5 * time.Minute)
	require.NoError(t, mails.Answer(t.Context()))
	require.Zero(t, waiting())
}

// The number of requests is bounded, however many clients send them.
func TestRequest_isRefusedWhenTooManyWait(t *testing.T) {
	p, mails := strangers(t)
	p.Write(func(ctx context.Context, tx *store.Tx) error {
		for i := range 10_000 {
			if err := (kmsdb.Mails{}).Ask(ctx, tx, fmt.Appendf(nil, "hash %d", i), []byte{1}, p.Clock.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	require.ErrorIs(t, mails.Request(t.Context(), "ada"), domain.Overloaded)
}
