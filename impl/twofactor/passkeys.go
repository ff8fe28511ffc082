package twofactor

import (
	"net/url"

	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
)

// signsInTo is the client of the sessions that a sign-in by passkey begins: the kms's own, as after a password.
const signsInTo = "fountain"

// Passkeys configure the site that passkeys are bound to (WebAuthn level 3). Passkeys of another host name do not work: see docs/operations.md before you change it.
type Passkeys struct {
	RPID    string   `env:"WEBAUTHN_RP_ID"`   // host name; default the host of the first origin
	Origins []string `env:"WEBAUTHN_ORIGINS"` // of the pages that may use passkeys; default that of the issuer
	Name    string   `env:"WEBAUTHN_NAME"`    // name that people see; default OTP_ISSUER
}

// Validate checks the settings. It has no side effects.
func (p Passkeys) Validate() error {
	_, err := p.site("")
	return err
}

// site returns the site that passkeys are bound to. It is nil, and passkeys are off, when nothing is set and the issuer has no host name that can be used.
func (p Passkeys) site(issuer string) (*passkey.Site, error) {
	origins := p.Origins
	chosen := len(origins) > 0 || p.RPID != ""
	switch {
	case len(origins) > 0:
	case p.RPID != "":
		origins = []string{"https://" + p.RPID}
	default:
		origins = originOf(issuer)
	}
	site, err := passkey.NewSite(p.RPID, p.Name, origins)
	switch {
	case err == nil:
		return &site, nil
	case chosen:
		return nil, err
	}
	return nil, nil
}

// originOf returns the origin of a URL; none when the text is not a URL.
func originOf(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	return []string{u.Scheme + "://" + u.Host}
}
