package credential

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStep_triesARefusedEnrolmentTokenOnce(t *testing.T) {
	var asked atomic.Int64
	status := atomic.Int64{}
	status.Store(http.StatusUnauthorized)
	kms := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer kms.Close()
	dir := t.TempDir()
	s, err := Open(Config{Word: "search", Dir: dir, EnrolTokenFile: filepath.Join(dir, "token"), KMSURL: kms.URL})
	require.NoError(t, err)
	write := func(token string) { require.NoError(t, os.WriteFile(s.EnrolTokenFile, []byte(token), 0o600)) }

	require.NoError(t, s.step(t.Context()), "no file is nothing to do")
	write("et_first")
	require.Error(t, s.step(t.Context()))
	require.NoError(t, s.step(t.Context()))
	require.NoError(t, s.step(t.Context()))
	require.EqualValues(t, 1, asked.Load(), "a refused token is not tried again")
	write("et_second")
	status.Store(http.StatusServiceUnavailable)
	require.Error(t, s.step(t.Context()))
	require.Error(t, s.step(t.Context()))
	require.EqualValues(t, 3, asked.Load(), "a kms that is away has refused nothing")
}

// A kms whose clock was ahead took a key for expired. When it accepts the key again it stores no enrolment token, so the service must notice by
// itself.
func TestStep_takesARefusedKeyAgain(t *testing.T) {
	var asked atomic.Int64
	var accepts atomic.Bool
	kms := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if !accepts.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
			return
		}
		_, _ = w.Write([]byte(`{"access_token":"t","expires_in":900}`))
	}))
	defer kms.Close()
	dir := t.TempDir()
	s, err := Open(Config{Word: "search", Dir: dir, EnrolTokenFile: filepath.Join(dir, "token"), KMSURL: kms.URL})
	require.NoError(t, err)
	s.held = held{Key: "fk_live_x", KeyID: "key_1", CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	_, err = s.Token(t.Context(), kmsAudience)
	require.ErrorIs(t, err, ErrNotEnrolled)
	require.NoError(t, s.step(t.Context()))
	require.EqualValues(t, 1, asked.Load(), "not at once")
	s.again = time.Time{}
	require.NoError(t, s.step(t.Context()))
	require.EqualValues(t, 2, asked.Load())
	require.ErrorIs(t, s.Ready(), ErrNotEnrolled)
	accepts.Store(true)
	s.again = time.Time{}
	require.NoError(t, s.step(t.Context()))
	require.NoError(t, s.Ready())
	token, err := s.Token(t.Context(), kmsAudience)
	require.NoError(t, err)
	require.Equal(t, "t", token)
}

func TestBackoff_growsAndForgets(t *testing.T) {
	now := time.Now()
	b := backoff{clock: func() time.Time { return now }}
	for _, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		require.True(t, b.due())
		b.note(os.ErrNotExist)
		require.False(t, b.due())
		now = now.Add(want - time.Millisecond)
		require.False(t, b.due(), want)
		now = now.Add(time.Millisecond)
	}
	b.note(nil)
	require.True(t, b.due())
}

func TestRotationDue_inHalfOfTheLife(t *testing.T) {
	begin := time.Now()
	h := held{CreatedAt: begin, ExpiresAt: begin.Add(90 * 24 * time.Hour)}
	require.False(t, h.rotationDue(begin.Add(45*24*time.Hour)))
	require.True(t, h.rotationDue(begin.Add(45*24*time.Hour+time.Second)))
}
