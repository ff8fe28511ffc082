package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
)

// publisher is a kms that publishes a key set.
type publisher struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	keys    map[string]ed25519.PublicKey
	answer  func(w http.ResponseWriter) // replaces the key set when set
	hold    chan struct{}               // a fetch waits for it when set
}

func newPublisher(t testing.TB, kids ...string) *publisher {
	p := &publisher{keys: map[string]ed25519.PublicKey{}}
	for _, kid := range kids {
		p.publish(t, kid)
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		hold, answer := p.hold, p.answer
		p.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if answer != nil {
			answer(w)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		var set struct {
			Keys []map[string]string `json:"keys"`
		}
		set.Keys = append(set.Keys, map[string]string{"kty": "RSA", "kid": "rsa", "n": "x", "e": "AQAB"}, map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "enc", "kid": "enc", "x": "AA"})
		for kid, key := range p.keys {
			set.Keys = append(set.Keys, map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": base64.RawURLEncoding.EncodeToString(key)})
		}
		_ = json.NewEncoder(w).Encode(set)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) publish(t testing.TB, kid string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[kid] = public
}

func (p *publisher) set(answer func(http.ResponseWriter), hold chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer, p.hold = answer, hold
}

func TestJWKS_keepsTheSet(t *testing.T) {
	p, now := newPublisher(t, "k1"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	for range 100 {
		alg, key, err := j.Key(t.Context(), "k1")
		require.NoError(t, err)
		require.Equal(t, "EdDSA", alg)
		require.Equal(t, p.keys["k1"], key)
	}
	require.EqualValues(t, 1, p.fetches.Load())
	require.NoError(t, j.Ready(t.Context()))
	require.EqualValues(t, 1, p.fetches.Load(), "being asked whether it is ready costs no fetch")
	for _, kid := range []string{"rsa", "enc", "k2", ""} {
		_, _, err := j.Key(t.Context(), kid)
		require.ErrorIs(t, err, ErrUnknownKey, kid)
	}
}

func TestJWKS_fetchesOnceForManyCallers(t *testing.T) {
	p := newPublisher(t, "k1")
	hold := make(chan struct{})
	p.set(nil, hold)
	j := NewJWKS(p.URL, p.Client(), clock.NewFake(noon))
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for range 100 {
		wg.Go(func() {
			_, _, err := j.Key(context.Background(), "k1")
			errs <- err
		})
	}
	require.Eventually(t, func() bool { return p.fetches.Load() == 1 }, 5*time.Second, time.Millisecond)
	close(hold)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, p.fetches.Load())
}

func TestJWKS_boundsFetchesForUnknownKids(t *testing.T) {
	p, now := newPublisher(t, "k1"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	_, _, err := j.Key(t.Context(), "k1")
	require.NoError(t, err)
	now.Advance(time.Minute)
	for i := range 10_000 {
		_, _, err := j.Key(t.Context(), fmt.Sprint("random", i))
		require.ErrorIs(t, err, ErrUnknownKey)
		_, _, err = j.Key(t.Context(), "k1")
		require.NoError(t, err, "valid tokens are not affected")
	}
	require.EqualValues(t, 2, p.fetches.Load())
	now.Advance(10 * time.Second)
	p.publish(t, "k2")
	_, _, err = j.Key(t.Context(), "k2")
	require.NoError(t, err, "a new key is found at the next look")
	require.EqualValues(t, 3, p.fetches.Load())
}

func TestJWKS_neverLetsAKnownKidWait(t *testing.T) {
	p, now := newPublisher(t, "k1"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	_, _, err := j.Key(t.Context(), "k1")
	require.NoError(t, err)
	hold := make(chan struct{})
	p.set(nil, hold)
	now.Advance(jwksMaxAge)
	for range 1000 { // the set must be fetched again, and the kms does not answer
		_, _, err := j.Key(t.Context(), "k1")
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = j.Key(ctx, "k2")
	require.ErrorIs(t, err, context.Canceled, "who asks for an unknown one waits, but not longer than he lives")
	close(hold)
	require.Eventually(t, func() bool { _, _, err := j.Key(t.Context(), "k1"); return err == nil && p.fetches.Load() == 2 }, 5*time.Second, time.Millisecond)
}

func TestJWKS_newKeyIsFoundByEveryoneWhoComesDuringTheFetch(t *testing.T) {
	p, now := newPublisher(t, "k1"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	_, _, err := j.Key(t.Context(), "k1")
	require.NoError(t, err)
	now.Advance(time.Minute)
	p.publish(t, "k2")
	hold := make(chan struct{})
	p.set(nil, hold)
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() {
			_, _, err := j.Key(context.Background(), "k2")
			errs <- err
		}()
	}
	require.Eventually(t, func() bool { return p.fetches.Load() == 2 }, 5*time.Second, time.Millisecond)
	close(hold)
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.EqualValues(t, 2, p.fetches.Load())
}

func TestJWKS_standsByItsSetWhileTheKMSIsAway(t *testing.T) {
	p, now := newPublisher(t, "k1"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	_, _, err := j.Key(t.Context(), "k1")
	require.NoError(t, err)
	p.set(func(w http.ResponseWriter) { w.WriteHeader(500) }, nil)
	for range 23 {
		now.Advance(time.Hour)
		_, _, err := j.Key(t.Context(), "k1")
		require.NoError(t, err)
	}
	now.Advance(time.Hour)
	_, _, err = j.Key(t.Context(), "k1")
	require.Error(t, err, "but not for ever")
	require.NotErrorIs(t, err, ErrUnknownKey)
	require.Error(t, j.Ready(t.Context()))
	p.set(nil, nil)
	now.Advance(10 * time.Second)
	_, _, err = j.Key(t.Context(), "k1")
	require.NoError(t, err)
}

func TestJWKS_forgetsAKeyThatIsNoLongerPublished(t *testing.T) {
	p, now := newPublisher(t, "k1", "k2"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	_, _, err := j.Key(t.Context(), "k1")
	require.NoError(t, err)
	p.mu.Lock()
	delete(p.keys, "k1")
	p.mu.Unlock()
	now.Advance(jwksMaxAge)
	require.Eventually(t, func() bool { _, _, err := j.Key(t.Context(), "k1"); return err != nil }, 5*time.Second, time.Millisecond)
	_, _, err = j.Key(t.Context(), "k2")
	require.NoError(t, err)
}

func TestJWKS_doesNotHammerAKMSThatIsNotThereYet(t *testing.T) {
	p, now := newPublisher(t), clock.NewFake(noon)
	p.set(func(w http.ResponseWriter) { w.WriteHeader(503) }, nil)
	j := NewJWKS(p.URL, p.Client(), now)
	for range 100 {
		_, _, err := j.Key(t.Context(), "k1")
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrUnknownKey, "nobody can say that it is unknown")
	}
	require.EqualValues(t, 1, p.fetches.Load())
	now.Advance(jwksFirst)
	require.Error(t, j.Ready(t.Context()))
	require.EqualValues(t, 2, p.fetches.Load())
}

func TestJWKS_survivesAClockThatJumpsBack(t *testing.T) {
	p, now := newPublisher(t, "k1"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	_, _, err := j.Key(t.Context(), "k1")
	require.NoError(t, err)
	now.Advance(-time.Hour)
	p.publish(t, "k2")
	_, _, err = j.Key(t.Context(), "k2")
	require.NoError(t, err)
}

func TestJWKS_refusesAnOddAnswer(t *testing.T) {
	elsewhere := newPublisher(t, "k1")
	for name, answer := range map[string]func(http.ResponseWriter){
		"not JSON":  func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") },
		"empty set": func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[]}`) },
		"too large": func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[`, strings.Repeat(" ", jwksMaxSize), `]}`) },
		"too many":  func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[{}`, strings.Repeat(",{}", jwksMaxKeys), `]}`) },
		"short key": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k1","x":"AAAA"}]}`)
		},
		"other alg": func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"HS256","kid":"k1","x":%q}]}`, base64.RawURLEncoding.EncodeToString(make([]byte, 32)))
		},
		"secret key": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"AAAA"}]}`)
		},
		"point that is none": func(w http.ResponseWriter) {
			x := base64.RawURLEncoding.EncodeToString(append(make([]byte, 31), 1))
			fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k1","x":%q,"y":%q}]}`, x, x)
		},
		"redirect": func(w http.ResponseWriter) { w.Header().Set("Location", elsewhere.URL); w.WriteHeader(302) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			p.set(answer, nil)
			_, _, err := NewJWKS(p.URL, p.Client(), clock.NewFake(noon)).Key(t.Context(), "k1")
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrUnknownKey)
		})
	}
	require.Zero(t, elsewhere.fetches.Load())
}

