package twofactor

import (
	"net/url"

	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
)

// signsInTo is the client whose sessions a sign-in by passkey begins: the kms's own, as after a password.
const signsInTo = "fountain"

// Passkeys name the site that passkeys are bound to (WebAuthn level 3). Passkeys of another name are of no use: see docs/operations.md before a move.
type Passkeys struct {
	RPID    string   `env:"WEBAUTHN_RP_ID"`   // host name; default the host of the first origin
	Origins []string `env:"WEBAUTHN_ORIGINS"` // of the pages that may use passkeys; default that of the issuer
	Name    string   `env:"WEBAUTHN_NAME"`    // what people see; default OTP_ISSUER
}

// Validate checks the settings and touches nothing outside.
func (p Passkeys) Validate() error {
	_, err := p.site("")
	return err
}

// site returns what passkeys are bound to; nil where nothing was set and the issuer has no name for it: then passkeys are off.
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

// originOf returns the origin of a URL; none of what is no URL.
func originOf(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	return []string{u.Scheme + "://" + u.Host}
}
