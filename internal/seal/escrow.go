package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// Errors of shares; match them with errors.Is. Their texts name the file, if there is one, and repeat nothing of its content.
var (
	// ErrShare: a share is malformed, was changed, is given twice, or belongs to another set.
	ErrShare = errors.New("share refused")
	// ErrShares: the shares do not make a key.
	ErrShares = errors.New("these shares do not make the root key")
)

// MaxShares is the maximum number of shares of a root key.
const MaxShares = 100

const (
	halves   = 2
	halfSize = rootSize / halves // below the order of the group, which exceeds 2^252
	setSize  = 8
	sumSize  = 8
)

// scalars is the field of the shares. Its arithmetic takes the same time for every value.
var scalars = group.Ristretto255

// share is one share of a root key.
type share struct {
	set             string
	root            string // id of the root key
	index, of, need int
	check           []byte // verifies the combined key
	value           []byte
}

const shareKind = "fountain-root-key-share-v1"

// text encodes the share as one line with a checksum at its end.
func (s share) text() string {
	line := fmt.Sprintf("%s set=%s root=%s share=%d of=%d need=%d check=%x value=%x", shareKind, s.set, s.root, s.index, s.of, s.need, s.check, s.value)
	return line + " sum=" + lineSum(line) + "\n"
}

func lineSum(line string) string {
	sum := sha256.Sum256([]byte(line))
	return hex.EncodeToString(sum[:sumSize])
}

var shareLine = regexp.MustCompile(`^(` + shareKind + ` set=([0-9a-f]{16}) root=(root_[0-9a-f]{16}) share=([0-9]{1,3}) of=([0-9]{1,3}) need=([0-9]{1,3})` +
	` check=([0-9a-f]{64}) value=([0-9a-f]{128})) sum=([0-9a-f]{16})\s*$`)

// maxShare is the maximum length of a share's text, in bytes.
const maxShare = 1024

func parseShare(name string, text []byte) (s share, err error) {
	if len(text) > maxShare {
		return s, fmt.Errorf("%s: %w: it is not a share of a root key", name, ErrShare)
	}
	m := shareLine.FindSubmatch(text)
	if m == nil {
		return s, fmt.Errorf("%s: %w: it is not a share of a root key, or is damaged", name, ErrShare)
	}
	if lineSum(string(m[1])) != string(m[9]) {
		return s, fmt.Errorf("%s: %w: it was damaged: its checksum is another", name, ErrShare)
	}
	s = share{set: string(m[2]), root: string(m[3])}
	s.index, _ = strconv.Atoi(string(m[4])) // has at most three digits
	s.of, _ = strconv.Atoi(string(m[5]))
	s.need, _ = strconv.Atoi(string(m[6]))
	s.check, _ = hex.DecodeString(string(m[7]))
	s.value, _ = hex.DecodeString(string(m[8]))
	if s.need < 2 || s.of < s.need || s.of > MaxShares || s.index < 1 || s.index > s.of {
		return s, fmt.Errorf("%s: %w: its numbers are of no share", name, ErrShare)
	}
	return s, nil
}

// rootCheck returns a value that distinguishes the right key from a wrong one and discloses nothing else.
func rootCheck(key []byte, set string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("fountain root key escrow " + set))
	return h.Sum(nil)
}

// SplitRoot splits the root key at path by Shamir's scheme into of shares: any need of them restore it (CombineRoot), and fewer disclose nothing
// about it. It returns the shares' texts and the ID of the key.
func SplitRoot(path string, of, need int) (texts []string, id string, err error) {
	if need < 2 || of < need || of > MaxShares {
		return nil, "", fmt.Errorf("a root key is split into 2 to %d shares, of which at least 2 are needed", MaxShares)
	}
	key, err := readRoot(path)
	if err != nil {
		return nil, "", err
	}
	root, err := newRoot(key)
	if err != nil {
		return nil, "", err
	}
	set := make([]byte, setSize)
	rand.Read(set) // never fails: crypto/rand ends the program instead
	shares := make([]share, of)
	for i := range shares {
		shares[i] = share{set: hex.EncodeToString(set), root: root.ID(), index: i + 1, of: of, need: need}
		shares[i].check = rootCheck(key, shares[i].set)
	}
	for half := range halves {
		secret, err := scalarOf(key[half*halfSize : (half+1)*halfSize])
		if err != nil {
			return nil, "", err
		}
		for i, one := range secretsharing.New(rand.Reader, uint(need-1), secret).Share(uint(of)) {
			value, err := one.Value.MarshalBinary()
			if err != nil {
				return nil, "", fmt.Errorf("split root key: %w", err)
			}
			shares[i].value = append(shares[i].value, value...)
		}
	}
	for _, s := range shares {
		texts = append(texts, s.text())
	}
	return texts, root.ID(), nil
}

