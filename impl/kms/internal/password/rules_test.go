package password

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
)

// Common guesses, and which of the reasons each must have.
var refused = []struct {
	reason    *Reason
	passwords []string
}{
	{ErrTooShort, []string{"", "short", "elevenchars", "Tr0ub4dor&3", "xK9#mQ2$vL7", "ünïcödé ïs", norm.NFD.String("äöüäöüäöüäö")}},
	{ErrTooLong, []string{strings.Repeat("x", 1025), strings.Repeat("a quiet harbour at dawn ", 50), strings.Repeat("ä", 1025)}},
	{ErrTooCommon, []string{
		// from the issue
		"passw0rdpassw0rd", "michael123456", "Company2026!!",
		// listed as they stand
		"1q2w3e4r5t6y", "tobeornottobe", "contraseña1234", "motherfucker", "unbelievable", "administrator", "qazwsxedcrfv", "iloveyouforever", "letmeinplease",
		// decorated
		"password1234", "Password2026!", "Iloveyou!!!!!", "Summer2026!!!", "welcome123456", "123456welcome", "!!!dragon!!!", "monkey-12345", "Football#2025", "sunshine99999",
		"administrator1", "January2026!!", "shadow 1234567", "Superman.2024.", "baseball(2001)", "Dragon 11/25/2026",
		// l33t
		"p@ssw0rd2026", "P4$$w0rd!!!!", "1l0v3y0u1234", "w3lc0m3w3lc0m3", "tru5tn01tru5tn01", "B4s3b4ll2026",
		// doubled, joined, backwards
		"PASSWORDPASSWORD", "passwordPassword1", "letmein-letmein", "ppaasswwoorrdd", "drowssapdrowssap", "drowssap1234", "dragonfootballmonkey", "password monkey", "princesspassword",
		// other spellings and scripts
		"ｐａｓｓｗｏｒｄ１２３４", "pässwörd-pässwörd", "pass\u200bword1234", "PASSWORD\u00ad2026", "пароль123456",
	}},
	{ErrTooSimple, []string{
		"aaaaaaaaaaaaaa", "abababababab", "abcabcabcabc", "12341234123412", "111111222222", "aabbccddeeff", "0100110010110100", "xyxyxyxyyxyx", strings.Repeat("ab", 12) + "x", strings.Repeat("z", 1024),
		"123456789012", "234567890123", "987654321098", "abcdefghijkl", "zyxwvutsrqpo", "ABCDEFabcdef123456", "acegikmoqsuw", "2468024680246802",
		"!QAZ2wsx#EDC", "qwertyuiop12", "qwertyuiop123", "asdfghjkl;'asd", "zaq12wsxcde34rfv", "yxcvbnmasdfghjk", "йцукенгшщзхъ",
		"25.11.2026 26.11.2026", "198419851986", "20261125 20261126", "\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b", "\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600",
	}},
	{ErrContext, []string{
		"ada.lovelace1", "1ada.lovelace!", "AdaLovelace2026", "lovelace12345", "adaadaadaada", "ada-2026-ada-2026", "l0vel4ce2026!", "ecalevol.ada1", "ADA_LOVELACE",
		"fountainfountain", "Fountain2026!", "FountainAI-kms1", "f0unt41n2026", "niatnuof2026", "TwoFactor1234", "kmskmskmskms",
	}},
}

// Sentences and random texts, and passwords that only resemble refused ones.
var accepted = []string{
	"correct horse battery staple", "a quiet harbour at dawn", "a lantern over the river", "a long password of yours", "a lamp nobody else has lit", "canary-password-7fd0", "ünïcödé is fine too",
	"adaptable adages", "my ada.lovelace notebook", strings.Repeat("long enough ", 80), "the cat sat on the mat", "wer kennt das schon?", "Kaffee am Montag", "lamp and ladder",
	"seven green bicycles", "rain on a tin roof", "meet me by the old mill", "every second tuesday", "two pears and a knife", "je pense donc je mange", "vier Katzen im Garten",
	"no fountain without water", "my first kms password was bad", "three herons, one pond", "paint the gate blue", "quince-otter-lagoon", "marble vellum thicket", "cold soup, warm bread",
	"ein Fahrrad ohne Kette", "la lluvia de noviembre", "мой дядя самых честных", "дождь за старым окном", "猫が屋根の上で眠っている夜", "雨が静かに降る港町の朝です", "kobber og salt i havet",
	"k8#Qz!v2Lw9$", "hV3pXq8LmZt2", "xkqvjwzmfptb", "9f86d081884c7d65", "XohImNooBHFR0OVvjcYpJ3NgPQ1qxxyz", "dGhpcyBpcyBub3Q", "zT7-pK2-wN9-qX4", "0qf7-m3zk-88vx", "fR&8dk1@Lq0~",
	"b7Jw2kPz9sQm", "qL5vN8xT2rYc", "wz-4H.tq9_Kb", "uvbmwqzkxyfj", "hgzt83kdqw5n", "mVx2!kQp7#Zr", "83920571640382957", "Tr0ub4dor&3-plus", "ninechars-ok",
}

