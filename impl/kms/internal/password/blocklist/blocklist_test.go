package blocklist

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLookup_knowsCommonPasswordsAndTheirRank(t *testing.T) {
	require.GreaterOrEqual(t, Len(), 100_000)
	require.Len(t, file, offsets+4*Len(), "the file is whole")
	last := 0
	for _, p := range []string{"password", "michael", "company", "harbour"} {
		rank, found := Lookup(Sum(Fold(p)))
		require.True(t, found, p)
		require.Greater(t, rank, last, "%s is rarer than the one before", p)
		last = rank
	}
	for _, p := range []string{"", "123456", "correct horse battery staple", "a quiet harbour at dawn", "kowalczykowa-71"} {
		_, found := Lookup(Sum(Fold(p)))
		require.False(t, found, p)
	}
}

// Otherwise a good password could be refused for a word that it does not contain.
func TestLookup_findsNextToNothingElse(t *testing.T) {
	hits, random := 0, rand.New(rand.NewPCG(1, 2)) // the same texts in every run
	for range 1_000_000 {
		if _, found := Lookup(Sum([]rune(strconv.FormatUint(random.Uint64(), 36)))); found {
			hits++
		}
	}
	require.LessOrEqual(t, hits, 1, "of a million random texts")
}

func TestFold_makesOneOfAllSpellings(t *testing.T) {
	for _, s := range []string{"password", "PASSWORD", "ｐａｓｓｗｏｒｄ", "pässwörd", "pass\u200bword", "𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝"} {
		require.Equal(t, "password", string(Fold(s)), s)
	}
	require.Equal(t, "пароль", string(Fold("Пароль")))
}

func TestBuild_isTheSameEachTimeAndKeepsTheCommonerRank(t *testing.T) {
	in := []string{"123456", "dragon", "abc", "Dragon", "1234567", "this one is longer than thirty-two"}
	a, count, err := Build(in)
	require.NoError(t, err)
	require.Equal(t, 2, count, "dragon once and 1234567")
	b, _, err := Build(slices.Clone(in))
	require.NoError(t, err)
	require.Equal(t, a, b)
	_, _, err = Build([]string{"abc"})
	require.Error(t, err)
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	h := Sum(Fold("michael"))
	for b.Loop() {
		Lookup(h)
	}
	b.ReportMetric(float64(Size()), "file-bytes")
}
