package egress

import "net/netip"

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// neverAllowed are the addresses that are never connected to: "this host on this network", multicast, broadcast.
var neverAllowed = prefixes("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")

var loopback = prefixes("127.0.0.0/8", "::1/128")

// special are the ranges that are not public (the IANA registries of special-purpose addresses, RFC 6890, and the metadata services of clouds).
var special = append(prefixes(
	"169.254.0.0/16", "fe80::/10", // link-local, with the metadata service of most clouds
	"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128", "fd20:ce::254/128", // other metadata services
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "100.64.0.0/10", // private, and shared by a provider
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", // reserved
	"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", // an IPv4 address within one of IPv6
	"2001::/23", "2001:db8::/32", "3fff::/20", "fec0::/10", // reserved
	"::/3", "4000::/2", "8000::/1", // everything except 2000::/3, the only range in use
), loopback...)

func never(addr netip.Addr) bool {
	for _, p := range neverAllowed {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// rangeOf returns the narrowest non-public range that contains an address, or an invalid prefix when the address is public.
func rangeOf(addr netip.Addr) netip.Prefix {
	var narrowest netip.Prefix
	for _, p := range special {
		if p.Contains(addr) && (!narrowest.IsValid() || p.Bits() > narrowest.Bits()) {
			narrowest = p
		}
	}
	return narrowest
}

// covers reports whether a CIDR allows an address: it contains the address and, when the address is in a non-public range, lies within that range.
func covers(cidr netip.Prefix, addr netip.Addr) bool {
	if !cidr.Contains(addr) {
		return false
	}
	within := rangeOf(addr)
	return !within.IsValid() || cidr.Bits() >= within.Bits()
}
