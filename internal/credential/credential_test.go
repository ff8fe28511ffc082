package credential_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// fake is a kms with the one service that is tested.
type fake struct {
	t     *testing.T
	clock *clock.Fake
	*httptest.Server

	mu        sync.Mutex
	enrolment string            // the valid token
	keys      map[string]string // id -> text of the valid keys
	answers   map[string]string // Idempotency-Key -> key id
	made      int
	tokens    atomic.Int64 // given
	down      atomic.Bool
	loseNext  atomic.Bool // the next rotation's answer
	expired   atomic.Bool // rotation answers replay_expired
	skew      atomic.Int64
	slow      atomic.Int64 // how long an answer is on its way
	leap      atomic.Int64 // how far the clock leaps while the next token is on its way
	refused   string       // the token that rotation answers invalid_token
	wrapped   map[string][]byte
	witnessed []string // bodies of checkpoints that were recorded
	older     bool     // it knows checkpoints alone, not for how long events are kept
}

func newFake(t *testing.T) *fake {
	f := &fake{
		t: t, clock: clock.NewFake(time.Now()), keys: map[string]string{}, answers: map[string]string{}, wrapped: map[string][]byte{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /kms/v1/services/enrol", f.enrol)
	mux.HandleFunc("POST /kms/v1/oauth2/token", f.token)
	mux.HandleFunc("POST /kms/v1/keys/current/rotate", f.rotate)
	mux.HandleFunc("POST /kms/v1/keyrings/search/data-keys", f.createDataKey)
	mux.HandleFunc("POST /kms/v1/keyrings/search/unwrap", f.unwrap)
	mux.HandleFunc("POST /kms/v1/audit/witness", f.witness)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Date", f.clock.Now().Add(time.Duration(f.skew.Load())).Format(http.TimeFormat))
		f.clock.Advance(time.Duration(f.slow.Load()))
		f.mu.Lock()
		defer f.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// key creates a key. The caller must hold the lock.
func (f *fake) key() (id string, body string) {
	f.made++
	id = fmt.Sprintf("key_%d", f.made)
	f.keys[id] = "text of " + id
	return id, fmt.Sprintf(`{"apiKey":{"id":%q,"createdAt":%q,"expiresAt":%q},"key":%q}`, id,
		f.clock.Now().Format(time.RFC3339Nano), f.clock.Now().Add(90*24*time.Hour).Format(time.RFC3339Nano), f.keys[id])
}

func (f *fake) enrol(w http.ResponseWriter, r *http.Request) {
	var body struct{ Token string }
	if json.NewDecoder(r.Body).Decode(&body) != nil || f.enrolment == "" || body.Token != f.enrolment {
		http.Error(w, `{"code":"invalid_enrolment_token"}`, http.StatusUnauthorized)
		return
	}
	f.enrolment = ""
	_, text := f.key()
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(text))
}

func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if f.keys[id] == "" || strings.ReplaceAll(secret, "+", " ") != f.keys[id] {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		return
	}
	f.clock.Advance(time.Duration(f.leap.Swap(0)))
	fmt.Fprintf(w, `{"access_token":"%s|%s|%d","expires_in":900}`, id, r.FormValue("resource"), f.tokens.Add(1))
}

func (f *fake) rotate(w http.ResponseWriter, r *http.Request) {
	if f.refused != "" && r.Header.Get("Authorization") == "Bearer "+f.refused {
		http.Error(w, `{"code":"invalid_token"}`, http.StatusUnauthorized)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if f.expired.Load() && f.answers[key] != "" {
		http.Error(w, `{"code":"replay_expired"}`, http.StatusConflict)
		return
	}
	text := f.answers[key]
	if text == "" {
		_, text = f.key()
		f.answers[key] = text
	}
	if f.loseNext.CompareAndSwap(true, false) {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(text))
}

func (f *fake) createDataKey(w http.ResponseWriter, r *http.Request) {
	f.made++
	plain := make([]byte, 32)
	plain[0] = byte(f.made)
	wrapped := fmt.Appendf(nil, "wrapped %d", f.made)
	f.wrapped[string(wrapped)] = plain
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"plaintext":%q,"wrapped":%q}`, base64.StdEncoding.EncodeToString(plain), base64.StdEncoding.EncodeToString(wrapped))
}

func (f *fake) unwrap(w http.ResponseWriter, r *http.Request) {
	var body struct{ Wrapped []byte }
	_ = json.NewDecoder(r.Body).Decode(&body)
	plain := f.wrapped[string(body.Wrapped)]
	fmt.Fprintf(w, `{"plaintext":%q,"wrapped":%q}`, base64.StdEncoding.EncodeToString(plain), base64.StdEncoding.EncodeToString(body.Wrapped))
}

func (f *fake) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// client is a service with its credential.
type client struct {
	*credential.Source
	config credential.Config
}

// open opens the credential in dir and runs it until the test ends.
func (f *fake) open(dir string) *client {
	f.t.Helper()
	c := credential.Config{
		Word: "search", Dir: dir, EnrolTokenFile: filepath.Join(dir, "enrol", "token"), KMSURL: f.URL, Clock: f.clock, Log: slog.New(slog.DiscardHandler),
	}
	source, err := credential.Open(c)
	require.NoError(f.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx) }()
	f.t.Cleanup(func() { cancel(); require.NoError(f.t, <-done) })
	return &client{source, c}
}

// invite creates an enrolment token and stores it where the service looks for it.
func (f *fake) invite(c *client, token string) {
	f.t.Helper()
	f.with(func() { f.enrolment = token })
	require.NoError(f.t, os.MkdirAll(filepath.Dir(c.config.EnrolTokenFile), 0o700))
	require.NoError(f.t, os.WriteFile(c.config.EnrolTokenFile, []byte(token+"\n"), 0o600))
}

func (c *client) waitReady(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return c.Ready() == nil }, 20*time.Second, 10*time.Millisecond)
}

func (c *client) waitNotReady(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return c.Ready() != nil }, 20*time.Second, 10*time.Millisecond)
}

func get(t *testing.T, c *client, audience string) string {
	t.Helper()
	text, err := c.Token(t.Context(), audience)
	require.NoError(t, err)
	return text
}

func TestSource_enrolsWhenTheTokenComes(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	c := f.open(dir)
	require.ErrorIs(t, c.Ready(), credential.ErrNotEnrolled)
	_, err := c.Token(t.Context(), "kms")
	require.ErrorIs(t, err, credential.ErrNotEnrolled)
	f.invite(c, "et_first")
	c.waitReady(t)
	info, err := os.Stat(filepath.Join(dir, "credential.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.True(t, strings.HasPrefix(get(t, c, "sequence"), "key_1|sequence|"))

	again := f.open(dir) // a restart needs no new token
	require.NoError(t, again.Ready())
	require.True(t, strings.HasPrefix(get(t, again, "kms"), "key_1|kms|"))
}

func TestSource_asksOnceForManyAndOnceForEachAudience(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	get(t, c, "kms")
	before := f.tokens.Load()
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() { get(t, c, "search") })
	}
	all.Wait()
	require.Equal(t, before+1, f.tokens.Load())
	first := get(t, c, "search")
	f.clock.Advance(9 * time.Minute)
	require.Equal(t, first, get(t, c, "search"), "young enough")
	f.clock.Advance(2 * time.Minute)
	require.NotEqual(t, first, get(t, c, "search"), "renewed before its end")
	c.Forget("search")
	count := f.tokens.Load()
	get(t, c, "search")
	require.Equal(t, count+1, f.tokens.Load())
}

func TestSource_outlivesAKmsThatIsAway(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	token := get(t, c, "sequence")
	f.down.Store(true)
	f.clock.Advance(13 * time.Minute)
	require.Equal(t, token, get(t, c, "sequence"), "it still holds")
	require.NoError(t, c.Ready(), "a kms that is away makes nobody unready")
	f.clock.Advance(90 * time.Second)
	_, err := c.Token(t.Context(), "sequence")
	require.Error(t, err)
	f.down.Store(false)
	require.NotEqual(t, token, get(t, c, "sequence"))
}

func TestSource_waitsForANewTokenWhenItsKeyIsRefused(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	f.with(func() { clear(f.keys) })
	f.clock.Advance(11 * time.Minute)
	_, err := c.Token(t.Context(), "sequence")
	require.ErrorIs(t, err, credential.ErrNotEnrolled)
	require.ErrorIs(t, c.Ready(), credential.ErrNotEnrolled)
	f.invite(c, "et_second")
	c.waitReady(t)
	require.True(t, strings.HasPrefix(get(t, c, "sequence"), "key_2|"))
}

func TestSource_rotatesInHalfOfTheKeysLife(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	c := f.open(dir)
	f.invite(c, "et_first")
	c.waitReady(t)
	get(t, c, "kms")
	f.loseNext.Store(true)
	f.clock.Advance(46 * 24 * time.Hour)
	require.Eventually(t, func() bool { return strings.HasPrefix(get(t, c, "kms"), "key_2|") }, 20*time.Second, 20*time.Millisecond)
	f.with(func() {
		require.Equal(t, 2, f.made, "the lost answer was asked for again, no third key made")
		require.Len(t, f.answers, 1)
	})
	raw, err := os.ReadFile(filepath.Join(dir, "credential.json"))
	require.NoError(t, err)
	require.Contains(t, string(raw), "key_2")
	require.NotContains(t, string(raw), "rotation")
	require.NoError(t, c.Ready())
}

// The life of a token counts from its request, even if the answer comes late, as after the machine has slept.
func TestSource_countsATokensLifeFromItsRequest(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	f.leap.Store(int64(time.Hour))
	late := get(t, c, "sequence")
	require.NotEqual(t, late, get(t, c, "sequence"), "the first had ended when it came")
}

func TestSource_rotatesWithAnotherTokenWhenOneIsRefused(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	f.clock.Advance(46 * 24 * time.Hour)
	token := get(t, c, "kms")
	f.with(func() { f.refused = token })
	require.Eventually(t, func() bool { return strings.HasPrefix(get(t, c, "kms"), "key_2|") }, 20*time.Second, 20*time.Millisecond)
}

func TestSource_rotatesAnewWhenTheAnswerIsGone(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	c := f.open(dir)
	f.invite(c, "et_first")
	c.waitReady(t)
	get(t, c, "kms")
	f.expired.Store(true)
	f.loseNext.Store(true)
	f.clock.Advance(46 * 24 * time.Hour)
	require.Eventually(t, func() bool { return strings.HasPrefix(get(t, c, "kms"), "key_3|") }, 20*time.Second, 20*time.Millisecond)
	f.with(func() { require.Len(t, f.answers, 2) })
}

func TestSource_isNotReadyWithAWrongClock(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	get(t, c, "kms") // the one that enrolment asked for has come
	f.skew.Store(int64(20 * time.Second))
	c.Forget("kms") // the loop asks again
	c.waitNotReady(t)
	require.ErrorContains(t, c.Ready(), "clock")
	f.skew.Store(int64(-10 * time.Second))
	c.Forget("kms")
	c.waitReady(t)
}

func TestSource_isReadyAfterAnAnswerThatTookLong(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	f.slow.Store(int64(20 * time.Second))
	f.clock.Advance(time.Hour) // no token is valid any more
	get(t, c, "kms")
	require.NoError(t, c.Ready())
}

func TestEditor_sendsTheToken(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	edit := c.Editor("search")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	require.ErrorIs(t, edit(t.Context(), r), credential.ErrNotEnrolled)
	require.Empty(t, r.Header.Get("Authorization"))
	f.invite(c, "et_first")
	c.waitReady(t)
	require.NoError(t, edit(t.Context(), r))
	require.True(t, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer key_1|search|"))
}

func TestOpen_refusesWhatItDidNotWrite(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "credential.json"), []byte("canary"), 0o600))
	_, err := credential.Open(credential.Config{Word: "search", Dir: dir, KMSURL: "http://127.0.0.1:1"})
	require.ErrorContains(t, err, "credential.json")
	require.NotContains(t, err.Error(), "canary")
	_, err = credential.Open(credential.Config{})
	require.Error(t, err)
}

func TestDataKey_isMadeOnceAndTheSameForAllReplicas(t *testing.T) {
	storetest.Each(t, []fs.FS{credential.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		f := newFake(t)
		c := f.open(t.TempDir())
		f.invite(c, "et_first")
		c.waitReady(t)
		sealed := make(chan []byte, 8)
		var all sync.WaitGroup
		for range 8 {
			db := open(t)
			all.Go(func() {
				key, err := c.DataKey(t.Context(), db)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := key.Seal([]byte("x"), nil)
				if err != nil {
					t.Error(err)
				}
				sealed <- text
			})
		}
		all.Wait()
		close(sealed)
		key, err := c.DataKey(t.Context(), open(t))
		require.NoError(t, err)
		for text := range sealed {
			plain, err := key.Open(text, nil)
			require.NoError(t, err)
			require.Equal(t, "x", string(plain))
		}
	})
}
