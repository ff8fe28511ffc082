package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/stretchr/testify/require"
)

// vectors reads a file of Wycheproof: groups of tests with shared keys.
func vectors[G any](t *testing.T, file string) []G {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, file)
	require.NoError(t, err)
	var all struct {
		TestGroups []G `json:"testGroups"`
	}
	require.NoError(t, json.Unmarshal(raw, &all))
	require.NotEmpty(t, all.TestGroups)
	return all.TestGroups
}

func octets(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	require.NoError(t, err)
	return raw
}

func TestEncrypt_holdsTheVectorsOfAESGCM(t *testing.T) {
	type group struct {
		KeySize, IvSize, TagSize int
		Tests                    []struct {
			TcID                               int
			Key, Iv, Aad, Msg, Ct, Tag, Result string
		}
	}
	tried := 0
	for _, g := range vectors[group](t, "aes_gcm_test.json") {
		if g.KeySize != 256 || g.IvSize != 8*nonceSize || g.TagSize != 8*tagSize {
			continue // no keyring has such
		}
		for _, v := range g.Tests {
			tried++
			head := make([]byte, headSize)
			head[0] = format
			binary.BigEndian.PutUint32(head[1:], 7)
			blob := append(append(append(head, octets(t, v.Iv)...), octets(t, v.Ct)...), octets(t, v.Tag)...)
			opened, err := decrypt(octets(t, v.Key), blob, octets(t, v.Aad))
			if v.Result != "valid" {
				require.ErrorIs(t, err, errOpen, v.TcID)
				continue
			}
			require.NoError(t, err, v.TcID)
			require.Equal(t, v.Msg, hex.EncodeToString(opened), v.TcID)
			sealed, err := encryptWith(octets(t, v.Key), 7, octets(t, v.Iv), octets(t, v.Msg), octets(t, v.Aad))
			require.NoError(t, err, v.TcID)
			require.Equal(t, blob, sealed, v.TcID)
		}
	}
	require.Greater(t, tried, 30)
}

func TestSum_holdsTheVectorsOfHMAC(t *testing.T) {
	type group struct {
		TagSize int
		Tests   []struct {
			TcID                  int
			Key, Msg, Tag, Result string
		}
	}
	tried := 0
	for _, g := range vectors[group](t, "hmac_sha256_test.json") {
		if g.TagSize != 256 {
			continue // sums are never cut
		}
		for _, v := range g.Tests {
			tried++
			require.Equal(t, v.Result == "valid", hex.EncodeToString(sum(octets(t, v.Key), octets(t, v.Msg))) == v.Tag, v.TcID)
		}
	}
	require.Greater(t, tried, 50)
}

func TestVerify_holdsTheVectorsOfSignatures(t *testing.T) {
	type group struct {
		PublicKey struct{ Pk, Uncompressed string }
		Tests     []struct {
			TcID             int
			Msg, Sig, Result string
		}
	}
	for file, a := range map[string]Algorithm{"ed25519_test.json": EdDSA, "ecdsa_secp256r1_sha256_p1363_test.json": ES256} {
		tried := 0
		for _, g := range vectors[group](t, file) {
			public := octets(t, g.PublicKey.Pk+g.PublicKey.Uncompressed)
			for _, v := range g.Tests {
				tried++
				require.Equal(t, v.Result == "valid", verify(a, public, octets(t, v.Msg), octets(t, v.Sig)), "%s %d", file, v.TcID)
			}
		}
		require.Greater(t, tried, 50, file)
	}
}

func TestSign_isVerifiedByItsKeyAlone(t *testing.T) {
	for _, a := range []Algorithm{EdDSA, ES256} {
		private, public, err := newKey(a)
		require.NoError(t, err)
		_, other, err := newKey(a)
		require.NoError(t, err)
		signature, err := sign(a, private, []byte("data"))
		require.NoError(t, err)
		require.True(t, verify(a, public, []byte("data"), signature))
		require.False(t, verify(a, other, []byte("data"), signature))
		require.False(t, verify(a, public, []byte("Data"), signature))
		require.False(t, verify(a, public, []byte("data"), signature[:len(signature)-1]))
	}
	_, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), make([]byte, 32))
	require.Error(t, err, "zero is no key")
}

// A ciphertext opens only with its key, keyring, number, purpose and context.
func TestDecrypt_opensInItsPlaceAlone(t *testing.T) {
	key, _, err := newKey(AES256GCM)
	require.NoError(t, err)
	bound := bind("ring_a", 3, forData, []byte("row 7"))
	blob, err := encrypt(key, 3, []byte("plain"), bound)
	require.NoError(t, err)
	number, err := keyOf(blob)
	require.NoError(t, err)
	require.EqualValues(t, 3, number)
	opened, err := decrypt(key, blob, bound)
	require.NoError(t, err)
	require.Equal(t, "plain", string(opened))
	for _, other := range [][]byte{
		bind("ring_b", 3, forData, []byte("row 7")), bind("ring_a", 4, forData, []byte("row 7")), bind("ring_a", 3, forDataKey, []byte("row 7")),
		bind("ring_a", 3, forData, []byte("row 8")), bind("ring_a", 3, forData, nil), bind("ring_a", 3, "", []byte("data\nrow 7")),
	} {
		_, err := decrypt(key, blob, other)
		require.ErrorIs(t, err, errOpen)
	}
	for i := range blob {
		if i > 0 && i < headSize {
			continue // the number is bound by the associated data
		}
		altered := append([]byte{}, blob...)
		altered[i] ^= 1
		_, err := decrypt(key, altered, bound)
		require.ErrorIs(t, err, errOpen, i)
	}
}

// Whatever is sent, only what was encrypted opens.
func FuzzDecrypt(f *testing.F) {
	key := make([]byte, 32)
	blob, err := encryptWith(key, 1, make([]byte, nonceSize), []byte("plain"), []byte("bound"))
	require.NoError(f, err)
	f.Add(blob)
	f.Add([]byte{})
	f.Add(blob[:headSize])
	f.Fuzz(func(t *testing.T, sent []byte) {
		number, err := keyOf(sent)
		if err == nil && (number < 0 || len(sent) < headSize+nonceSize+tagSize) {
			t.Fatal("no ciphertext has a key")
		}
		plain, err := decrypt(key, sent, []byte("bound"))
		if err == nil && (string(plain) != "plain" || string(sent[headSize:]) != string(blob[headSize:])) {
			t.Fatal("something else opens")
		}
	})
}
