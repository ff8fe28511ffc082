package store_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
	"github.com/fountainai/fountain/tests/authenticator"
)

// keys is a world with passkeys, and more replicas of it.
type keys struct {
	*world
	*passkey.Service
	open func(t *testing.T) *base.DB
}

func eachKeys(t *testing.T, f func(t *testing.T, k *keys)) {
	t.Helper()
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *base.DB) {
		k := &keys{world: newWorld(t, open(t), seal.NewDataKey(), clock.NewFake(start)), open: open}
		k.Service = k.passkeys(t, k.store, k.world.Service)
		f(t, k)
	})
}

func (k *keys) passkeys(t *testing.T, rows passkey.Repository, factors *factor.Service) *passkey.Service {
	t.Helper()
	site, err := passkey.NewSite("", "FountainAI", []string{"https://app.example.org"})
	require.NoError(t, err)
	proofKey, err := k.store.ProofKey(t.Context(), k.key, k.now.Now())
	require.NoError(t, err)
	metrics, err := passkey.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	s, err := passkey.New(passkey.Config{
		Repository: rows, Factors: factors, Site: &site, Sealer: k.key, ProofKey: proofKey, SignsInTo: "fountain", Random: rand.Reader, Clock: k.now,
		Log: slog.New(slog.DiscardHandler), Metrics: metrics,
	})
	require.NoError(t, err)
	return s
}

// replica returns the service of one more process on the database.
func (k *keys) replica(t *testing.T) *passkey.Service {
	t.Helper()
	rows := newStore(t, k.open(t))
	return k.passkeys(t, rows, k.service(t, rows, rand.Reader))
}

// answer returns what a device signs, decoded.
type answer struct {
	ID       string
	RawID    string
	Response struct{ ClientDataJSON, AttestationObject, AuthenticatorData, Signature, UserHandle string }
}

func parsed(t *testing.T, text []byte, err error) (a answer) {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &a))
	return a
}

func raw(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

func newDevice() *authenticator.Device {
	return authenticator.New("app.example.org", "https://app.example.org")
}

func makes(t *testing.T, d *authenticator.Device, c passkey.Creation) passkey.Registration {
	t.Helper()
	challenge, user := base64.RawURLEncoding.EncodeToString(c.Challenge), base64.RawURLEncoding.EncodeToString([]byte(c.Subject))
	made, err := d.Create([]byte(`{"challenge":"` + challenge + `","user":{"id":"` + user + `"}}`))
	a := parsed(t, made, err)
	return passkey.Registration{
		ID: a.ID, RawID: raw(t, a.RawID), ClientDataJSON: raw(t, a.Response.ClientDataJSON), AttestationObject: raw(t, a.Response.AttestationObject),
	}
}

func signs(t *testing.T, d *authenticator.Device, r passkey.Request) passkey.Assertion {
	t.Helper()
	signed, err := d.Get([]byte(`{"challenge":"` + base64.RawURLEncoding.EncodeToString(r.Challenge) + `"}`))
	a := parsed(t, signed, err)
	return passkey.Assertion{
		ID: a.ID, RawID: raw(t, a.RawID), ClientDataJSON: raw(t, a.Response.ClientDataJSON), AuthenticatorData: raw(t, a.Response.AuthenticatorData),
		Signature: raw(t, a.Response.Signature), UserHandle: raw(t, a.Response.UserHandle),
	}
}

// enrolledKey gives the caller an active passkey.
func (k *keys) enrolledKey(t *testing.T, c factor.Caller) (factorID string, d *authenticator.Device) {
	t.Helper()
	creation, err := k.Enrol(t.Context(), c, "laptop", "")
	require.NoError(t, err)
	d = newDevice()
	_, err = k.Confirm(t.Context(), c, creation.FactorID, makes(t, d, creation))
	require.NoError(t, err)
	return creation.FactorID, d
}

// Of any number of parallel answers to one challenge, or to one sign-in, exactly one succeeds, also on two replicas, which on PostgreSQL share only the rows.
func TestPasskeys_haveOneWinnerOnTwoReplicas(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		replicas := []*passkey.Service{k.Service, k.replica(t)}
		c := someone()
		_, d := k.enrolledKey(t, c) // its counter stays 0: nothing but the challenge keeps the others out
		for range 20 {
			asked, err := k.Begin(t.Context(), c)
			require.NoError(t, err)
			a := signs(t, d, asked)
			require.Equal(t, 1, winners(t, replicas, passkey.ErrGone, func(s *passkey.Service) error {
				_, err := s.Verify(t.Context(), c, asked.ID, a)
				return err
			}))
			asked, err = replicas[1].BeginSignIn()
			require.NoError(t, err)
			a = signs(t, d, asked)
			require.Equal(t, 1, winners(t, replicas, passkey.ErrInvalid, func(s *passkey.Service) error {
				_, err := s.VerifySignIn(t.Context(), asked.ID, a, "req")
				return err
			}))
		}
	})
}

