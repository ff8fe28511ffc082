package egress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// answers are a resolver's answers for each name: one list after the other, and the last one repeatedly.
type answers struct {
	mu    sync.Mutex
	lists map[string][][]string
	asked []string
}

func (a *answers) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, name)
	lists := a.lists[name]
	if len(lists) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	if len(lists) > 1 {
		a.lists[name] = lists[1:]
	}
	var out []netip.Addr
	for _, text := range lists[0] {
		out = append(out, netip.MustParseAddr(text))
	}
	return out, nil
}

func says(names map[string][]string) *answers {
	a := &answers{lists: map[string][][]string{}}
	for name, list := range names {
		a.lists[name] = [][]string{list}
	}
	return a
}

func policy(t *testing.T, allow, deny []string, resolver Resolver) *Policy {
	t.Helper()
	p, err := New(Options{Purpose: "test", Allow: allow, Deny: deny, Resolver: resolver, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	return p
}

// trap listens on loopback, at 127.0.0.1 and, if available, at ::1, and counts connections.
type trap struct {
	port  string
	mu    sync.Mutex
	count int
}

func (tr *trap) caught() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.count
}

func setTrap(t *testing.T) *trap {
	t.Helper()
	tr := &trap{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tr.mu.Lock()
		tr.count++
		tr.mu.Unlock()
		_, _ = io.WriteString(w, "secret")
	}))
	t.Cleanup(server.Close)
	_, tr.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	return tr
}

