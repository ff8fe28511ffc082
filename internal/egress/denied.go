package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// denied is the deny list.
type denied struct {
	addresses map[netip.AddrPort]bool
	names     map[uint16][]string // by port
	machine   map[uint16]bool     // ports on which this machine listens at all its addresses
	resolver  Resolver
}

func parseDenied(entries []string, resolver Resolver) (denied, error) {
	d := denied{addresses: map[netip.AddrPort]bool{}, names: map[uint16][]string{}, machine: map[uint16]bool{}, resolver: resolver}
	var errs []error
	for i, entry := range entries {
		h, port, err := parseHostPort(entry)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("denied address %d: %w", i+1, err))
		case h.name != "":
			d.names[port] = append(d.names[port], h.name)
		case h.addr.IsUnspecified():
			d.machine[port] = true
		default:
			d.addresses[netip.AddrPortFrom(h.addr, port)] = true
		}
	}
	return d, errors.Join(errs...)
}

// hasName reports whether a name with its port is in the list as it is.
func (d denied) hasName(name string, port uint16) bool {
	for _, other := range d.names[port] {
		if other == name {
			return true
		}
	}
	return false
}

// check refuses an address of the list. Names of the list on the same port are resolved each time: an answer that was kept could be outdated. When
// that is not possible, the address may be one of theirs and is refused.
func (d denied) check(ctx context.Context, to netip.AddrPort) error {
	if d.addresses[to] {
		return errDenied
	}
	if d.machine[to.Port()] {
		own, err := ownAddress(to.Addr())
		if err != nil {
			return fmt.Errorf("list the addresses of this machine: %w", err)
		}
		if own {
			return errDenied
		}
	}
	for _, name := range d.names[to.Port()] {
		addrs, err := d.resolver.LookupNetIP(ctx, "ip", name)
		if err != nil {
			return fmt.Errorf("resolve a name of the family: %w", err)
		}
		for _, addr := range addrs {
			if addr.Unmap().WithZone("") == to.Addr() {
				return errDenied
			}
		}
	}
	return nil
}

// ownAddress reports whether an address is one of this machine.
func ownAddress(addr netip.Addr) (bool, error) {
	if addr.IsLoopback() {
		return true, nil
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == addr {
				return true, nil
			}
		}
	}
	return false, nil
}