// winners makes 16 calls at once, on the replicas in turn, and returns how many succeeded. The others must be refused.
func winners(t *testing.T, replicas []*passkey.Service, refusal error, call func(*passkey.Service) error) (n int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			err := call(replicas[i%2])
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				n++
			} else if !errors.Is(err, refusal) {
				t.Errorf("unexpected refusal: %v", err)
			}
		})
	}
	wg.Wait()
	return n
}

// Of two confirmations of one credential at once, by two people, exactly one succeeds.
func TestConfirmPasskey_isOnePersonsOnly(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		replicas := []*passkey.Service{k.Service, k.replica(t)}
		for range 10 {
			d := newDevice()
			confirms := map[*passkey.Service]func() error{}
			for _, s := range replicas {
				c := someone()
				creation, err := s.Enrol(t.Context(), c, "", "")
				require.NoError(t, err)
				made := makes(t, d, creation)
				confirms[s] = func() error {
					_, err := s.Confirm(t.Context(), c, creation.FactorID, made)
					return err
				}
			}
			results := make(chan error, 2)
			for _, confirm := range confirms {
				go func() { results <- confirm() }()
			}
			first, second := <-results, <-results
			if first != nil {
				first, second = second, first
			}
			require.NoError(t, first)
			require.ErrorIs(t, second, passkey.ErrKnown)
		}
	})
}

// A counter that goes back, of a passkey that can't be copied, is refused and recorded in the audit trail.
func TestVerifyPasskey_recordsACounterThatGoesBack(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c := someone()
		id, d := k.enrolledKey(t, c)
		use := func(counter uint32) error {
			d.Counter = counter
			asked, err := k.Begin(t.Context(), c)
			require.NoError(t, err)
			_, err = k.Verify(t.Context(), c, asked.ID, signs(t, d, asked))
			return err
		}
		require.NoError(t, use(0))
		require.NoError(t, use(0), "an authenticator without a counter")
		require.NoError(t, use(5))
		for _, counter := range []uint32{5, 4, 0} {
			require.ErrorIs(t, use(counter), passkey.ErrInvalid)
			e := k.events(t)[0]
			require.Equal(t, "verifyPasskey denied "+id, e.Action+" "+e.Outcome+" "+e.Target)
			require.Equal(t, "counter", e.Detail["reason"])
			require.Contains(t, e.Detail["security"], "copied")
		}
		require.NoError(t, use(6))
		require.EqualValues(t, 6, k.number(t, `SELECT sign_count FROM factors WHERE id = ?`, id))
	})
}