// scalarOf converts half a key to an element of the field, least significant byte first.
func scalarOf(part []byte) (group.Scalar, error) {
	wide := make([]byte, scalars.Params().ScalarLength)
	copy(wide, part)
	made := scalars.NewScalar()
	if err := made.UnmarshalBinary(wide); err != nil {
		return nil, fmt.Errorf("read number of a share: %w", err)
	}
	return made, nil
}

// NamedShare is a share with the name of its file.
type NamedShare struct {
	Name string
	Text []byte
}

// CombineRoot restores the root key from its shares and writes it to path, which must not exist. Nothing is written before the key is verified to be
// the one that was split. It returns the ID of the key. ErrShare: a share is damaged, given twice, or belongs to another set. ErrShares: there are
// too few shares, or one was forged.
func CombineRoot(given []NamedShare, path string) (id string, err error) {
	shares, err := parseShares(given)
	if err != nil {
		return "", err
	}
	key := make([]byte, 0, rootSize)
	for half := range halves {
		part, err := combineHalf(shares, half)
		if err != nil {
			return "", err
		}
		key = append(key, part...)
	}
	first := shares[0]
	root, err := newRoot(key)
	if err != nil {
		return "", err
	}
	if !hmac.Equal(rootCheck(key, first.set), first.check) || root.ID() != first.root {
		return "", fmt.Errorf("%w: what they make is not the key that was split; one of them was forged", ErrShares)
	}
	return root.ID(), writeRoot(path, key)
}

// parseShares parses shares and requires enough shares of one set.
func parseShares(given []NamedShare) (shares []share, err error) {
	for i, one := range given {
		s, err := parseShare(one.Name, one.Text)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			first := shares[0]
			if s.set != first.set || s.root != first.root || s.of != first.of || s.need != first.need || !bytes.Equal(s.check, first.check) {
				return nil, fmt.Errorf("%s: %w: it is of another set than %s", one.Name, ErrShare, given[0].Name)
			}
		}
		if twin := slices.IndexFunc(shares, func(other share) bool { return other.index == s.index }); twin >= 0 {
			return nil, fmt.Errorf("%s: %w: it is the same share as %s", one.Name, ErrShare, given[twin].Name)
		}
		shares = append(shares, s)
	}
	if len(shares) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrShares)
	}
	if len(shares) < shares[0].need {
		return nil, fmt.Errorf("%w: %d are needed, %d are given", ErrShares, shares[0].need, len(shares))
	}
	return shares, nil
}

func combineHalf(shares []share, half int) ([]byte, error) {
	width := int(scalars.Params().ScalarLength)
	points := make([]secretsharing.Share, len(shares))
	for i, s := range shares {
		value := scalars.NewScalar()
		if len(s.value) != halves*width || value.UnmarshalBinary(s.value[half*width:(half+1)*width]) != nil {
			return nil, fmt.Errorf("%w: one holds no number", ErrShares)
		}
		points[i] = secretsharing.Share{ID: scalars.NewScalar().SetUint64(uint64(s.index)), Value: value}
	}
	secret, err := secretsharing.Recover(uint(shares[0].need-1), points)
	if err != nil {
		return nil, fmt.Errorf("combine shares: %w", err)
	}
	wide, err := secret.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("combine shares: %w", err)
	}
	return wide[:halfSize], nil // the check of the key detects non-zero bytes above
}
