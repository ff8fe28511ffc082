package egress

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// A valid entry allows neither an address that no entry may allow, nor one in a range that it does not name.
func FuzzParseRule(f *testing.F) {
	for _, seed := range []string{
		"notes:80", "notes:80-90@10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8:8080", "[::1]:9000", "[fd00::/8]:1-2", "0.0.0.0/0", "::/0", "localhost:80", "[::1%lo]:80",
		"0x7f.1:80", "a@b@c", "[", "]:", "/:", "@", ":", "-",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		r, err := parseRule(entry)
		if err != nil {
			if reason := reasonOf(t, err); reason != Malformed {
				t.Fatalf("%q is refused as %s", entry, reason)
			}
			return
		}
		p := &Policy{rules: []rule{r}}
		for _, address := range []string{"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"} {
			if p.judge(t.Context(), r.name, netip.AddrPortFrom(netip.MustParseAddr(address), r.ports.from)) == nil {
				t.Fatalf("%q allows %s", entry, address)
			}
		}
		if r.ports.from == 0 || r.ports.to < r.ports.from {
			t.Fatalf("%q allows ports %v", entry, r.ports)
		}
		for _, address := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1", "64:ff9b::7f00:1"} {
			addr := netip.MustParseAddr(address)
			if !r.allows(r.name, netip.AddrPortFrom(addr, r.ports.from)) {
				continue
			}
			named := isLocalhost(r.name)
			for _, cidr := range r.scope {
				named = named || cidr.Bits() >= rangeOf(addr).Bits() && cidr.Contains(addr)
			}
			if !named {
				t.Fatalf("%q allows %s, and does not name its range", entry, address)
			}
		}
	})
}

// net/url and net read a valid target as the same host and port.
func FuzzParseURL(f *testing.F) {
	for _, trick := range tricks {
		f.Add(strings.ReplaceAll(trick.target, "PORT", "80"))
	}
	f.Add("https://[2001:db8::1]:443/")
	f.Fuzz(func(t *testing.T, raw string) {
		scheme, h, port, err := parseURL(raw)
		if err != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != scheme || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q is read as %#v: %v", raw, u, err)
		}
		again, againPort, err := parseHostPort(u.Host)
		if err != nil || again != h || againPort != port {
			t.Fatalf("%q: the host is %v:%d, and then %v:%d: %v", raw, h, port, again, againPort, err)
		}
		host, _, err := net.SplitHostPort(h.text() + ":80")
		if err != nil {
			t.Fatal(err)
		}
		if addr, err := netip.ParseAddr(host); (err == nil) != (h.name == "") || err == nil && addr != h.addr {
			t.Fatalf("%q: %v is read as %v", raw, h, addr)
		}
	})
}