// Sign-ins that no known passkey answers store nothing: a caller without a passkey can't fill the database.
func TestBeginSignIn_keepsNothing(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c := someone()
		_, d := k.enrolledKey(t, c)
		rows := func() int64 {
			return k.number(t, `SELECT (SELECT COUNT(*) FROM passkey_sign_ins) + (SELECT COUNT(*) FROM passkey_challenges) + (SELECT COUNT(*) FROM audit_events)`)
		}
		before, stranger := rows(), newDevice()
		stranger.UserHandle = []byte(c.Subject)
		for range 100 {
			asked, err := k.BeginSignIn()
			require.NoError(t, err)
			_, err = k.VerifySignIn(t.Context(), asked.ID, signs(t, stranger, asked), "req")
			require.ErrorIs(t, err, passkey.ErrInvalid)
		}
		require.Equal(t, before, rows())
		asked, err := k.BeginSignIn()
		require.NoError(t, err)
		_, err = k.VerifySignIn(t.Context(), asked.ID, signs(t, d, asked), "req")
		require.NoError(t, err)
		require.Equal(t, before+2, rows(), "the sign-in and its event")
	})
}

// Sign-ins are recorded, and so are failed attempts with a known passkey.
func TestVerifySignIn_isRecorded(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c := someone()
		id, d := k.enrolledKey(t, c)
		asked, err := k.BeginSignIn()
		require.NoError(t, err)
		a := signs(t, d, asked)
		_, err = k.VerifySignIn(t.Context(), asked.ID, a, "req")
		require.NoError(t, err)
		e := k.events(t)[0]
		require.Equal(t, []string{"verifyPasskeySignIn", c.Subject, id, audit.OK, "req"}, []string{e.Action, e.Actor, e.Target, e.Outcome, e.RequestID})
		_, err = k.VerifySignIn(t.Context(), asked.ID, a, "req")
		require.ErrorIs(t, err, passkey.ErrInvalid)
		e = k.events(t)[0]
		require.Equal(t, []string{"verifyPasskeySignIn", "", id, "denied", "used", c.Subject}, []string{e.Action, e.Actor, e.Target, e.Outcome, e.Detail["reason"], e.Detail["subject"]})
	})
}

// After a backup is restored, no earlier challenge or sign-in accepts an answer: the restored rows may lack that it was used.
func TestPasskeys_answerNothingFromBeforeARestore(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c := someone()
		_, d := k.enrolledKey(t, c)
		asked, err := k.Begin(t.Context(), c)
		require.NoError(t, err)
		begun, err := k.BeginSignIn()
		require.NoError(t, err)
		k.exec(t, `UPDATE restore_mark SET not_before = ?`, k.now.Now().Add(time.Second).UnixMicro())
		_, err = k.Verify(t.Context(), c, asked.ID, signs(t, d, asked))
		require.ErrorIs(t, err, passkey.ErrGone)
		_, err = k.VerifySignIn(t.Context(), begun.ID, signs(t, d, begun), "req")
		require.ErrorIs(t, err, passkey.ErrInvalid)
	})
}

// A challenge or sign-in that was made while the clock was ahead is refused.
func TestPasskeys_areNotAnsweredFromTheFuture(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c := someone()
		_, d := k.enrolledKey(t, c)
		k.now.Advance(48 * time.Hour)
		asked, err := k.Begin(t.Context(), c)
		require.NoError(t, err)
		begun, err := k.BeginSignIn()
		require.NoError(t, err)
		k.now.Advance(-48 * time.Hour)
		_, err = k.Verify(t.Context(), c, asked.ID, signs(t, d, asked))
		require.ErrorIs(t, err, passkey.ErrGone)
		_, err = k.VerifySignIn(t.Context(), begun.ID, signs(t, d, begun), "req")
		require.ErrorIs(t, err, passkey.ErrInvalid)
	})
}

