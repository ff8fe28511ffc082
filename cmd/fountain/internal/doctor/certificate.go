package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/fountainai/fountain/internal/config"
)

// certificate checks the files with which a service serves TLS and verifies others.
func (d *Doctor) certificate(c config.TLS) {
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		switch {
		case err != nil:
			d.wrong(Certificate, "the authorities in "+c.CAFile+" can't be read: "+reason(err), "name the right file in TLS_CA_FILE")
		case !x509.NewCertPool().AppendCertsFromPEM(pem):
			d.wrong(Certificate, c.CAFile+" contains no certificate: no other service is trusted", "put the authority's certificate (PEM) into it")
		}
	}
	if c.CertFile == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil { // its text could contain key material
		d.wrong(Certificate, "the certificate "+c.CertFile+" and the key "+c.KeyFile+" can't be loaded, or do not belong together", "give both files in PEM, of one pair, readable by the user of the service")
		return
	}
	if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
		d.wrong(Modes, fmt.Sprintf("others can use the certificate's key %s (mode %04o)", c.KeyFile, info.Mode().Perm()), "chmod 600 "+c.KeyFile)
	}
	d.life(pair.Leaf, c.CertFile)
}

// life checks how long a certificate is still valid. where names it in the finding.
func (d *Doctor) life(leaf *x509.Certificate, where string) {
	now := d.Clock.Now()
	until := leaf.NotAfter.UTC().Format("2006-01-02 15:04Z")
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		d.wrong(Certificate, "the certificate of "+where+" has expired at "+until, "renew it; a service takes new files by itself")
	case now.Before(leaf.NotBefore):
		d.wrong(Certificate, "the certificate of "+where+" is not good yet", "set the clock by NTP, or give another certificate")
	case left < spareLife && leaf.NotAfter.Sub(leaf.NotBefore) > 2*spareLife: // a certificate that never lives longer is renewed automatically
		d.warn(Certificate, fmt.Sprintf("the certificate of %s expires in %d days, at %s", where, int(left/(24*time.Hour)), until), "renew it; a service takes new files by itself")
	default:
		d.ok(Certificate, "the certificate of "+where+" is good until "+until)
	}
}
