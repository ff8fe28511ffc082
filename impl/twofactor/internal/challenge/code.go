package challenge

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// codes is the number of possible codes.
const codes = 1_000_000

// newCode draws a code of six digits. All codes are equally likely: values beyond the last whole multiple of codes, which would favour some, are drawn again.
func newCode(random io.Reader) (string, error) {
	const limit = (1 << 32) / codes * codes
	var raw [4]byte
	for {
		if _, err := io.ReadFull(random, raw[:]); err != nil {
			return "", fmt.Errorf("make code: %w", err)
		}
		if n := uint64(binary.BigEndian.Uint32(raw[:])); n < limit {
			return fmt.Sprintf("%06d", n%codes), nil
		}
	}
}

// Keys seals what must be read again, and hashes what only has to be compared. *seal.Key implements it.
type Keys interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
	Sum(data []byte) ([]byte, error)
	Verify(sum, data []byte) error
}

// The parts that are joined here contain no zero byte, so that different parts give different data.
func codeData(challengeID, code string) []byte {
	return []byte("twofactor code\x00" + challengeID + "\x00" + code)
}

func codeAAD(deliveryID, challengeID string) []byte {
	return []byte("twofactor code on its way\x00" + deliveryID + "\x00" + challengeID)
}

func targetAAD(factorID, subject string) []byte {
	return []byte("twofactor target\x00" + factorID + "\x00" + subject)
}

// hashed returns the keyed hash, in hex, by which a value is compared or counted.
func (s *Service) hashed(kind, value string) (string, error) {
	sum, err := s.Keys.Sum([]byte("twofactor " + kind + "\x00" + value))
	return hex.EncodeToString(sum), err
}
