package kms_test

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

// attempt signs in and returns the status.
func (h *house) attempt(username, password string) *api.LoginUserResult {
	h.t.Helper()
	got, err := h.client.LoginUserWithResponse(h.t.Context(), nil, api.Login{Username: username, Password: password})
	require.NoError(h.t, err)
	return got
}

// P5: 32 concurrent requests with the token create one administrator.
func TestBootstrapAdmin_makesOneAdministratorOf32(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		token := h.bootstrapToken()
		var made, refused atomic.Int64
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				got, err := h.client.BootstrapAdminWithResponse(t.Context(), api.AdminBootstrap{
					Token: token, Username: "admin" + string(rune('a'+i%26)) + string(rune('a'+i/26)), Password: adminPassword,
				})
				if err != nil {
					t.Error(err)
					return
				}
				switch got.StatusCode() {
				case http.StatusCreated:
					made.Add(1)
				case http.StatusUnauthorized, http.StatusConflict, http.StatusServiceUnavailable: // overloaded by hashes
					refused.Add(1)
				default:
					t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, made.Load())
		require.EqualValues(t, 31, refused.Load())
	})
}

func TestBootstrapAdmin_isClosedForEver(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	token := h.bootstrapToken()
	h.bootstrap()
	again := func(token string) string {
		got, err := h.client.BootstrapAdminWithResponse(t.Context(), api.AdminBootstrap{Token: token, Username: "eve", Password: adminPassword})
		require.NoError(t, err)
		return code(got.Body)
	}
	require.Equal(t, "bootstrap_closed", again(token))
	require.NoError(t, h.stop())
	h.run()
	require.NoFileExists(t, filepath.Join(h.dir, "bootstrap.token"), "a start with an administrator writes none")
	require.Equal(t, "bootstrap_closed", again(token))
}

func TestBootstrapToken_isReplacedAtEachStartAndLivesAnHour(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	try := func(token string) string {
		got, err := h.client.BootstrapAdminWithResponse(t.Context(), api.AdminBootstrap{Token: token, Username: adminName, Password: adminPassword})
		require.NoError(t, err)
		if got.StatusCode() == http.StatusCreated {
			return "made"
		}
		return code(got.Body)
	}
	info, err := os.Stat(filepath.Join(h.dir, "bootstrap.token"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, "invalid_bootstrap_token", try(strings.Repeat("A", 43)))
	first := h.bootstrapToken()
	require.NoError(t, h.stop())
	h.run()
	second := h.bootstrapToken()
	require.NotEqual(t, first, second)
	require.Equal(t, "invalid_bootstrap_token", try(first))
	h.clock.Advance(time.Hour + time.Second)
	require.Equal(t, "invalid_bootstrap_token", try(second))
	require.NoError(t, h.stop())
	h.run()
	require.Equal(t, "made", try(h.bootstrapToken()))
}

func TestBootstrapToken_comesAgainWhenSomebodyOnTheMachineRemovesIt(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	before := h.bootstrapToken()
	path := filepath.Join(h.dir, "bootstrap.token")
	require.NoError(t, os.Remove(path))
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, 15*time.Second, 100*time.Millisecond)
	require.NotEqual(t, before, h.bootstrapToken())
	h.bootstrap()
}

func TestBootstrapAdmin_refusesWeakPasswords(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	for _, weak := range []string{"password1234", "qwertyuiop12", "aaaaaaaaaaaa", "123456789012", "adaadaadaada", "Iloveyou!!!!!"} {
		got, err := h.client.BootstrapAdminWithResponse(t.Context(), api.AdminBootstrap{Token: h.bootstrapToken(), Username: adminName, Password: weak})
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), weak)
		require.Equal(t, "weak_password", code(got.Body))
		require.NotContains(t, string(got.Body), weak)
	}
	h.bootstrap()
}

func TestLogin_refusesAllAlike(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin := h.bootstrap()
		p := h.prover()
		raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		grace := h.user("grace", "editor", raised)
		h.change(grace.ID, `{"status":"disabled"}`, raised)
		var answers []string
		for _, who := range [][2]string{
			{adminName, "wrong password here"}, {"nobody", adminPassword}, {"grace", userPassword}, {"ａｄａ", adminPassword},
			{" " + adminName, adminPassword}, {"' OR 1=1 --", adminPassword}, {admin.ID, adminPassword},
		} {
			got := h.attempt(who[0], who[1])
			require.Equal(t, http.StatusUnauthorized, got.StatusCode(), who[0])
			require.NotEmpty(t, got.HTTPResponse.Header.Get("WWW-Authenticate"))
			body := string(got.Body)
			answers = append(answers, body[:strings.Index(body, `"instance"`)])
		}
		require.Len(t, slices.Compact(answers), 1)
	})
}

// Phones capitalise the first letter of a name. The name is the same, and so are its count of failures and its lock.
func TestLogin_takesCapitalsForSmallLetters(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, "wrong password here").StatusCode())
		h.login(strings.ToUpper(adminName[:1])+adminName[1:], adminPassword)
		h.login(strings.ToUpper(adminName), adminPassword)
		require.Equal(t, http.StatusUnauthorized, h.attempt(strings.ToUpper(adminName), strings.ToUpper(adminPassword)).StatusCode(), "a password is what was chosen")
		for _, other := range []string{"\u212aing", "ａｄａ", "ADA.", " ADA"} { // a name that folds to another one is not that name
			require.Equal(t, http.StatusUnauthorized, h.attempt(other, adminPassword).StatusCode(), other)
		}
	})
}

