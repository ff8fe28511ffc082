package id_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/id"
)

func TestNew_isValidAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		s := id.New("usr")
		require.True(t, id.Valid("usr", s), s)
		require.False(t, seen[s], "the same identifier twice")
		seen[s] = true
	}
}

func TestValid_refusesEveryOtherSpelling(t *testing.T) {
	good := id.New("key")
	for name, s := range map[string]string{
		"empty":          "",
		"other prefix":   "usr" + good[3:],
		"no prefix":      good[4:],
		"lower case":     strings.ToLower(good),
		"too short":      good[:len(good)-1],
		"too long":       good + "0",
		"space":          good[:len(good)-1] + " ",
		"letter I":       good[:len(good)-1] + "I",
		"time overflows": "key_8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
	} {
		require.False(t, id.Valid("key", s), name)
	}
}

func TestValid_neverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		if id.Valid("usr", "usr_"+s) && len(s) != 26 {
			t.Fatalf("accepted %q", s)
		}
	})
}