func TestCheck_refusesWhatGuessersTryFirst(t *testing.T) {
	for _, group := range refused {
		for _, p := range group.passwords {
			err := Check(p, "ada.lovelace")
			var rejected *Rejected
			if !errors.As(err, &rejected) {
				t.Errorf("%q is accepted", p)
				continue
			}
			require.ErrorIs(t, err, domain.WeakPassword, p)
			require.ErrorIs(t, err, group.reason, p)
			require.NotEmpty(t, rejected.Reasons)
			if len(p) >= MinLength {
				require.NotContains(t, err.Error(), p)
			}
		}
	}
}

func TestCheck_acceptsSentencesAndRandomTexts(t *testing.T) {
	for _, p := range accepted {
		require.NoError(t, Check(p, "ada.lovelace"), p)
	}
	// The texts are the same in every run: a random text of 14 characters contains a word by chance about once in a million.
	source := rand.NewChaCha8([32]byte{1})
	random := make([]byte, 16)
	for range 200 {
		source.Read(random)
		text := base32.StdEncoding.EncodeToString(random)[:26]
		require.NoError(t, Check(text, "ada"))
		require.NoError(t, Check(text[:14], "ada"))
		require.NoError(t, Check(hex.EncodeToString(random), "ada"))
	}
}

// Decorating a refused password does not circumvent the rule.
func TestCheck_seesThroughDecoration(t *testing.T) {
	for _, p := range []string{"passw0rdpassw0rd", "michael123456", "fountainfountain", "ada.lovelace1", "123456789012", "aaaaaaaaaaaa"} {
		for _, form := range []string{p, strings.ToUpper(p), p + "1", "1" + p, p + "!", "!" + p + "!", p + p, p + "123", "2026" + p, " " + p + " ", p + "\u200b", norm.NFD.String(p)} {
			require.Error(t, Check(form, "ada.lovelace"), form)
		}
	}
}

// Only the own username is context: a password that is refused for one user is good for another.
func TestCheck_knowsWhoseNameItIs(t *testing.T) {
	const p = "kowalczykowa-71"
	require.NoError(t, Check(p, "ada"))
	require.ErrorIs(t, Check(p, "kowalczykowa"), ErrContext)
	require.ErrorIs(t, Check(p, "maria.kowalczykowa@example"), ErrContext)
	require.ErrorIs(t, Check("K0walczykowa-71", "kowalczykowa"), ErrContext)
}

func TestCheck_countsCodePointsOfTheNFCForm(t *testing.T) {
	const twelve = "äqöxüzäjökyq"
	require.NoError(t, Check(norm.NFC.String(twelve), "ada"))
	require.NoError(t, Check(norm.NFD.String(twelve), "ada"))
	require.ErrorIs(t, Check(norm.NFD.String("äqöxüzäjöky"), "ada"), ErrTooShort, "eleven, though sixteen code points are typed")
}

func FuzzCheck(f *testing.F) {
	for _, group := range refused {
		for _, p := range group.passwords {
			f.Add(p, "ada.lovelace")
		}
	}
	for _, p := range accepted {
		f.Add(p, "kms")
	}
	f.Add("\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe", "\xff")
	f.Add(strings.Repeat("\ufdfa", 1024), "ada")
	reasons := []*Reason{ErrTooShort, ErrTooLong, ErrTooCommon, ErrTooSimple, ErrContext}
	f.Fuzz(func(t *testing.T, password, username string) {
		err := Check(password, username)
		require.Equal(t, err, Check(norm.NFD.String(password), username), "both spellings are judged alike")
		if err == nil {
			return
		}
		var rejected *Rejected
		require.ErrorAs(t, err, &rejected)
		require.NotEmpty(t, rejected.Reasons)
		for _, r := range rejected.Reasons {
			require.True(t, slices.Contains(reasons, r), "nothing but the closed set is said")
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	random := make([]byte, MaxLength/2)
	rand.NewChaCha8([32]byte{2}).Read(random)
	for _, p := range []struct{ name, password string }{
		{"passphrase of 23", "a quiet harbour at dawn"},
		{"refused, 16", "passw0rdpassw0rd"},
		{"random, 1024", hex.EncodeToString(random)},
		{"one character, 1024", strings.Repeat("a", MaxLength)},
		{"digits in order, 1024", strings.Repeat("1234567890", 103)[:MaxLength]},
		{"l33t, 1024", strings.Repeat("p4$$w0rd", MaxLength/8)},
	} {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Check(p.password, "ada.lovelace")
			}
		})
	}
}

// A check is quick for any input: it runs outside the queue of the argon2 hash, which is slow by design.
func TestCheck_boundsItsWork(t *testing.T) {
	allocated := testing.AllocsPerRun(10, func() { Check(strings.Repeat("p4$$w0rd", MaxLength/8), "ada.lovelace") })
	require.Less(t, allocated, 100.0)
	for _, p := range accepted {
		require.NoError(t, Check(p[:min(len(p), 200)]+strings.Repeat("password", 100), "ada.lovelace"), "what follows never makes a good text bad")
	}
}
