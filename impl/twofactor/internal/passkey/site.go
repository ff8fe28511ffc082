package passkey

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// maxOrigins bounds the origins of one site.
const maxOrigins = 16

// Site is what passkeys are bound to: a name (the relying party id) and the origins of the pages that may use them.
type Site struct {
	ID      string
	Name    string // what people see
	Origins []string
}

// errAddress refuses an IP address as the name of a site.
var errAddress = errors.New("is an IP address, for which browsers make no passkeys; name a host, such as localhost")

// NewSite returns a Site, or an error that names the setting that is not valid. An empty id means the host of the first origin.
func NewSite(id, name string, origins []string) (Site, error) {
	if isAddress(id) {
		return Site{}, fmt.Errorf("WEBAUTHN_RP_ID: %w", errAddress)
	}
	if len(origins) == 0 || len(origins) > maxOrigins {
		return Site{}, fmt.Errorf("WEBAUTHN_ORIGINS: must be one to %d origins", maxOrigins)
	}
	hosts := make([]string, 0, len(origins))
	for _, origin := range origins {
		host, err := hostOf(origin)
		if err != nil {
			return Site{}, fmt.Errorf("WEBAUTHN_ORIGINS: %w", err)
		}
		hosts = append(hosts, host)
	}
	if id == "" {
		id = hosts[0]
	}
	if id != strings.ToLower(id) || protocol.ValidateRPID(id) != nil || strings.Contains(id, "/") {
		return Site{}, errors.New("WEBAUTHN_RP_ID: must be a host name in lower case, without scheme and port")
	}
	for _, host := range hosts {
		if host != id && !strings.HasSuffix(host, "."+id) {
			return Site{}, errors.New("WEBAUTHN_ORIGINS: every origin's host must be WEBAUTHN_RP_ID or end in it")
		}
	}
	return Site{ID: id, Name: name, Origins: slices.Clone(origins)}, nil
}

// hostOf returns the host of an origin on which browsers allow WebAuthn.
func hostOf(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || origin != strings.ToLower(origin) ||
		origin != u.Scheme+"://"+u.Host {
		return "", errors.New("must be origins (scheme://host[:port], in lower case), several with commas")
	}
	host := u.Hostname()
	if isAddress(host) {
		return "", errAddress
	}
	if u.Scheme != "https" && (u.Scheme != "http" || (host != "localhost" && !strings.HasSuffix(host, ".localhost"))) {
		return "", errors.New("must be https, or http at localhost: browsers allow passkeys on no other pages")
	}
	return host, nil
}

// isAddress reports whether a host is an IP address.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// library returns go-webauthn configured for the site. Attestations are not asked for, and are not trusted. User verification is required by session.
func (s Site) library() (*webauthn.WebAuthn, error) {
	lib, err := webauthn.New(&webauthn.Config{
		RPID: s.ID, RPDisplayName: s.Name, RPOrigins: s.Origins, AttestationPreference: protocol.PreferNoAttestation,
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare webauthn: %w", err)
	}
	return lib, nil
}
