package httpclient

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// restarted is a service that can't be reached for a while, then is not ready for a while, and then echoes its requests.
type restarted struct {
	back, ready time.Time
	asked       int
	read        string // all that it has read
}

func (s *restarted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked++
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.read += string(text) + ";"
	}
	switch now := time.Now(); {
	case now.Before(s.back):
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	case now.Before(s.ready):
		return answer(503, "application/problem+json", `{"code":"not_ready"}`), nil
	}
	return answer(200, "text/plain", "done"), nil
}

func answer(status int, mediaType, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {mediaType}}, Body: io.NopCloser(strings.NewReader(body))}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPatient_waitsForAServiceThatIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &restarted{back: time.Now().Add(3 * time.Second), ready: time.Now().Add(4 * time.Second)}
		c := Patient(&http.Client{Transport: s, Timeout: time.Minute})
		res, err := c.Post("http://x/", "text/plain", strings.NewReader("once"))
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode)
		require.NoError(t, res.Body.Close())
		require.Equal(t, strings.Repeat("once;", s.asked), s.read, "each attempt sends the whole body")
		require.Equal(t, 41, s.asked)
	})
}

// When a service stays unavailable, calls fail at once after a while. They wait again the next time that it becomes unavailable.
func TestPatient_losesItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &restarted{back: time.Now().Add(time.Hour), ready: time.Now().Add(time.Hour)}
		c := Patient(&http.Client{Transport: s})
		began := time.Now()
		_, err := c.Get("http://x/")
		require.ErrorContains(t, err, "connection refused")
		require.Equal(t, patience, time.Since(began))
		before := s.asked
		_, err = c.Get("http://x/")
		require.Error(t, err)
		require.Equal(t, before+1, s.asked)
		time.Sleep(time.Hour)
		for range 2 {
			res, err := c.Get("http://x/")
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			s.back = time.Now().Add(time.Second)
		}
	})
}

func TestPatient_repeatsNothingThatMayHaveBeenDone(t *testing.T) {
	for name, c := range map[string]struct {
		res *http.Response
		err error
	}{
		"broken connection": {nil, &net.OpError{Op: "read", Err: errors.New("connection reset")}},
		"other refusal":     {answer(503, "application/problem+json", `{"code":"overloaded"}`), nil},
		"no problem":        {answer(503, "application/json", `{"code":"not_ready"}`), nil},
		"failure":           {answer(500, "application/problem+json", `{"code":"not_ready"}`), nil},
	} {
		asked := 0
		client := Patient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { asked++; return c.res, c.err })})
		res, err := client.Get("http://x/")
		require.Equal(t, c.err != nil, err != nil, name)
		require.Equal(t, 1, asked, name)
		if err == nil {
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Contains(t, string(text), "code", "%s: the answer is whole", name)
			require.NoError(t, res.Body.Close())
		}
	}
}

func TestPatient_doesNotRepeatABodyThatItCannotReadAgain(t *testing.T) {
	s := &restarted{back: time.Now().Add(time.Hour)}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", io.MultiReader(strings.NewReader("once")))
	require.NoError(t, err)
	_, err = Patient(&http.Client{Transport: s}).Do(r)
	require.Error(t, err)
	require.Equal(t, 1, s.asked)
}

func TestPatient_letsABoundedNumberWaitAndForgetsWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &restarted{back: time.Now().Add(time.Hour)}
		client := Patient(&http.Client{Transport: s})
		p := client.Transport.(*patient)
		p.waiting = mostWaiting
		_, err := client.Get("http://x/")
		require.Error(t, err)
		require.Equal(t, 1, s.asked)
		p.waiting = 0
		ctx, leave := context.WithTimeout(t.Context(), pause/2)
		defer leave()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/", nil)
		require.NoError(t, err)
		_, err = client.Do(r)
		require.Error(t, err)
		require.Equal(t, 2, s.asked)
		require.Zero(t, p.waiting)
	})
}
