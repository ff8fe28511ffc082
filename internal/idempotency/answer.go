package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

func (s *Store) sealAnswer(key Key, answer Answer) ([]byte, error) {
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	sealed, err := s.sealer.Seal(text, key.name())
	if err != nil {
		return nil, fmt.Errorf("seal answer: %w", err)
	}
	if len(sealed) > maxAnswer {
		return nil, errors.New("answer is too large to be kept for a repeat")
	}
	return sealed, nil
}

func (s *Store) open(key Key, sealed []byte) (answer Answer, err error) {
	text, err := s.sealer.Open(sealed, key.name())
	if err != nil {
		return Answer{}, fmt.Errorf("open answer: %w", err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return Answer{}, fmt.Errorf("decode answer: %w", err)
	}
	return answer, nil
}

// name encodes the identity of the row. It is the associated data of the seal.
func (k Key) name() []byte {
	return joined("idempotency", k.Principal, k.Operation, k.Value)
}

// content encodes what must be equal in a repeat.
func (k Key) content() []byte {
	return joined("request", k.Path, string(k.Body))
}

func (k Key) lockID() int64 {
	sum := sha256.Sum256(k.name())
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// joined encodes parts so that different lists of parts give different bytes.
func joined(parts ...string) (b []byte) {
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}
