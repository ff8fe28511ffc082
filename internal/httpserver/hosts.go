package httpserver

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/internal/problem"
)

// Hosts are the names of a server. A request for another name is misdirected: by a wrongly configured proxy, or by a page whose name was rebound to
// this address (DNS rebinding). Loopback names are always accepted. A nil *Hosts accepts every name.
type Hosts struct {
	names map[string]bool
	anyIP bool // any IP address is accepted, too
}

// NewHosts returns the hosts with these names: each a host, a host with a port, or a URL. The port is ignored.
func NewHosts(anyIP bool, names ...string) *Hosts {
	h := &Hosts{names: map[string]bool{}, anyIP: anyIP}
	for _, name := range names {
		if name = Hostname(name); name != "" {
			h.names[name] = true
		}
	}
	return h
}

// Hostname returns the host in a host, a host with a port, or a URL, normalized for comparison: in lower case, without port, brackets and final dot.
func Hostname(name string) string {
	if u, err := url.Parse(name); err == nil && u.Host != "" {
		name = u.Host
	}
	return hostname(name)
}

// hostname returns the name of a Host header without its port, its brackets and the final dot, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// calling is how a request addresses the server.
type calling int

const (
	byName    calling = iota + 1 // one of its own
	byAddress                    // an address, or no name at all (HTTP/1.0), as in health checks
	byOther
)

func (h *Hosts) calling(host string) calling {
	if h == nil {
		return byName
	}
	name := hostname(host)
	if h.names[name] || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return byName
	}
	ip, err := netip.ParseAddr(name)
	switch {
	case err == nil && (ip.Unmap().IsLoopback() || h.anyIP):
		return byName
	case err == nil || name == "":
		return byAddress
	}
	return byOther
}

func misdirected() error {
	return problem.New(problem.Misdirected, "This server does not serve this Host. If it should, add the name to its hosts.")
}
