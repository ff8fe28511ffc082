// Package webhook signs the requests that the family's services send to external receivers.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// Header carries the signature of a body: t=<seconds since 1970>, v1=<hex HMAC-SHA256 of "<t>.<body>" by the secret>. While receivers change to
// another secret there is a v1 for each.
const Header = "X-Fountain-Signature"

// Sign returns the value of Header for a body that is sent at this time, with a v1 for each secret.
func Sign(at time.Time, body []byte, secrets ...string) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	value := "t=" + seconds
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(seconds + "."))
		mac.Write(body)
		value += ", v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return value
}
