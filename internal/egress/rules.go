package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

const (
	maxEntries = 256 // of a list
	maxEntry   = 320 // in bytes
)

// ports is a range of ports, both ends included.
type ports struct{ from, to uint16 }

func (p ports) has(port uint16) bool { return p.from <= port && port <= p.to }

// rule is one entry of the list.
type rule struct {
	name  string         // "": whichever name there is
	scope []netip.Prefix // the addresses; nil: the public ones
	ports ports
}

func (r rule) allows(name string, to netip.AddrPort) bool {
	if !r.ports.has(to.Port()) || r.name != "" && r.name != name {
		return false
	}
	if r.scope == nil {
		return !rangeOf(to.Addr()).IsValid()
	}
	for _, cidr := range r.scope {
		if covers(cidr, to.Addr()) {
			return true
		}
	}
	return false
}

// parseRules reads a list. Errors name entries by their position: an entry may be a secret that was put there by mistake.
func parseRules(entries []string) ([]rule, error) {
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("a list of targets has at most %d entries", maxEntries)
	}
	var rules []rule
	var errs []error
	for i, entry := range entries {
		r, err := parseRule(strings.TrimSpace(entry))
		if err != nil {
			errs = append(errs, fmt.Errorf("entry %d: %w", i+1, err))
			continue
		}
		rules = append(rules, r)
	}
	return rules, errors.Join(errs...)
}

func parseRule(entry string) (rule, error) {
	entry, within, scoped := strings.Cut(entry, "@")
	switch {
	case entry == "" || len(entry) > maxEntry || len(within) > maxEntry:
		return rule{}, malformed("it is NAME:PORT, NAME:PORT@CIDR, ADDRESS:PORT, CIDR or CIDR:PORT")
	case strings.Contains(entry, "/"):
		if scoped {
			return rule{}, malformed("only a name has a CIDR after @")
		}
		return parseRange(entry)
	}
	text, portText, err := splitPort(entry)
	if err != nil {
		return rule{}, err
	}
	h, err := parseHost(text)
	if err != nil {
		return rule{}, err
	}
	r := rule{name: h.name}
	if r.ports, err = parsePorts(portText); err != nil {
		return rule{}, err
	}
	switch {
	case h.name == "" && scoped:
		return rule{}, malformed("only a name has a CIDR after @")
	case h.name == "":
		r.scope = []netip.Prefix{netip.PrefixFrom(h.addr, h.addr.BitLen())}
	case scoped:
		cidr, err := parseCIDR(within)
		if err != nil {
			return rule{}, err
		}
		r.scope = []netip.Prefix{cidr}
	case isLocalhost(h.name):
		r.scope = loopback
	}
	return r, emptyScope(r.scope)
}

// emptyScope refuses a rule that can never allow anything.
func emptyScope(scope []netip.Prefix) error {
	for _, cidr := range scope {
		for _, p := range neverAllowed {
			if p.Bits() <= cidr.Bits() && p.Contains(cidr.Addr()) {
				return malformed("no connection is made to unspecified, multicast and broadcast addresses")
			}
		}
	}
	return nil
}

// parseRange reads CIDR, CIDR:PORTS, or [CIDR]:PORTS for IPv6.
func parseRange(s string) (rule, error) {
	cidr, portText, hasPorts := s, "", false
	if inside, ok := strings.CutPrefix(s, "["); ok {
		if cidr, portText, hasPorts = strings.Cut(inside, "]:"); !hasPorts {
			return rule{}, malformed("a CIDR in brackets has a port behind them")
		}
		if !strings.Contains(cidr, ":") {
			return rule{}, malformed("brackets are for IPv6 addresses")
		}
	} else if address, rest, _ := strings.Cut(s, "/"); strings.Contains(rest, ":") {
		if strings.Contains(address, ":") {
			return rule{}, malformed("a CIDR of IPv6 with a port is written as [fd00::/8]:8080")
		}
		var bits string
		bits, portText, hasPorts = strings.Cut(rest, ":")
		cidr = address + "/" + bits
	}
	p, err := parseCIDR(cidr)
	if err != nil {
		return rule{}, err
	}
	r := rule{scope: []netip.Prefix{p}, ports: ports{1, 65535}}
	if hasPorts {
		if r.ports, err = parsePorts(portText); err != nil {
			return rule{}, err
		}
	}
	return r, emptyScope(r.scope)
}

func parseCIDR(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, malformed("a CIDR is an address and the number of bits that count, for example 10.0.0.0/8")
	case p.Addr().Is4In6():
		return netip.Prefix{}, malformed("a CIDR of IPv4 addresses within IPv6 is written as that of IPv4")
	case p != p.Masked():
		return netip.Prefix{}, malformed("a CIDR has zeros behind the bits that count")
	case p.String() != s:
		return netip.Prefix{}, malformed("an address is written in its canonical form")
	}
	return p, nil
}

// parsePorts reads a port or FROM-TO.
func parsePorts(s string) (ports, error) {
	first, last, isRange := strings.Cut(s, "-")
	from, err := parsePort(first)
	if err != nil || !isRange {
		return ports{from, from}, err
	}
	to, err := parsePort(last)
	if err == nil && to < from {
		err = malformed("a range of ports begins with the smaller one")
	}
	return ports{from, to}, err
}
