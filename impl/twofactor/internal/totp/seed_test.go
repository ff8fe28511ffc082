package totp

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNewSeed_failsOnAShortRead(t *testing.T) {
	for name, random := range map[string]io.Reader{
		"empty": bytes.NewReader(nil), "one byte less": bytes.NewReader(make([]byte, SeedSize-1)), "broken": iotest.ErrReader(errors.New("no entropy")),
	} {
		seed, err := NewSeed(random)
		require.Error(t, err, name)
		require.Nil(t, seed, name)
	}
}

func TestNewSeed_readsOnThroughAReaderThatGivesLittle(t *testing.T) {
	want := []byte("abcdefghijklmnopqrst")
	seed, err := NewSeed(iotest.OneByteReader(bytes.NewReader(want)))
	require.NoError(t, err)
	require.Equal(t, want, seed)
}

func TestNewSeed_isDifferentEachTime(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		seed, err := NewSeed(rand.Reader)
		require.NoError(t, err)
		require.Len(t, seed, SeedSize)
		seen[string(seed)] = true
	}
	require.Len(t, seen, 1000)
}

func TestURI_holdsWhatAnAuthenticatorNeeds(t *testing.T) {
	seed := []byte("12345678901234567890")
	text, err := URI("Fountain & Söhne+", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", seed, Parameters{SHA256, 8, 60})
	require.NoError(t, err)
	u, err := url.Parse(text)
	require.NoError(t, err)
	require.Equal(t, "otpauth", u.Scheme)
	require.Equal(t, "totp", u.Host)
	require.Equal(t, "/Fountain & Söhne+:usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", u.Path)
	q := u.Query()
	require.Equal(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", q.Get("secret"))
	require.Equal(t, "SHA256 8 60", q.Get("algorithm")+" "+q.Get("digits")+" "+q.Get("period"))
	require.NotContains(t, text, " ")
}

func TestURI_refusesAnIssuerThatWouldBeReadAsAnother(t *testing.T) {
	for _, issuer := range []string{"", "a:b", "Fountain:ada", "line\nbreak", strings.Repeat("x", 65)} {
		_, err := URI(issuer, "ada", []byte("12345678901234567890"), Default)
		require.Error(t, err, "%q", issuer)
	}
}

// oathtool is another implementation; where it is installed it must agree.
func TestCode_agreesWithOathtool(t *testing.T) {
	path, err := exec.LookPath("oathtool")
	if err != nil {
		require.NotContains(t, os.Getenv("FOUNTAIN_TEST_REQUIRE"), "oathtool", "it is not installed")
		t.Log("oathtool is not installed; the vectors of the RFCs stand alone")
		return
	}
	seed, err := NewSeed(rand.Reader)
	require.NoError(t, err)
	for _, p := range []Parameters{Default, {SHA256, 8, 30}, {SHA512, 6, 60}, {SHA1, 8, 60}} {
		for _, at := range []int64{59, 1_800_000_000, 20_000_000_000} {
			out, err := exec.Command(path, "--totp="+strings.ToLower(string(p.Algorithm)), "--base32", "--digits="+strconv.Itoa(p.Digits),
				"--time-step-size="+strconv.Itoa(p.Period)+"s", "--now=@"+strconv.FormatInt(at, 10), Base32(seed)).Output()
			require.NoError(t, err)
			code, err := Code(seed, p, p.Step(time.Unix(at, 0)))
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(string(out)), code, "%+v at %d", p, at)
		}
	}
}
