package totp

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// RFC 6238, appendix B: eight digits, 30 s, a seed of the hash's size for each algorithm (errata 2866).
func TestCode_passesTheVectorsOfRFC6238(t *testing.T) {
	digits := "1234567890"
	seeds := map[Algorithm]string{
		SHA1: strings.Repeat(digits, 2), SHA256: (strings.Repeat(digits, 4))[:32], SHA512: (strings.Repeat(digits, 7))[:64],
	}
	vectors := []struct {
		unix int64
		code map[Algorithm]string
	}{
		{59, map[Algorithm]string{SHA1: "94287082", SHA256: "46119246", SHA512: "90693936"}},
		{1111111109, map[Algorithm]string{SHA1: "07081804", SHA256: "68084774", SHA512: "25091201"}},
		{1111111111, map[Algorithm]string{SHA1: "14050471", SHA256: "67062674", SHA512: "99943326"}},
		{1234567890, map[Algorithm]string{SHA1: "89005924", SHA256: "91819424", SHA512: "93441116"}},
		{2000000000, map[Algorithm]string{SHA1: "69279037", SHA256: "90698825", SHA512: "38618901"}},
		{20000000000, map[Algorithm]string{SHA1: "65353130", SHA256: "77737706", SHA512: "47863826"}},
	}
	for _, v := range vectors {
		for algorithm, want := range v.code {
			t.Run(fmt.Sprintf("%s at %d", algorithm, v.unix), func(t *testing.T) {
				p := Parameters{Algorithm: algorithm, Digits: 8, Period: 30}
				at := time.Unix(v.unix, 0)
				got, err := Code([]byte(seeds[algorithm]), p, p.Step(at))
				require.NoError(t, err)
				require.Equal(t, want, got)
				step, ok, err := Match([]byte(seeds[algorithm]), p, at, Clock{}, want)
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, p.Step(at), step)
			})
		}
	}
}

// RFC 4226, appendix D.
func TestCode_passesTheVectorsOfRFC4226(t *testing.T) {
	want := []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}
	for counter, code := range want {
		got, err := Code([]byte("12345678901234567890"), Default, int64(counter))
		require.NoError(t, err)
		require.Equal(t, code, got, "counter %d", counter)
	}
}

func TestMatch_takesTheCurrentAndThePastStepOnly(t *testing.T) {
	seed := []byte("12345678901234567890")
	for _, p := range []Parameters{Default, {SHA256, 8, 60}, {SHA512, 6, 60}} {
		at := time.Unix(1_800_000_000, 0)
		code, err := Code(seed, p, p.Step(at))
		require.NoError(t, err)
		start := p.Step(at) * int64(p.Period)
		for second := start - 2*int64(p.Period); second < start+4*int64(p.Period); second++ {
			step, ok, err := Match(seed, p, time.Unix(second, 0), Clock{}, code)
			require.NoError(t, err)
			require.Equal(t, second >= start && second < start+2*int64(p.Period), ok, "%d seconds after its start", second-start)
			if ok {
				require.Equal(t, p.Step(at), step)
			}
		}
	}
}

func TestMatch_followsDrift(t *testing.T) {
	seed, at := []byte("12345678901234567890"), time.Unix(1_800_000_000, 0)
	code, err := Code(seed, Default, Default.Step(at)+2)
	require.NoError(t, err)
	_, ok, err := Match(seed, Default, at, Clock{}, code)
	require.NoError(t, err)
	require.False(t, ok)
	step, ok, err := Match(seed, Default, at, Clock{Drift: 2}, code)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, Default.Step(at)+2, step)
}

