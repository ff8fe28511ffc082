package session

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

// oneTimeTokens is a kms whose refresh tokens work once, in order, and without a grace period.
func oneTimeTokens(t *testing.T) (*fountain.Client, *int) {
	var mu sync.Mutex
	used := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ RefreshToken string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		mu.Lock()
		defer mu.Unlock()
		if body.RefreshToken != fmt.Sprintf("rt%d", used) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"type":"x","title":"x","status":401,"code":"session_ended","requestId":"r"}`)
			return
		}
		used++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"at%d","token_type":"Bearer","expires_in":600,"refresh_token":"rt%d","scope":""}`, used, used)
	}))
	t.Cleanup(server.Close)
	c, err := fountain.New(server.URL)
	require.NoError(t, err)
	return c, &used
}

func TestSource_usesEachRefreshTokenOnceAmongManyProcesses(t *testing.T) {
	c, used := oneTimeTokens(t)
	file := &File{filepath.Join(t.TempDir(), "fountain", "session.json")}
	require.NoError(t, file.Save(&Session{URL: "http://x", Username: "ada", RefreshToken: "rt0"}))
	var wg sync.WaitGroup
	for range 8 { // each source stands for a process: it opens the lock file itself
		wg.Go(func() {
			source := NewSource(file, c)
			for range 3 {
				token, err := source.Token(t.Context(), "kms")
				require.NoError(t, err)
				source.Invalidate(token)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 24, *used)
	kept, err := file.Load()
	require.NoError(t, err)
	require.Equal(t, "rt24", kept.RefreshToken)
	require.Equal(t, "ada", kept.Username)
}

func TestSource_ofAnEndedSessionSaysWhatToDo(t *testing.T) {
	c, _ := oneTimeTokens(t)
	file := &File{filepath.Join(t.TempDir(), "session.json")}
	require.NoError(t, file.Save(&Session{URL: "http://x", RefreshToken: "rt_stolen"}))
	_, err := NewSource(file, c).Token(t.Context(), "kms")
	require.ErrorContains(t, err, "fountain login")
	require.NotContains(t, err.Error(), "rt_stolen")
}

func TestFile_isForItsOwnerAndRefusesWhatIsNot(t *testing.T) {
	file := &File{filepath.Join(t.TempDir(), "fountain", "session.json")}
	_, err := file.Load()
	require.ErrorIs(t, err, ErrNone)
	require.NoError(t, file.Delete())
	require.NoError(t, file.Save(&Session{URL: "http://x", RefreshToken: "rt"}))
	info, err := os.Stat(file.Path())
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, os.Chmod(file.Path(), 0o640))
	_, err = file.Load()
	require.ErrorContains(t, err, "can be read by others")
	require.NoError(t, os.WriteFile(file.Path(), []byte("{"), 0o600))
	require.NoError(t, os.Chmod(file.Path(), 0o600))
	_, err = file.Load()
	require.ErrorContains(t, err, "is damaged")
}

func TestRaised_isKeptWithTheSessionUntilItEnds(t *testing.T) {
	file := &File{filepath.Join(t.TempDir(), "session.json")}
	file.Raised().Keep("kms", "at", time.Now().Add(time.Minute)) // nobody is signed in, so nothing is written
	require.NoFileExists(t, file.Path())
	require.NoError(t, file.Save(&Session{URL: "http://x", RefreshToken: "rt"}))
	file.Raised().Keep("sequence", "old", time.Now().Add(-time.Minute))
	file.Raised().Keep("kms", "at", time.Now().Add(time.Minute))
	token, expires := file.Raised().Load("kms")
	require.Equal(t, "at", token)
	require.WithinDuration(t, time.Now().Add(time.Minute), expires, 5*time.Second)
	kept, err := file.Load()
	require.NoError(t, err)
	require.Len(t, kept.Raised, 1, "what has ended is not kept")
	token, _ = file.Raised().Load("search")
	require.Empty(t, token)
}