func TestJWKS_renewsAtOnceWhatItHolds(t *testing.T) {
	p, now := newPublisher(t, "a"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	require.NoError(t, j.Renew(t.Context()))
	require.Zero(t, p.fetches.Load(), "nothing is held")
	_, _, err := j.Key(t.Context(), "a")
	require.NoError(t, err)
	p.mu.Lock()
	delete(p.keys, "a")
	p.mu.Unlock()
	p.publish(t, "b")

	// A fetch that runs may answer with what was there before: another one follows.
	hold := make(chan struct{})
	p.set(nil, hold)
	now.Advance(10 * time.Minute)
	waiting, renewed := make(chan struct{}), make(chan error, 1)
	go func() { defer close(waiting); _, _, _ = j.Key(t.Context(), "b") }()
	require.Eventually(t, func() bool { return p.fetches.Load() == 2 }, 10*time.Second, time.Millisecond)
	go func() { renewed <- j.Renew(t.Context()) }()
	close(hold)
	require.NoError(t, <-renewed)
	<-waiting
	require.GreaterOrEqual(t, p.fetches.Load(), int64(2))
	_, _, err = j.Key(t.Context(), "a")
	require.ErrorIs(t, err, ErrUnknownKey)
	p.set(func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, nil)
	require.Error(t, j.Renew(t.Context()))
	_, _, err = j.Key(t.Context(), "b")
	require.NoError(t, err, "the set that is held counts on")
}

// After hours without a request, a verifier accepts no key that was revoked meanwhile, not even while it fetches the key set. If the fetch fails, the
// stored key set remains valid.
func TestJWKS_afterIdleHoursTakesNoKeyThatIsGone(t *testing.T) {
	p, now := newPublisher(t, "k1", "k2"), clock.NewFake(noon)
	j := NewJWKS(p.URL, p.Client(), now)
	knows := func(kid string) error { _, _, err := j.Key(t.Context(), kid); return err }
	require.NoError(t, knows("k1"))
	p.mu.Lock()
	delete(p.keys, "k1")
	p.mu.Unlock()
	now.Advance(3 * time.Hour)
	require.ErrorIs(t, knows("k1"), ErrUnknownKey)
	require.NoError(t, knows("k2"))
	p.set(func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, nil)
	now.Advance(3 * time.Hour)
	require.NoError(t, knows("k2"))

	hold := make(chan struct{})
	defer close(hold)
	p.set(nil, hold)
	now.Advance(3 * time.Hour)
	require.NoError(t, knows("k2"), "the kms was away, and hangs: nobody waits for it each time")
}

// The key set of an issuer with a short max-age is cached for that time only.
func TestJWKS_fetchesAgainWhenTheMaxAgeIsOver(t *testing.T) {
	p, now := newPublisher(t, "k1"), clock.NewFake(noon)
	set := func(kids ...string) {
		var keys []map[string]string
		for _, kid := range kids {
			p.publish(t, kid)
			keys = append(keys, map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": base64.RawURLEncoding.EncodeToString(p.keys[kid])})
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answer = func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "public, max-age=30")
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
		}
	}
	set("k1")
	j := NewJWKS(p.URL, p.Client(), now)
	knows := func() {
		_, _, err := j.Key(t.Context(), "k1")
		require.NoError(t, err)
	}
	knows()
	now.Advance(30*time.Second - time.Nanosecond)
	knows()
	require.EqualValues(t, 1, p.fetches.Load())
	set("k1", "k2")
	now.Advance(time.Nanosecond)
	knows()
	require.Eventually(t, func() bool {
		_, _, err := j.Key(t.Context(), "k2")
		return err == nil
	}, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 2, p.fetches.Load())
}

func TestSetAge_followsTheAnswerWithinBounds(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": jwksMaxAge, "no-cache": jwksMaxAge, "max-age=x": jwksMaxAge, "max-age": jwksMaxAge, "max-age=-1": jwksMaxAge, "max-age=99999999999999": jwksMaxAge,
		"public, max-age=30": 30 * time.Second, `Max-Age="30", public`: 30 * time.Second, "s-maxage=5,max-age=60": time.Minute,
		"max-age=0": jwksInterval, "max-age=300": jwksMaxAge, "max-age=86400": jwksMaxAge,
	} {
		require.Equal(t, want, setAge(header), header)
	}
}
