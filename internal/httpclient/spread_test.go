package httpclient

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// instances are the replicas of a service: the behaviour of each, by host.
type instances map[string]func(*http.Request) (*http.Response, error)

func (s instances) RoundTrip(r *http.Request) (*http.Response, error) { return s[r.URL.Host](r) }

func good(r *http.Request) (*http.Response, error) {
	if r.Host != r.URL.Host {
		return nil, errors.New("another Host than the instance's")
	}
	text := ""
	if r.Body != nil {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		text = string(raw)
	}
	return answer(200, "text/plain", r.URL.Host+text), nil
}

func refusing(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
}

func breaking(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.ReadAll(r.Body)
	}
	return nil, io.ErrUnexpectedEOF
}

func notReadyYet(*http.Request) (*http.Response, error) {
	return answer(503, "application/problem+json", `{"code":"not_ready"}`), nil
}

func spreadOver(s instances) *http.Client {
	return &http.Client{Transport: Spread(s, []*url.URL{{Scheme: "http", Host: "a"}, {Scheme: "https", Host: "b"}})}
}

func ask(t *testing.T, c *http.Client, method string, edit func(*http.Request)) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://a/x?y=1", strings.NewReader("!"))
	require.NoError(t, err)
	if edit != nil {
		edit(r)
	}
	res, err := c.Do(r)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return string(text), nil
}

func TestSpread_goesOnToTheNextWhereNothingWasDone(t *testing.T) {
	for name, bad := range map[string]func(*http.Request) (*http.Response, error){"refused": refusing, "not ready": notReadyYet} {
		c := spreadOver(instances{"a": bad, "b": good})
		for range 20 {
			text, err := ask(t, c, http.MethodPost, nil)
			require.NoError(t, err, name)
			require.Equal(t, "b!", text, "%s: with its whole body", name)
		}
	}
}

// A request that may have been executed is repeated only if that is safe, and once.
func TestSpread_repeatsWhatBrokeOnlyWhereThatDoesNoHarm(t *testing.T) {
	for name, one := range map[string]struct {
		method  string
		edit    func(*http.Request)
		repeats bool
	}{
		"GET": {http.MethodGet, nil, true}, "PUT": {http.MethodPut, nil, true}, "DELETE": {http.MethodDelete, nil, true},
		"POST": {http.MethodPost, nil, false}, "PATCH": {http.MethodPatch, nil, false}, "marked": {http.MethodPost, MayRepeat, true},
		"with a key": {http.MethodPost, func(r *http.Request) { r.Header.Set("Idempotency-Key", "k") }, true},
	} {
		asked := 0
		c := spreadOver(instances{"a": breaking, "b": func(r *http.Request) (*http.Response, error) { asked++; return good(r) }})
		s := c.Transport.(*spread)
		s.groups["b"].instances[1].pending = 1 // so that the other one is called first
		text, err := ask(t, c, one.method, one.edit)
		require.Equal(t, one.repeats, err == nil, name)
		if one.repeats {
			require.Equal(t, "b!", text, name)
			require.Equal(t, 1, asked, name)
			continue
		}
		require.Zero(t, asked, name)
	}
	both := 0
	count := func(r *http.Request) (*http.Response, error) { both++; return breaking(r) }
	_, err := ask(t, spreadOver(instances{"a": count, "b": count}), http.MethodGet, nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 2, both)
}

// An unavailable replica gets a single call now and then, and its share again when it is back.
func TestSpread_leavesOneThatIsAwayAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		back := time.Now().Add(time.Minute)
		c := spreadOver(instances{"b": good, "a": func(r *http.Request) (*http.Response, error) {
			asked++
			if time.Now().Before(back) {
				return refusing(r)
			}
			return good(r)
		}})
		for range 60 {
			for range 10 {
				text, err := ask(t, c, http.MethodPost, nil)
				require.NoError(t, err)
				require.Equal(t, "b!", text)
			}
			time.Sleep(time.Second)
		}
		require.Positive(t, asked)
		require.LessOrEqual(t, asked, 31)
		time.Sleep(avoidFor)
		before := asked
		for range 100 {
			_, err := ask(t, c, http.MethodPost, nil)
			require.NoError(t, err)
		}
		require.Greater(t, asked, before+20)
	})
}

func TestSpread_leavesOtherServicesAlone(t *testing.T) {
	c := &http.Client{Transport: Spread(instances{"a": good, "b": good}, []*url.URL{{Scheme: "http", Host: "a"}})}
	text, err := ask(t, c, http.MethodPost, nil)
	require.NoError(t, err)
	require.Equal(t, "a!", text)
	require.Empty(t, c.Transport.(*spread).groups, "one address needs no choice")
}

// When all replicas are unavailable the caller gets an error, and a patient client waits for the first one that is back.
func TestSpread_tellsThatNobodyIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := ask(t, spreadOver(instances{"a": refusing, "b": refusing}), http.MethodPost, nil)
		require.ErrorContains(t, err, "connection refused")
		back := time.Now().Add(3 * time.Second)
		c := Patient(spreadOver(instances{"a": refusing, "b": func(r *http.Request) (*http.Response, error) {
			if time.Now().Before(back) {
				return refusing(r)
			}
			return good(r)
		}}))
		text, err := ask(t, c, http.MethodPost, nil)
		require.NoError(t, err)
		require.Equal(t, "b!", text)
	})
}