// tricks are attempts to reach an address that is not listed. PORT is that of the trap, which listens on loopback.
var tricks = []struct {
	name    string
	allow   []string
	deny    []string
	answers map[string][]string
	target  string // URL
	reason  string
}{
	{"an empty list", nil, nil, nil, "http://127.0.0.1:PORT", Special},
	{"an empty list and a name", nil, nil, map[string][]string{"a.example": {"127.0.0.1"}}, "http://a.example:PORT", Unlisted},
	{"another name", []string{"a.example:PORT"}, nil, map[string][]string{"b.example": {"127.0.0.1"}}, "http://b.example:PORT", Unlisted},
	{"a name below a listed one", []string{"a.example:PORT"}, nil, map[string][]string{"x.a.example": {"127.0.0.1"}}, "http://x.a.example:PORT", Unlisted},
	{"a listed name as the beginning of another", []string{"a.example:PORT"}, nil, map[string][]string{"a.example.evil.test": {"127.0.0.1"}}, "http://a.example.evil.test:PORT", Unlisted},
	{"another port of a listed name", []string{"a.example:1"}, nil, map[string][]string{"a.example": {"127.0.0.1"}}, "http://a.example:PORT", Unlisted},
	{"a listed name on loopback", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"127.0.0.1"}}, "http://a.example:PORT", Special},
	{"a listed name on loopback of IPv6", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"::1"}}, "http://a.example:PORT", Special},
	{"a listed name at a mapped address", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"::ffff:127.0.0.1"}}, "http://a.example:PORT", Special},
	{"a listed name at the unspecified address", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"0.0.0.0"}}, "http://a.example:PORT", Special},
	{"a listed name at the unspecified address of IPv6", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"::"}}, "http://a.example:PORT", Special},
	{"a listed name at the metadata service", []string{"a.example:80"}, nil, map[string][]string{"a.example": {"169.254.169.254"}}, "http://a.example:80", Special},
	{"a listed name in a private network", []string{"a.example:80"}, nil, map[string][]string{"a.example": {"10.1.2.3"}}, "http://a.example:80", Special},
	{"a listed name in a unique local network", []string{"a.example:80"}, nil, map[string][]string{"a.example": {"fd00::1"}}, "http://a.example:80", Special},
	{"a listed name at an address of NAT64", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"64:ff9b::7f00:1"}}, "http://a.example:PORT", Special},
	{"a listed name at an address of 6to4", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"2002:7f00:1::1"}}, "http://a.example:PORT", Special},
	{"a listed name at a compatible address", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"::7f00:1"}}, "http://a.example:PORT", Special},
	{"a listed name at an address of Teredo", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"2001:0:7f00:1::1"}}, "http://a.example:PORT", Special},
	{"a listed name outside its CIDR", []string{"a.example:PORT@10.0.0.0/8"}, nil, map[string][]string{"a.example": {"127.0.0.1"}}, "http://a.example:PORT", Special},
	{"a listed name, all of whose addresses are refused", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"127.0.0.1", "::1", "10.0.0.1"}}, "http://a.example:PORT", Special},
	{"a listed name at an address with a zone", []string{"a.example:PORT"}, nil, map[string][]string{"a.example": {"::1%lo", "fe80::1%1"}}, "http://a.example:PORT", Special},
	{"a listed name at the address of another", []string{"a.example:PORT@10.0.0.0/8", "b.example:PORT@127.0.0.0/8"}, nil, map[string][]string{"a.example": {"127.0.0.1"}}, "http://a.example:PORT", Special},
	{"localhost in a list of others", []string{"a.example:PORT"}, nil, map[string][]string{"localhost": {"127.0.0.1"}}, "http://localhost:PORT", Unlisted},
	{"localhost at another address", []string{"localhost:80"}, nil, map[string][]string{"localhost": {"169.254.169.254"}}, "http://localhost:80", Special},
	{"everything is not loopback", []string{"0.0.0.0/0", "::/0"}, nil, nil, "http://127.0.0.1:PORT", Special},
	{"everything is not loopback of IPv6", []string{"0.0.0.0/0", "::/0"}, nil, nil, "http://[::1]:PORT", Special},
	{"everything is not the metadata service", []string{"0.0.0.0/0", "::/0"}, nil, nil, "http://169.254.169.254:80", Special},
	{"everything is not private", []string{"0.0.0.0/0", "::/0"}, nil, nil, "http://192.168.0.1:80", Special},
	{"a private network is not the metadata service in it", []string{"fc00::/7"}, nil, nil, "http://[fd00:ec2::254]:80", Special},
	{"a shared network is not the metadata service in it", []string{"100.64.0.0/10"}, nil, nil, "http://100.100.100.200:80", Special},
	{"an address beside the CIDR", []string{"127.0.0.2/31"}, nil, nil, "http://127.0.0.1:PORT", Special},
	{"another port of a CIDR", []string{"127.0.0.0/8:1"}, nil, nil, "http://127.0.0.1:PORT", Special},
	{"a port behind a range", []string{"127.0.0.0/8:1-2"}, nil, nil, "http://127.0.0.1:PORT", Special},
	{"the unspecified address", []string{"127.0.0.0/8", "0.0.0.0/0"}, nil, nil, "http://0.0.0.0:PORT", Special},
	{"the unspecified address of IPv6", []string{"127.0.0.0/8", "::/0"}, nil, nil, "http://[::]:PORT", Special},
	{"multicast", []string{"0.0.0.0/0"}, nil, nil, "http://224.0.0.1:80", Special},
	{"broadcast", []string{"0.0.0.0/0", "240.0.0.0/4"}, nil, nil, "http://255.255.255.255:80", Special},
	{"a listener of the family", []string{"127.0.0.0/8"}, []string{"127.0.0.1:PORT"}, nil, "http://127.0.0.1:PORT", Denied},
	{"a listener of the family, by a name", []string{"127.0.0.0/8"}, []string{"127.0.0.1:PORT"}, map[string][]string{"a.example": {"127.0.0.1"}}, "http://a.example:PORT", Denied},
	{"a listener of the family, by a mapped address", []string{"127.0.0.0/8"}, []string{"127.0.0.1:PORT"}, map[string][]string{"a.example": {"::ffff:127.0.0.1"}}, "http://a.example:PORT", Denied},
	{"a listener of the family at all addresses", []string{"127.0.0.0/8"}, []string{"0.0.0.0:PORT"}, nil, "http://127.0.0.1:PORT", Denied},
	{"a listener of the family at all addresses of IPv6", []string{"127.0.0.0/8"}, []string{"[::]:PORT"}, nil, "http://127.9.9.9:PORT", Denied},
	{"a listener of the family without a host", []string{"127.0.0.0/8"}, []string{":PORT"}, nil, "http://127.0.0.1:PORT", Denied},
	{"a listener of the family in another form", []string{"127.0.0.0/8"}, []string{"[::ffff:127.0.0.1]:PORT"}, nil, "http://127.0.0.1:PORT", Denied},
	{"a store of the family, named with a dot", []string{"store:PORT@127.0.0.0/8"}, []string{"Store.:PORT"}, map[string][]string{"store": {"127.0.0.1"}}, "http://store:PORT", Denied},
	{"a store of the family, by its own name", []string{"store:PORT@127.0.0.0/8"}, []string{"store:PORT"}, map[string][]string{"store": {"127.0.0.1"}}, "http://store:PORT", Denied},
	{"a store of the family, by its own name in capitals", []string{"store:PORT@127.0.0.0/8"}, []string{"store:PORT"}, map[string][]string{"store": {"127.0.0.1"}}, "http://STORE:PORT", Denied},
	{"a store of the family, by another name", []string{"a.example:PORT@127.0.0.0/8"}, []string{"store:PORT"}, map[string][]string{"a.example": {"127.0.0.1"}, "store": {"127.0.0.1"}}, "http://a.example:PORT", Denied},
	{"a store of the family, by its address", []string{"127.0.0.0/8"}, []string{"store:PORT"}, map[string][]string{"store": {"::ffff:127.0.0.1"}}, "http://127.0.0.1:PORT", Denied},
	{"a decimal number", []string{"0.0.0.0/0", "127.0.0.0/8"}, nil, nil, "http://2130706433:PORT", Malformed},
	{"a hexadecimal number", []string{"127.0.0.0/8"}, nil, nil, "http://0x7f000001:PORT", Malformed},
	{"hexadecimal parts", []string{"127.0.0.0/8"}, nil, nil, "http://0x7f.0.0.1:PORT", Malformed},
	{"a hexadecimal part at the end", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.0x1:PORT", Malformed},
	{"an octal number", []string{"127.0.0.0/8"}, nil, nil, "http://017700000001:PORT", Malformed},
	{"octal parts", []string{"127.0.0.0/8"}, nil, nil, "http://0177.0.0.1:PORT", Malformed},
	{"two parts", []string{"127.0.0.0/8"}, nil, nil, "http://127.1:PORT", Malformed},
	{"three parts", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.1:PORT", Malformed},
	{"zero alone", []string{"127.0.0.0/8"}, nil, nil, "http://0:PORT", Malformed},
	{"a number that overflows", []string{"127.0.0.0/8"}, nil, nil, "http://256.0.0.1:PORT", Malformed},
	{"an address with a dot at its end", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.1.:PORT", Malformed},
	{"full-width digits", []string{"127.0.0.0/8"}, nil, nil, "http://１２７.０.０.１:PORT", Malformed},
	{"circled digits", []string{"127.0.0.0/8"}, nil, nil, "http://①②⑦.⓪.⓪.①:PORT", Malformed},
	{"ideographic full stops", []string{"127.0.0.0/8"}, nil, nil, "http://127。0。0。1:PORT", Malformed},
	{"percent-encoding", []string{"127.0.0.0/8"}, nil, nil, "http://%31%32%37.0.0.1:PORT", Malformed},
	{"a mapped address", []string{"127.0.0.0/8"}, nil, nil, "http://[::ffff:127.0.0.1]:PORT", Malformed},
	{"a mapped address in hexadecimal", []string{"127.0.0.0/8"}, nil, nil, "http://[::ffff:7f00:1]:PORT", Malformed},
	{"a compatible address", []string{"127.0.0.0/8", "::/0"}, nil, nil, "http://[::7f00:1]:PORT", Special},
	{"a translated address", []string{"127.0.0.0/8", "::/0"}, nil, nil, "http://[::ffff:0:7f00:1]:PORT", Special},
	{"an address of NAT64", []string{"127.0.0.0/8", "::/0"}, nil, nil, "http://[64:ff9b::7f00:1]:PORT", Special},
	{"an address of local NAT64", []string{"127.0.0.0/8", "::/0"}, nil, nil, "http://[64:ff9b:1::7f00:1]:PORT", Special},
	{"an address of 6to4", []string{"127.0.0.0/8", "::/0"}, nil, nil, "http://[2002:7f00:1::1]:PORT", Special},
	{"a zone", []string{"fe80::/10"}, nil, nil, "http://[fe80::1%25lo]:PORT", Malformed},
	{"a bare zone", []string{"::1/128"}, nil, nil, "http://[::1%lo]:PORT", Malformed},
	{"long zeros of IPv6", []string{"::1/128"}, nil, nil, "http://[0:0:0:0:0:0:0:1]:PORT", Malformed},
	{"IPv4 in brackets", []string{"127.0.0.0/8"}, nil, nil, "http://[127.0.0.1]:PORT", Malformed},
	{"two pairs of brackets", []string{"::1/128"}, nil, nil, "http://[[::1]]:PORT", Malformed},
	{"something behind the brackets", []string{"a.example:PORT", "::1/128"}, nil, nil, "http://[::1].a.example:PORT", Malformed},
	{"a user that looks like the host", []string{"a.example:PORT"}, nil, nil, "http://a.example:PORT@127.0.0.1:PORT", Malformed},
	{"a fragment before the user", []string{"a.example:PORT"}, nil, nil, "http://127.0.0.1:PORT#@a.example:PORT", Malformed},
	{"a backslash before the user", []string{"a.example:PORT"}, nil, nil, `http://127.0.0.1:PORT\@a.example:PORT`, Malformed},
	{"a query", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.1:PORT?x", Malformed},
	{"a path", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.1:PORT/admin", Malformed},
	{"two ports", []string{"a.example:80"}, nil, nil, "http://a.example:80:PORT", Malformed},
	{"no port", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.1", Malformed},
	{"port zero", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.1:0", Malformed},
	{"a port that overflows", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.1:65616", Malformed},
	{"a signed port", []string{"127.0.0.0/8"}, nil, nil, "http://127.0.0.1:+80", Malformed},
	{"a listed name with a dot at its end", []string{"a.example:PORT"}, nil, map[string][]string{"a.example.": {"127.0.0.1"}}, "http://a.example.:PORT", Malformed},
	{"a name that looks like a listed one", []string{"a.example:PORT"}, nil, nil, "http://а.example:PORT", Malformed},
	{"a NUL byte", []string{"a.example:PORT"}, nil, nil, "http://127.0.0.1\x00.a.example:PORT", Malformed},
	{"a line end", []string{"a.example:PORT"}, nil, nil, "http://a.example\r\n:PORT", Malformed},
	{"a space", []string{"127.0.0.0/8"}, nil, nil, "http:// 127.0.0.1:PORT", Malformed},
	{"an empty host", []string{"127.0.0.0/8"}, nil, nil, "http://:PORT", Malformed},
	{"another scheme", []string{"127.0.0.0/8"}, nil, nil, "gopher://127.0.0.1:PORT", Malformed},
	{"a file", []string{"127.0.0.0/8"}, nil, nil, "file:///etc/passwd", Malformed},
	{"a scheme without slashes", []string{"127.0.0.0/8"}, nil, nil, "http:127.0.0.1:PORT", Malformed},
	{"a socket", []string{"127.0.0.0/8"}, nil, nil, "unix:///run/x.sock", Malformed},
}

func reasonOf(t *testing.T, err error) string {
	t.Helper()
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	return refused.Reason
}

// No trick passes both checks. The second check sees what the first one can't know, and does not depend on the first.
func TestPolicy_refusesEveryTrick(t *testing.T) {
	tr := setTrap(t)
	withPort := func(list []string) []string {
		var out []string
		for _, s := range list {
			out = append(out, strings.ReplaceAll(s, "PORT", tr.port))
		}
		return out
	}
	require.GreaterOrEqual(t, len(tricks), 40)
	for _, trick := range tricks {
		t.Run(trick.name, func(t *testing.T) {
			target := strings.ReplaceAll(trick.target, "PORT", tr.port)
			p := policy(t, withPort(trick.allow), withPort(trick.deny), says(trick.answers))
			u, err := p.CheckURL(t.Context(), target)
			if err == nil {
				client, clientErr := p.Client("", time.Minute, nil)
				require.NoError(t, clientErr)
				var res *http.Response
				if res, err = client.Get(u.String()); err == nil {
					_ = res.Body.Close()
				}
			}
			require.Equal(t, trick.reason, reasonOf(t, err))

			// Without the first check: a target that it refuses by its form is not an address either, or is another address, which is judged by itself.
			if address, ok := strings.CutPrefix(target, "http://"); ok {
				_, err := p.DialContext(t.Context(), "tcp", address)
				reasonOf(t, err)
			}
		})
	}
	require.Zero(t, tr.caught())
}

func TestPolicy_seesThroughRebinding(t *testing.T) {
	tr := setTrap(t)
	resolver := &answers{lists: map[string][][]string{"a.example": {{"192.0.2.1"}, {"127.0.0.1"}}}}
	p := policy(t, []string{"a.example:" + tr.port + "@192.0.2.0/24"}, nil, resolver)
	_, err := p.CheckURL(t.Context(), "http://a.example:"+tr.port)
	require.NoError(t, err)
	addrs, err := resolver.LookupNetIP(t.Context(), "ip", "a.example") // what a check by name would see
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1", addrs[0].String())
	for range 3 {
		_, err = p.DialContext(t.Context(), "tcp", "a.example:"+tr.port)
		require.Equal(t, Special, reasonOf(t, err))
	}
	require.Zero(t, tr.caught())
}

// A name of the family is refused as a name: it may resolve to another address for the check than for the connection.
func TestPolicy_refusesNamesOfTheFamilyUnresolved(t *testing.T) {
	tr := setTrap(t)
	resolver := &answers{lists: map[string][][]string{"store": {{"127.0.0.1"}, {"10.0.0.1"}}}}
	p := policy(t, []string{"127.0.0.0/8"}, []string{"store:" + tr.port}, resolver)
	_, err := p.DialContext(t.Context(), "tcp", "store:"+tr.port)
	require.Equal(t, Denied, reasonOf(t, err))
	require.Empty(t, resolver.asked)
	require.Zero(t, tr.caught())
}

// The same verdict holds if the system connects to the address as IPv6.
func TestPolicy_judgesMappedAddressesAsThoseOfIPv4(t *testing.T) {
	mapped := netip.MustParseAddrPort("[::ffff:127.0.0.1]:80")
	p := policy(t, []string{"a.example:80", "127.0.0.0/8"}, []string{"127.0.0.1:80"}, nil)
	require.Equal(t, errDenied, p.judge(t.Context(), "a.example", mapped))
	require.NoError(t, policy(t, []string{"127.0.0.0/8"}, nil, nil).judge(t.Context(), "", mapped))
	require.Equal(t, errSpecial, policy(t, []string{"a.example:80"}, nil, nil).judge(t.Context(), "a.example", mapped))
}

func TestPolicy_asksNothingForNamesThatNoEntryAllows(t *testing.T) {
	resolver := says(nil)
	p := policy(t, []string{"a.example:443"}, nil, resolver)
	_, err := p.DialContext(t.Context(), "tcp", "data-to-take-out.evil.test:443")
	require.Equal(t, Unlisted, reasonOf(t, err))
	require.Empty(t, resolver.asked)
}

func TestPolicy_refusesWhenItCannotTellTheFamilysAddresses(t *testing.T) {
	tr := setTrap(t)
	p := policy(t, []string{"127.0.0.0/8"}, []string{"store:" + tr.port}, says(nil)) // store does not resolve
	_, err := p.DialContext(t.Context(), "tcp", "127.0.0.1:"+tr.port)
	require.ErrorContains(t, err, "resolve a name of the family")
	require.Zero(t, tr.caught())
}

func TestPolicy_connectsToWhatIsAllowed(t *testing.T) {
	for _, honest := range []struct {
		name    string
		allow   []string
		answers map[string][]string
		host    string
	}{
		{"an address", []string{"127.0.0.1:PORT"}, nil, "127.0.0.1"},
		{"a CIDR", []string{"127.0.0.0/8"}, nil, "127.0.0.1"},
		{"a CIDR with a port", []string{"10.0.0.0/8", "127.0.0.0/8:PORT"}, nil, "127.0.0.1"},
		{"a CIDR with a range of ports", []string{"127.0.0.0/8:1024-65535"}, nil, "127.0.0.1"},
		{"a name with its CIDR", []string{"notes_api:PORT@127.0.0.0/8"}, map[string][]string{"notes_api": {"127.0.0.1"}}, "notes_api"},
		{"a name in capitals", []string{"Notes:PORT@127.0.0.0/8"}, map[string][]string{"notes": {"127.0.0.1"}}, "nOTES"},
		{"localhost", []string{"localhost:PORT"}, map[string][]string{"localhost": {"127.0.0.1"}}, "localhost"},
		{"any name within a CIDR", []string{"127.0.0.0/8"}, map[string][]string{"notes": {"127.0.0.1"}}, "notes"},
		{"a mapped address", []string{"127.0.0.0/8"}, map[string][]string{"notes": {"::ffff:127.0.0.1"}}, "notes"},
		{"a name with a refused address beside", []string{"127.0.0.0/8"}, map[string][]string{"notes": {"169.254.169.254", "127.0.0.1"}}, "notes"},
		{"a name of which one address does not answer", []string{"127.0.0.0/8"}, map[string][]string{"notes": {"127.0.0.9", "127.0.0.1"}}, "notes"},
	} {
		t.Run(honest.name, func(t *testing.T) {
			tr := setTrap(t)
			var allow []string
			for _, entry := range honest.allow {
				allow = append(allow, strings.ReplaceAll(entry, "PORT", tr.port))
			}
			p := policy(t, allow, []string{"127.0.0.1:1", "[::]:2", "store:3"}, says(honest.answers))
			u, err := p.CheckURL(t.Context(), "http://"+honest.host+":"+tr.port+"/")
			require.NoError(t, err)
			client, err := p.Client("", time.Minute, nil)
			require.NoError(t, err)
			res, err := client.Get(u.String())
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, 1, tr.caught())
		})
	}
}

// No listener has these addresses, so the decision is tested without a connection.
func TestPolicy_allowsAddressesOfItsEntries(t *testing.T) {
	for _, honest := range []struct{ entry, name, address string }{
		{"api.example.com:443", "api.example.com", "93.184.216.34:443"},
		{"api.example.com:443", "api.example.com", "[2606:2800:220:1::1]:443"},
		{"api.example.com:8000-8010", "api.example.com", "93.184.216.34:8010"},
		{"api.example.com:443@10.0.0.0/8", "api.example.com", "10.255.255.255:443"},
		{"localhost:80", "localhost", "[::1]:80"},
		{"api.localhost:80", "api.localhost", "127.0.0.1:80"},
		{"0.0.0.0/0", "", "93.184.216.34:1"},
		{"0.0.0.0/0", "any.example", "93.184.216.34:65535"},
		{"::/0", "", "[2606:2800:220:1::1]:443"},
		{"10.0.0.0/8:8080", "", "10.1.2.3:8080"},
		{"10.1.2.3/32", "", "10.1.2.3:8080"},
		{"fd00::/8", "", "[fd00::1]:8080"},
		{"[fd00::/8]:8080", "", "[fd00::1]:8080"},
		{"[::1]:9000", "", "[::1]:9000"},
		{"100.64.0.0/10", "", "100.64.0.1:80"},
		{"169.254.169.254/32:80", "", "169.254.169.254:80"}, // it is named
		{"64:ff9b::a00:5/128", "", "[64:ff9b::a00:5]:80"},
		{"192.0.2.0/24", "", "192.0.2.7:80"},
	} {
		p := policy(t, []string{honest.entry}, nil, says(nil))
		require.NoError(t, p.judge(t.Context(), honest.name, netip.MustParseAddrPort(honest.address)), "%s: %s", honest.entry, honest.address)
	}
}

func TestClient_followsNoRedirect(t *testing.T) {
	tr := setTrap(t)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:"+tr.port)
	t.Setenv("http_proxy", "http://127.0.0.1:"+tr.port)
	for _, status := range []int{301, 302, 303, 307, 308} {
		front := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:"+tr.port+"/", status))
		p := policy(t, []string{"127.0.0.0/8"}, nil, nil)
		client, err := p.Client("", time.Minute, nil)
		require.NoError(t, err)
		res, err := client.Get(front.URL)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode)
		front.Close()
	}
	require.Zero(t, tr.caught())
}

func TestPolicy_countsAndLogsRefusals(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	p, err := New(Options{
		Purpose: "upstream", Allow: []string{"notes:80"}, Deny: []string{"10.0.0.9:80"}, Resolver: says(map[string][]string{"notes": {"10.0.0.1"}}),
		Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry,
	})
	require.NoError(t, err)
	_, err = p.DialContext(t.Context(), "tcp", "notes:80")
	require.NotContains(t, err.Error(), "10.0.0.1")
	require.NotContains(t, err.Error(), "notes")
	_, err = p.CheckURL(t.Context(), "http://10.0.0.9:80")
	require.NotContains(t, err.Error(), "10.0.0.9")
	_, err = p.CheckURL(t.Context(), "http://user:password@notes:80")
	require.Error(t, err)
	_, err = p.DialContext(t.Context(), "unix", "/run/x.sock")
	require.Error(t, err)
	require.Equal(t, 4, strings.Count(log.String(), "\n"), log.String())
	require.Contains(t, log.String(), "reason=special target=notes:80 address=10.0.0.1:80")
	require.Contains(t, log.String(), "reason=denied target=10.0.0.9:80")
	require.NotContains(t, log.String(), "password")
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP fountain_egress_refused_total Targets that were not connected to, by reason: malformed, unlisted, special or denied.
# TYPE fountain_egress_refused_total counter
fountain_egress_refused_total{purpose="upstream",reason="denied"} 1
fountain_egress_refused_total{purpose="upstream",reason="malformed"} 2
fountain_egress_refused_total{purpose="upstream",reason="special"} 1
fountain_egress_refused_total{purpose="upstream",reason="unlisted"} 0
`)))
}

func TestNew_refusesFaultyEntriesByTheirPlace(t *testing.T) {
	for _, entry := range []string{
		"", "*", "*:80", "*.example.com:443", "notes", "notes:", "notes:0", "notes:80-", "notes:90-80", "notes:http", "notes.:80", "-notes:80", "no tes:80",
		"http://notes:80", "notes:80/path", "bücher.example:80", "10.0.0.1", "10.0.0.1:80@10.0.0.0/8", "010.0.0.1:80", "10.1:80", "0x0a.0.0.1:80",
		"10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:0", "10.0.0.0/8:", "10.0.0.0/8@10.0.0.0/8", "10.0.0.0/08", "::ffff:10.0.0.0/104", "::1:80", "[::1]", "[::1]:0",
		"[10.0.0.1]:80", "[10.0.0.0/8]:80", "fd00::/8:80", "[fd00::/8]", "fd00::1/8", "FD00::/8", "[fe80::1%lo]:80", "notes:80@", "notes:80@10.0.0.1", "notes:80@10.0.0.0/8@x",
		"0.0.0.0:80", "[::]:80", "224.0.0.0/4", "239.1.2.3:80", "ff02::1/128", "255.255.255.255/32", "0.0.0.0/8", strings.Repeat("a", 64) + ":80", strings.Repeat("a.", 200) + "a:80",
	} {
		err := Options{Allow: []string{"10.0.0.0/8", entry}}.Validate()
		require.Error(t, err, entry)
		require.Equal(t, Malformed, reasonOf(t, err), entry)
		require.True(t, strings.HasPrefix(err.Error(), "entry 2: "), "%s: %v", entry, err)
		if len(entry) > 4 && !strings.Contains("10.0.0.0/8:8080", entry) {
			require.NotContains(t, err.Error(), entry)
		}
	}
	require.Error(t, Options{Allow: make([]string, maxEntries+1)}.Validate())
	for _, entry := range []string{"127.0.0.1", "127.0.0.1:65536", "127.0.0.1:no-such-service"} {
		require.ErrorContains(t, Options{Deny: []string{"127.0.0.1:80", entry}}.Validate(), "denied address 2", entry)
	}
	require.NoError(t, Options{Deny: []string{"127.0.0.1:0", ":80", "[0:0::1]:80", "service_a:8000"}}.Validate())
	registry := prometheus.NewRegistry()
	_, err := New(Options{Purpose: "a", Log: slog.Default(), Registerer: registry})
	require.NoError(t, err)
	_, err = New(Options{Purpose: "a", Log: slog.Default(), Registerer: registry})
	require.True(t, errors.As(err, &prometheus.AlreadyRegisteredError{}))
}

func TestPolicy_deniesThisMachinesOtherAddresses(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addrs {
		own, _ := netip.AddrFromSlice(a.(*net.IPNet).IP)
		own = own.Unmap()
		if own.IsLinkLocalUnicast() {
			continue
		}
		p := policy(t, []string{netip.PrefixFrom(own, own.BitLen()).String()}, []string{"0.0.0.0:7"}, nil)
		require.Equal(t, errDenied, p.judge(t.Context(), "", netip.AddrPortFrom(own, 7)), own)
		require.NoError(t, p.judge(t.Context(), "", netip.AddrPortFrom(own, 8)), own)
	}
}
