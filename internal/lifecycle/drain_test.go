package lifecycle

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
)

// A load balancer needs a while to notice that a service is stopping. Until the listener closes, requests are answered as before.
func TestServe_answersWhileItTellsThatItIsStopping(t *testing.T) {
	c, _ := settings(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ready := make(chan struct{})
	c.Listener, c.OnReady, c.DrainDelay = listener, func() { close(ready) }, 500*time.Millisecond
	s := newService(t, c)
	s.Go("work", func(ctx context.Context) error {
		s.Started(ctx)
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, Door{Revocations: auth.NoRevocations{}, Keys: auth.StaticKeys{}, Mount: mount(s)})
	}()
	status := func(path string) (int, error) {
		answer, err := http.Get("http://" + listener.Addr().String() + s.Contract.BasePath + path)
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}
	<-ready
	cancel()
	require.Eventually(t, func() bool { return s.Ready(t.Context()) != nil }, time.Second, time.Millisecond)
	got, err := status("/ready")
	require.NoError(t, err)
	require.Equal(t, 503, got, "its peers are told")
	got, err = status("/collections")
	require.NoError(t, err)
	require.Equal(t, 401, got, "and who comes nevertheless is served: asked for a token, not sent away")
	require.NoError(t, <-ended)
}