// The spellings of CVE-2025-6014 and its like: nothing is trimmed and nothing is folded.
func TestMatch_refusesEverySpellingButTheDigits(t *testing.T) {
	seed, at := []byte("12345678901234567890"), time.Unix(1_800_000_000, 0)
	code, err := Code(seed, Default, Default.Step(at))
	require.NoError(t, err)
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	arabic := strings.Map(func(r rune) rune { return r - '0' + '٠' }, code)
	spellings := []string{
		"", " " + code, code + " ", "\t" + code, code + "\n", code + "\r\n", "\u00a0" + code, code + "\u200b", code[:3] + " " + code[3:], code[:3] + "-" + code[3:],
		"+" + code, "+" + code[1:], "-" + code[1:], "0" + code, code + "0", "00" + code, code[:5], wide, arabic, code[:5] + "\x00", code + "\x00", "0x" + code[:4],
		strings.Repeat(code, 200_000),
	}
	for _, s := range spellings {
		_, ok, err := Match(seed, Default, at, Clock{}, s)
		require.NoError(t, err)
		require.False(t, ok, "%.20q", s)
	}
	_, ok, err := Match(seed, Default, at, Clock{}, code)
	require.NoError(t, err)
	require.True(t, ok, "the digits themselves")
}

func TestMatch_keepsLeadingZeros(t *testing.T) {
	seed, found := []byte("12345678901234567890"), 0
	for step := int64(1); step < 400 && found < 5; step++ {
		code, err := Code(seed, Default, step)
		require.NoError(t, err)
		require.Len(t, code, 6)
		if code[0] != '0' {
			continue
		}
		found++
		_, ok, err := Match(seed, Default, time.Unix(step*30, 0), Clock{}, code)
		require.NoError(t, err)
		require.True(t, ok)
		_, ok, err = Match(seed, Default, time.Unix(step*30, 0), Clock{}, strings.TrimLeft(code, "0"))
		require.NoError(t, err)
		require.False(t, ok, "without its zeros it is another code")
	}
	require.Equal(t, 5, found)
}

// For any seed, parameters and time, a match is the code of the step that is returned, and the step is in the window.
func TestMatch_namesTheStepOfTheCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), SeedSize, SeedSize).Draw(t, "seed")
		p := Parameters{
			Algorithm: rapid.SampledFrom([]Algorithm{SHA1, SHA256, SHA512}).Draw(t, "algorithm"),
			Digits:    rapid.SampledFrom([]int{6, 8}).Draw(t, "digits"), Period: rapid.SampledFrom([]int{30, 60}).Draw(t, "period"),
		}
		at := time.Unix(rapid.Int64Range(0, math.MaxInt32*4).Draw(t, "at"), 0)
		offset := rapid.Int64Range(-3, 3).Draw(t, "offset")
		code, err := Code(seed, p, p.Step(at)+offset)
		require.NoError(t, err)
		step, ok, err := Match(seed, p, at, Clock{}, code)
		require.NoError(t, err)
		if offset == 0 || offset == -1 {
			require.True(t, ok)
		}
		if ok {
			require.Contains(t, []int64{p.Step(at), p.Step(at) - 1}, step)
			again, err := Code(seed, p, step)
			require.NoError(t, err)
			require.Equal(t, code, again)
		}
	})
}

func TestStep_roundsDownBeforeTheEpochToo(t *testing.T) {
	require.Equal(t, int64(-1), Default.Step(time.Unix(-1, 0)))
	require.Equal(t, int64(-1), Default.Step(time.Unix(-30, 0)))
	require.Equal(t, int64(-2), Default.Step(time.Unix(-31, 0)))
	require.Equal(t, int64(0), Default.Step(time.Unix(29, 0)))
}

func TestParameters_refusesWhatIsNotOffered(t *testing.T) {
	for _, p := range []Parameters{{}, {"MD5", 6, 30}, {SHA1, 0, 30}, {SHA1, 7, 30}, {SHA1, 99, 30}, {SHA1, 6, 0}, {SHA1, 6, 3600}} {
		_, err := Code([]byte("12345678901234567890"), p, 1)
		require.Error(t, err, "%+v", p)
	}
	_, err := Code(nil, Default, 1)
	require.Error(t, err, "an empty seed gives codes that anybody can compute")
}
