package egress

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const maxURL = 300 // in bytes

// CheckURL checks the URL of a target when it is configured, and returns it in the form to use. It must be http://HOST:PORT or https://HOST:PORT. A
// name is not resolved: its addresses are judged at each connection. Errors are *RefusedError and may be returned to the caller.
func (p *Policy) CheckURL(ctx context.Context, raw string) (*url.URL, error) {
	scheme, h, port, err := parseURL(raw)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return nil, p.refuse(ctx, "", "", refused)
	}
	address := h.text() + ":" + strconv.Itoa(int(port))
	switch {
	case h.name == "":
		if err := p.judge(ctx, "", netip.AddrPortFrom(h.addr, port)); err != nil {
			return nil, p.refuseJudged(ctx, address, "", err)
		}
	case p.deny.hasName(h.name, port):
		return nil, p.refuse(ctx, address, "", errDenied)
	case !p.mayName(h.name, port):
		return nil, p.refuse(ctx, address, "", errUnlisted)
	}
	return &url.URL{Scheme: scheme, Host: address}, nil
}

// parseURL is stricter than net/url: anything that is not plainly a scheme, a host and a port is refused.
func parseURL(raw string) (scheme string, h host, port uint16, err error) {
	if len(raw) > maxURL {
		return "", host{}, 0, malformed("a target has at most %d characters", maxURL)
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return "", host{}, 0, malformed("a target begins with http:// or https://")
	}
	rest = strings.TrimSuffix(rest, "/")
	switch {
	case strings.Contains(rest, "@"):
		return "", host{}, 0, malformed("a target has no user")
	case strings.ContainsAny(rest, `/?#\`):
		return "", host{}, 0, malformed("a target has no path, query or fragment")
	}
	h, port, err = parseHostPort(rest)
	return scheme, h, port, err
}

// refuseJudged is refuse for an error of judge, which may also mean that judge could not decide.
func (p *Policy) refuseJudged(ctx context.Context, target, address string, err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return p.refuse(ctx, target, address, refused)
	}
	return err
}
