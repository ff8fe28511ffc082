package upstream

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// A service is added, moved and removed while requests are in progress: those at its old targets complete, and no connection remains.
func TestPut_losesNoRequestUnderWay(t *testing.T) {
	set := New(Options{Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.Nil(t, set.Service("x"))
	arrived, goOn := make(chan struct{}), make(chan struct{})
	old := listen(t, func(c net.Conn, r *http.Request) bool {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-goOn
		}
		return answering(okAnswer)(c, r)
	})
	before := set.Put("x", []*url.URL{old.url()}, nil)
	require.Equal(t, "ok", mustAsk(t, before, get()))
	_, idle := before.Targets()[0].pool.count()
	require.Equal(t, 1, idle)

	answered := make(chan string)
	go func() { answered <- mustAsk(t, before, &Request{Method: "POST", Target: "/slow"}) }()
	<-arrived
	next := listen(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"))
	require.Equal(t, "new", mustAsk(t, set.Put("x", []*url.URL{next.url()}, nil), get()))
	require.Equal(t, "new", mustAsk(t, set.Service("x"), get()))
	close(goOn)
	require.Equal(t, "ok", <-answered)
	open, _ := before.Targets()[0].pool.count()
	require.Zero(t, open, "the old target keeps no connection")

	last := set.Service("x")
	set.Remove("x")
	require.Nil(t, set.Service("x"))
	open, _ = last.Targets()[0].pool.count()
	require.Zero(t, open)
	set.Remove("x") // there is none
}

// Putting a service with the same targets again keeps its connections and its health.
func TestPut_keepsAServiceWithTheSameTargets(t *testing.T) {
	set := New(Options{Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	there := listen(t, answering(okAnswer))
	made := set.Put("x", []*url.URL{there.url()}, nil)
	require.Same(t, made, set.Put("x", []*url.URL{there.url()}, nil))
	require.NotSame(t, made, set.Put("x", []*url.URL{there.url(), nobody(t)}, nil))
}

// Every connection to a service's targets uses its dial function, including health checks.
func TestPut_connectsByTheDialThatIsGiven(t *testing.T) {
	set := New(Options{Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	there := listen(t, answering(okAnswer))
	var dialled []string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = append(dialled, address)
		return new(net.Dialer).DialContext(ctx, network, there.listener.Addr().String())
	}
	s := set.Put("x", []*url.URL{{Scheme: "http", Host: "elsewhere.test:80"}}, dial)
	require.Equal(t, "ok", mustAsk(t, s, get()))
	require.NoError(t, s.Targets()[0].Connect(t.Context()))
	require.Equal(t, []string{"elsewhere.test:80", "elsewhere.test:80"}, dialled)
}
