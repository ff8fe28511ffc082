package egress

import (
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxName  = 253 // of a name, in bytes (RFC 1035 section 2.3.4)
	maxLabel = 63
)

// host is a name or an address.
type host struct {
	name string // "" for an address
	addr netip.Addr
}

// text formats the host as in host:port.
func (h host) text() string {
	switch {
	case h.name != "":
		return h.name
	case h.addr.Is6():
		return "[" + h.addr.String() + "]"
	}
	return h.addr.String()
}

// parseHostPort reads HOST:PORT, with an IPv6 address in brackets.
func parseHostPort(s string) (host, uint16, error) {
	text, ports, err := splitPort(s)
	if err != nil {
		return host{}, 0, err
	}
	h, err := parseHost(text)
	if err != nil {
		return host{}, 0, err
	}
	port, err := parsePort(ports)
	return h, port, err
}

// splitPort separates a host, with its brackets, from what follows the last colon.
func splitPort(s string) (host, port string, err error) {
	at := strings.LastIndexByte(s, ':')
	switch {
	case strings.HasSuffix(s, "]") || at < 0:
		return "", "", malformed("it has no port")
	case strings.Contains(s[:at], ":") && !strings.HasPrefix(s, "["):
		return "", "", malformed("an IPv6 address must be in brackets, before its port")
	}
	return s[:at], s[at+1:], nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, malformed("a port is a number from 1 to 65535")
	}
	return uint16(n), nil
}

// parseHost reads a name, an IPv4 address, or an IPv6 address in brackets. An address is accepted only in the one form that every program reads
// alike.
func parseHost(s string) (host, error) {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		inside, ok = strings.CutSuffix(inside, "]")
		if !ok {
			return host{}, malformed("a bracket is not closed")
		}
		addr, err := parseAddr(inside)
		if err == nil && !addr.Is6() {
			err = malformed("brackets are for IPv6 addresses")
		}
		return host{addr: addr}, err
	}
	if strings.Contains(s, ":") {
		return host{}, malformed("an IPv6 address must be in brackets, before its port")
	}
	if endsInNumber(s) {
		addr, err := parseAddr(s)
		return host{addr: addr}, err
	}
	name, err := parseName(s)
	return host{name: name}, err
}

// parseAddr reads an address in canonical form (RFC 5952 for IPv6). Zones and IPv4 addresses mapped into IPv6 are refused.
func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, malformed("an address is written as 192.0.2.1 or [2001:db8::1]: no other form, and no zone")
	case addr.Is4In6():
		return netip.Addr{}, malformed("an IPv4 address within an IPv6 address is written as the IPv4 address")
	case addr.Zone() != "" || addr.String() != s:
		return netip.Addr{}, malformed("an address is written in its canonical form, and without a zone")
	}
	return addr, nil
}

// parseName reads an ASCII name and returns it in lower case. Underscores are accepted: names of Compose services contain them.
func parseName(s string) (string, error) {
	if s == "" || len(s) > maxName {
		return "", malformed("a name has 1 to %d characters", maxName)
	}
	if strings.HasSuffix(s, ".") {
		return "", malformed("a name does not end in a dot")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return "", malformed("each part of a name has 1 to %d characters, and no hyphen at its ends", maxLabel)
		}
		for i := range len(label) {
			if c := label[i] | 0x20; label[i] >= 0x80 || !('a' <= c && c <= 'z' || '0' <= label[i] && label[i] <= '9' || label[i] == '-' || label[i] == '_') {
				return "", malformed("a host name must consist of ASCII letters, digits, hyphens and underscores; write other names in their xn-- form")
			}
		}
	}
	return strings.ToLower(s), nil
}

// endsInNumber reports whether programs might read a host as an IPv4 address: its last part is a decimal or hexadecimal number
// (URL Standard, "ends in a number"). A dot at the end changes nothing.
func endsInNumber(s string) bool {
	s = strings.TrimSuffix(s, ".")
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last == "" {
		return false
	}
	if len(last) > 1 && last[0] == '0' && last[1]|0x20 == 'x' {
		return strings.Trim(last[2:], "0123456789abcdefABCDEF") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// isLocalhost reports whether a name stands for loopback (RFC 6761 section 6.3).
func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