// P2, J11: the lock applies to every spelling, also with the correct password, and ends by itself.
func TestLogin_locksAfterFiveFailuresWhateverTheSpelling(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		tokens := h.login(adminName, adminPassword)
		for i, spelling := range []string{"ada", "ADA", "ａｄａ", "ada.", " ada "} {
			require.Equal(t, http.StatusUnauthorized, h.attempt(spelling, "wrong password here").StatusCode(), i)
		}
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, adminPassword).StatusCode(), "locked, and says nothing of it")
		for _, grant := range []string{"password", "urn:ietf:params:oauth:grant-type:jwt-bearer"} {
			got, err := h.client.IssueTokenWithFormdataBodyWithResponse(t.Context(), api.TokenRequest{GrantType: grant})
			require.NoError(t, err)
			require.Equal(t, "unsupported_grant_type", code(got.Body), "there is no other way in by password")
		}
		refreshed, err := h.client.RefreshTokenWithResponse(t.Context(), api.Refresh{RefreshToken: *tokens.RefreshToken})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, refreshed.StatusCode(), "who is signed in stays so: locking is no way to throw people out")
		h.clock.Advance(29 * time.Second)
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, adminPassword).StatusCode())
		h.clock.Advance(2 * time.Second)
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, "wrong password here").StatusCode(), "the sixth is judged")
		h.clock.Advance(59 * time.Second)
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, adminPassword).StatusCode(), "the wait has doubled")
		h.clock.Advance(2 * time.Second)
		h.login(adminName, adminPassword)
		for range 4 {
			require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, "wrong password here").StatusCode())
		}
		h.login(adminName, adminPassword) // a success has forgiven
	})
}

func TestLogin_lockGrowsToFifteenMinutesAndNoFurther(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	for range 4 {
		h.attempt(adminName, "wrong password here")
	}
	for _, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		h.attempt(adminName, "wrong password here") // this one locks
		h.clock.Advance(wait - time.Second)
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, adminPassword).StatusCode(), wait)
		h.clock.Advance(2 * time.Second)
	}
	h.login(adminName, adminPassword)
}

// The clock was a year ahead at the first start and was corrected. People can sign in, locks do not last a year, and the log reports both.
func TestLogin_worksAfterAClockThatWasAhead(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		for range 5 {
			h.attempt(adminName, "wrong password here")
		}
		h.attempt("grace", "wrong password here")
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, adminPassword).StatusCode(), "locked")
		h.clock.Advance(-365 * 24 * time.Hour)
		h.login(adminName, adminPassword)
		for range 5 {
			h.attempt(adminName, "wrong password here")
		}
		require.Equal(t, http.StatusUnauthorized, h.attempt(adminName, adminPassword).StatusCode(), "a lock of now holds")
		h.clock.Advance(time.Hour)
		for range 5 {
			h.attempt("grace", "wrong password here")
		}
		h.clock.Advance(-time.Hour + time.Minute)
		require.NoError(t, h.stop())
		h.run() // the sweep of the start
		h.login(adminName, adminPassword)
		require.Eventually(t, func() bool {
			return strings.Contains(h.log.String(), "the signing keys begin in the future") && strings.Contains(h.log.String(), "were in the future and were removed")
		}, 10*time.Second, 10*time.Millisecond)
	})
}

// P1: the duration must not reveal that a name is unknown. Most of the time is the hash, which allocates its memory each time, so the allocated bytes count the
// hashes even on a busy machine.
func TestLogin_takesAsLongForNobody(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	const hash = 19456 << 10 // bytes (password.memory)
	hashes := func(name string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.Equal(t, http.StatusUnauthorized, h.attempt(name, "wrong password here").StatusCode())
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / hash
	}
	for i := range 9 {
		require.EqualValues(t, 1, hashes(adminName), "known, and from the sixth attempt on locked")
		require.EqualValues(t, 1, hashes("nobody"), "unknown, and locked as well")
		require.EqualValues(t, 1, hashes("nobody"+string(rune('a'+i))), "unknown")
	}
}

// P3: a flood is answered with 503 and Retry-After, and does not exhaust memory.
func TestLogin_floodIsRefusedWithRetryAfter(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	var busy, wrong atomic.Int64
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			got := h.attempt("nobody"+strings.Repeat("x", i), "wrong password here")
			switch got.StatusCode() {
			case http.StatusServiceUnavailable:
				if got.HTTPResponse.Header.Get("Retry-After") == "" || code(got.Body) != "overloaded" {
					t.Errorf("no Retry-After: %s", got.Body)
				}
				busy.Add(1)
			case http.StatusUnauthorized:
				wrong.Add(1)
			default:
				t.Errorf("%d %s", got.StatusCode(), got.Body)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 100, busy.Load()+wrong.Load())
	require.Positive(t, wrong.Load())
	h.login(adminName, adminPassword)
}

// Attempts of one person are checked one at a time: many concurrent ones with the correct password all succeed.
func TestLogin_manyAtOnceOfOnePersonDoNotLock(t *testing.T) {
	each(t, func(h *house) {
		h.bootstrap()
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				got := h.attempt(adminName, adminPassword)
				for got.StatusCode() == http.StatusServiceUnavailable { // on a slow machine its turn may not have come in time
					got = h.attempt(adminName, adminPassword)
				}
				if got.StatusCode() != http.StatusOK {
					h.t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			})
		}
		all.Wait()
	})
}

// Of many concurrent wrong guesses at most five are checked: the correct one among the later ones fails.
func TestLogin_parallelGuessesShareOneBudget(t *testing.T) {
	each(t, func(h *house) {
		h.bootstrap()
		for range 5 {
			h.attempt(adminName, "wrong password here")
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := h.attempt(adminName, adminPassword); got.StatusCode() == http.StatusOK {
					h.t.Error("a guess beyond the budget was judged")
				}
			})
		}
		all.Wait()
	})
}
