package chaos

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// cable is a TCP proxy to a server that can be cut: then every connection ends and none is accepted.
type cable struct {
	t        *testing.T
	to, at   string
	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	c := &cable{t: t, to: to, at: "127.0.0.1:0"}
	c.mend()
	t.Cleanup(c.cut)
	return c
}

// mend accepts connections again, at the same address.
func (c *cable) mend() {
	c.t.Helper()
	l, err := net.Listen("tcp", c.at)
	require.NoError(c.t, err)
	c.listener, c.at = l, l.Addr().String()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // it was cut
			}
			go c.join(in)
		}
	}()
}

func (c *cable) join(in net.Conn) {
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		in.Close()
		return
	}
	c.mu.Lock()
	c.conns = append(c.conns, in, out)
	c.mu.Unlock()
	go func() {
		_, _ = io.Copy(out, in) // until one side is closed
		out.Close()
	}()
	_, _ = io.Copy(in, out)
	in.Close()
}

func (c *cable) cut() {
	c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// Every service on a PostgreSQL that is unavailable, each in a process of its own, reports it within two seconds plus
// what the machine needs. It is ready again when the database is back, without a restart.
func TestReadiness_saysThatPostgreSQLIsAway(t *testing.T) {
	if harness.IsGiven() {
		givenDatabaseAway(t)
		return
	}
	var line *cable
	h := newHouseholdWith(t, func(word string) []string {
		if word == "gateway" {
			return nil
		}
		database, err := url.Parse(harness.Postgres(t))
		require.NoError(t, err)
		if line == nil {
			line = newCable(t, database.Host)
		}
		database.Host = line.at
		settings := []string{"DATABASE_URL_FILE=" + write(t, database.String())}
		if word == "kms" { // on PostgreSQL it creates no root key
			settings = append(settings, "ROOT_KEY_FILE="+rootKey(t))
		}
		return settings
	})
	kept := map[string]string{}
	for word, part := range h.parts {
		kept[word] = part.url
	}
	gateway := kept["gateway"]
	delete(kept, "gateway")
	watch := harness.WatchReadiness(t, kept)
	began := time.Now()
	line.cut()
	said := watch.Until(http.StatusServiceUnavailable, began)
	status, _ := harness.Readiness(t, gateway, "gateway")
	t.Logf("the gateway answered %d when all the others were not ready", status)
	began = time.Now()
	line.mend()
	over := watch.Until(http.StatusOK, began)
	harness.LogReadiness(t, "PostgreSQL away", said, over)
	_, err := h.admin.KMS.ListUsers(t.Context(), nil)
	require.NoError(t, err)
}

// givenDatabaseAway kills the database of a given family and asks its services through the front.
func givenDatabaseAway(t *testing.T) {
	h, databases := givenHousehold(t, "postgres")
	watch := harness.WatchReadiness(t, map[string]string{"kms": h.gateway, "twofactor": h.gateway, "search": h.gateway, "sequence": h.gateway})
	began := time.Now()
	databases[0].kill()
	said := watch.Until(http.StatusServiceUnavailable, began)
	databases[0].start()
	over := watch.Until(http.StatusOK, time.Now())
	harness.LogReadiness(t, "PostgreSQL away", said, over)
	_, err := h.admin.KMS.ListUsers(t.Context(), nil)
	require.NoError(t, err)
}

func rootKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.key")
	out, err := exec.Command(harness.Binary(t), "keygen", path).CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}
