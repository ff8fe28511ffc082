package totp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"hash"
)

// computer computes several codes of one seed with one keyed hash. A verification compares with several codes, and Code would pass the seed to the library as text for each
// of them.
type computer struct {
	mac    hash.Hash
	digits int
	sum    [sha512.Size]byte
	text   [8]byte
}

var hashes = map[Algorithm]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New, SHA512: sha512.New}

func newComputer(seed []byte, p Parameters) (*computer, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if len(seed) == 0 {
		return nil, errors.New("totp: empty seed")
	}
	return &computer{mac: hmac.New(hashes[p.Algorithm], seed), digits: p.Digits}, nil
}

// code returns the code of one step (RFC 4226, section 5.3), with leading zeros. The bytes are valid until the next call.
func (c *computer) code(step int64) []byte {
	c.mac.Reset()
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	c.mac.Write(counter[:])
	sum := c.mac.Sum(c.sum[:0])
	at := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	for i := c.digits - 1; i >= 0; i-- {
		c.text[i] = '0' + byte(number%10)
		number /= 10
	}
	return c.text[:c.digits]
}
