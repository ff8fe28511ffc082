package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// denied is the deny list.
type denied struct {
	addresses map[netip.AddrPort]bool
	names     map[uint16][]string // by port
	machine   map[uint16]bool     // ports on which this machine listens at all its addresses
	resolver  Resolver
}

// parseDenied accepts more forms of an address than the allow list does: the entries are settings of the family's own services.
func parseDenied(entries []string, resolver Resolver) (denied, error) {
	d := denied{addresses: map[netip.AddrPort]bool{}, names: map[uint16][]string{}, machine: map[uint16]bool{}, resolver: resolver}
	var errs []error
	for i, entry := range entries {
		text, portText, err := net.SplitHostPort(entry)
		if err != nil {
			errs = append(errs, fmt.Errorf("denied address %d: not host:port", i+1))
			continue
		}
		number, err := net.LookupPort("tcp", portText)
		if err != nil {
			errs = append(errs, fmt.Errorf("denied address %d: invalid port", i+1))
			continue
		}
		port := uint16(number)
		addr, err := netip.ParseAddr(text)
		switch {
		case port == 0: // port 0 is assigned later: a listener that does not have its port yet cannot be reached
		case text == "" || err == nil && addr.Unmap().IsUnspecified():
			d.machine[port] = true
		case err == nil:
			d.addresses[netip.AddrPortFrom(addr.Unmap().WithZone(""), port)] = true
		default:
			d.names[port] = append(d.names[port], strings.ToLower(strings.TrimSuffix(text, ".")))
		}
	}
	return d, errors.Join(errs...)
}

// hasName reports whether the list contains this name and port literally.
func (d denied) hasName(name string, port uint16) bool { return slices.Contains(d.names[port], name) }

// check refuses an address that is on the list. Names on the list with the same port are resolved each time, because a cached answer could be
// outdated. When a name cannot be resolved, the address might be one of its addresses and is refused.
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

// ownAddress reports whether an address belongs to this machine.
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