// Data of passkeys are deleted: public keys with the factor, challenges and answered sign-ins when their time has passed.
func TestPasskeys_areSweptAndTheirKeysDestroyed(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c := someone()
		id, d := k.enrolledKey(t, c)
		asked, err := k.Begin(t.Context(), c)
		require.NoError(t, err)
		begun, err := k.BeginSignIn()
		require.NoError(t, err)
		_, err = k.VerifySignIn(t.Context(), begun.ID, signs(t, d, begun), "req")
		require.NoError(t, err)
		_, err = k.Begin(t.Context(), c)
		require.NoError(t, err)
		require.EqualValues(t, 1, k.number(t, `SELECT COUNT(*) FROM passkey_challenges`), "one for each session")
		_, err = k.Verify(t.Context(), c, asked.ID, signs(t, d, asked))
		require.ErrorIs(t, err, passkey.ErrUnknown)

		require.NoError(t, k.world.Void(t.Context(), c.Subject, k.now.Now()))
		require.Zero(t, k.number(t, `SELECT LENGTH(sealed_seed) FROM factors WHERE id = ?`, id))
		begun, err = k.BeginSignIn()
		require.NoError(t, err)
		_, err = k.VerifySignIn(t.Context(), begun.ID, signs(t, d, begun), "req")
		require.ErrorIs(t, err, passkey.ErrInvalid)

		k.now.Advance(26 * time.Hour)
		require.NoError(t, k.Service.Sweep(t.Context()))
		require.Zero(t, k.number(t, `SELECT (SELECT COUNT(*) FROM passkey_sign_ins) + (SELECT COUNT(*) FROM passkey_challenges)`))
	})
}

// A row that was copied to another subject, or another factor, is not accepted.
func TestPasskeys_doNotOpenInAnotherPlace(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c, thief := someone(), someone()
		id, d := k.enrolledKey(t, c)
		k.exec(t, `UPDATE factors SET subject = ? WHERE id = ?`, thief.Subject, id)
		_, err := k.Begin(t.Context(), thief)
		require.ErrorContains(t, err, "open passkey")
		begun, err := k.BeginSignIn()
		require.NoError(t, err)
		d.UserHandle = []byte(thief.Subject)
		_, err = k.VerifySignIn(t.Context(), begun.ID, signs(t, d, begun), "req")
		require.ErrorContains(t, err, "open passkey")
	})
}

// meddled is a store that runs something else once, before a transaction.
type meddled struct {
	*store.Store
	meanwhile func()
}

func (m *meddled) Alter(ctx context.Context, fn func(ctx context.Context, tx passkey.Tx) error) error {
	if happens := m.meanwhile; happens != nil {
		m.meanwhile = nil
		happens()
	}
	return m.Store.Alter(ctx, fn)
}

// A signature of a passkey that is revoked after it was read is refused.
func TestVerifyPasskey_refusesOneThatIsRevokedMeanwhile(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		rows := &meddled{Store: k.store}
		s := k.passkeys(t, rows, k.world.Service)
		c := someone()
		id, d := k.enrolledKey(t, c)
		asked, err := s.Begin(t.Context(), c)
		require.NoError(t, err)
		rows.meanwhile = func() { require.NoError(t, k.world.Revoke(t.Context(), c, id)) }
		_, err = s.Verify(t.Context(), c, asked.ID, signs(t, d, asked))
		require.ErrorIs(t, err, passkey.ErrInvalid)
		require.Equal(t, "revoked", k.events(t)[0].Detail["reason"])
	})
}

// What confirming needs is checked in the transaction that makes the passkey active.
func TestConfirmPasskey_isJudgedWhenItBecomesActive(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		rows := &meddled{Store: k.store}
		s := k.passkeys(t, rows, k.world.Service)
		c := someone()
		c.SecondFactor = errors.New("give a code")
		creation, err := s.Enrol(t.Context(), c, "", "")
		require.NoError(t, err)
		rows.meanwhile = func() { k.world.enrolled(t, c, totp.Default) }
		confirmed, err := s.Confirm(t.Context(), c, creation.FactorID, makes(t, newDevice(), creation))
		require.ErrorIs(t, err, c.SecondFactor)
		require.Empty(t, confirmed, "neither codes nor a proof")
	})
}

// No code can be sent to a passkey.
func TestTargets_arePlacesToWhichCodesAreSent(t *testing.T) {
	eachKeys(t, func(t *testing.T, k *keys) {
		c := someone()
		k.enrolledKey(t, c)
		targets, err := k.store.Targets(t.Context(), c.Subject)
		require.NoError(t, err)
		require.Empty(t, targets)
	})
}
