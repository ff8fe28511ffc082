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

// site returns what passkeys are bound to; nil where nothing was set and the issuer has no name for it: then passkeys are off.
func (c *Config) site() (*passkey.Site, error) {
	name := c.Passkeys.Name
	if name == "" {
		name = c.OTPIssuer
	}
	origins := c.Passkeys.Origins
	chosen := len(origins) > 0 || c.RPID != ""
	switch {
	case len(origins) > 0:
	case c.RPID != "":
		origins = []string{"https://" + c.RPID}
	default:
		origins = originOf(c.Issuer)
	}
	site, err := passkey.NewSite(c.RPID, name, origins)
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
