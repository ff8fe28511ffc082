package twofactor

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/qr"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var base32NoPadding = base32.StdEncoding.WithPadding(base32.NoPadding)

func TestService_takesAFactorThroughItsLife(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.someone()
		a := w.call(t, c, "POST", "/factors/totp", `{"label":"my phone"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		id, secret, uri := a.Text(t, "factorId"), a.Text(t, "secret"), a.Text(t, "otpauthUri")
		require.Len(t, secret, 32)
		require.Equal(t, "otpauth://totp/FountainAI:"+c.Subject+"?secret="+secret+"&issuer=FountainAI&algorithm=SHA1&digits=6&period=30", uri)
		require.Equal(t, w.now.Now().Add(10*time.Minute).Format(time.RFC3339Nano), a.Text(t, "expiresAt"))

		want, err := qr.Encode(uri)
		require.NoError(t, err)
		picture := w.call(t, c, "GET", "/factors/totp/"+id+"/qr.png", "")
		drawn, err := want.PNG(366)
		require.NoError(t, err)
		require.Equal(t, drawn, picture.Body)
		_, err = png.Decode(bytes.NewReader(picture.Body))
		require.NoError(t, err)
		drawing := w.call(t, c, "GET", "/factors/totp/"+id+"/qr.svg", "")
		require.Equal(t, want.SVG(366), drawing.Body)
		for _, size := range []int{64, 121, 480, 2048} {
			picture := w.call(t, c, "GET", "/factors/totp/"+id+"/qr.png?size="+strconv.Itoa(size), "")
			sized, err := png.Decode(bytes.NewReader(picture.Body))
			require.NoError(t, err, "%s", picture.Body)
			edge := want.Size() + 8
			require.Equal(t, size/edge*edge, sized.Bounds().Dx(), "asked for %d", size)
			drawing := w.call(t, c, "GET", "/factors/totp/"+id+"/qr.svg?size="+strconv.Itoa(size), "")
			require.Contains(t, string(drawing.Body), fmt.Sprintf(` width="%d" height="%d"`, size, size))
		}
		for _, size := range []string{"63", "2049", "-1", "1e3", ""} {
			refused(t, w.call(t, c, "GET", "/factors/totp/"+id+"/qr.png?size="+size, ""), 400, "invalid_parameter")
		}
		require.Equal(t, "image/svg+xml", drawing.Header.Get("Content-Type"))
		require.Equal(t, "no-store", drawing.Header.Get("Cache-Control"))

		confirmed := w.call(t, c, "POST", "/factors/totp/"+id+"/confirm", `{"code":"`+w.code(t, secret, 0)+`"}`)
		require.Equal(t, http.StatusOK, confirmed.Status, "%s", confirmed.Body)
		require.Equal(t, "active", confirmed.Text(t, "status"))
		// The first code is used up. In the session that gave it, it has proved what a later code would prove.
		first, err := auth.VerifyProof(t.Context(), confirmed.JSON(t)["proof"].(map[string]any)["proof"].(string), w.kms.proofKeys, w.now)
		require.NoError(t, err)
		require.Equal(t, c.Subject+" "+c.SessionID+" "+c.ClientID, first.Subject+" "+first.SessionID+" "+first.AuthorizedParty)
		require.Equal(t, auth.FactorTOTP, first.Factor)
		require.Equal(t, "aal2", first.ACR)
		require.Equal(t, w.now.Now().Add(time.Minute), first.ExpiresAt.UTC())
		refused(t, w.call(t, c, "GET", "/factors/totp/"+id+"/qr.png", ""), 404, "not_found")
		refused(t, w.call(t, c, "GET", "/factors/totp/"+id+"/qr.svg", ""), 404, "not_found")
		refused(t, w.call(t, c, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`), 422, "invalid_code")

		w.now.Advance(30 * time.Second)
		verified := w.call(t, c, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`)
		require.Equal(t, http.StatusOK, verified.Status, "%s", verified.Body)
		claims, err := auth.VerifyProof(t.Context(), verified.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.NoError(t, err, "the kms knows the key")
		require.Equal(t, c.Subject+" "+c.SessionID+" "+c.ClientID, claims.Subject+" "+claims.SessionID+" "+claims.AuthorizedParty)
		require.Equal(t, w.now.Now().Format(time.RFC3339Nano), verified.Text(t, "authTime"))

		list := w.call(t, c, "GET", "/factors", "")
		require.Contains(t, string(list.Body), `"label":"my phone"`)
		require.NotContains(t, string(list.Body), secret)
		refused(t, w.call(t, c, "DELETE", "/factors/"+id, ""), 401, "insufficient_user_authentication")
		require.Equal(t, http.StatusNoContent, w.call(t, w.raised(c), "DELETE", "/factors/"+id, "").Status)
		refused(t, w.call(t, w.raised(c), "DELETE", "/factors/"+id, ""), 404, "not_found")
		require.JSONEq(t, `{"items":[]}`, string(w.call(t, c, "GET", "/factors", "").Body))
	})
}

func TestEnrolTotp_challengesAsRFC9470Says(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.someone()
		stale := *c
		stale.AuthTime -= 15*60 + 1
		a := w.call(t, &stale, "POST", "/factors/totp", `{}`)
		refused(t, a, 401, "insufficient_user_authentication")
		require.Contains(t, a.Header.Get("WWW-Authenticate"), `acr_values="aal1"`)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), `max_age="900"`)
		keyed := *c // a token from an API key has no sign-in at all
		keyed.AuthTime, keyed.SessionID = 0, ""
		refused(t, w.call(t, &keyed, "POST", "/factors/totp", `{}`), 401, "insufficient_user_authentication")

		w.enrolled(t, c)
		a = w.call(t, c, "POST", "/factors/totp", `{}`)
		refused(t, a, 401, "insufficient_user_authentication")
		require.Contains(t, a.Header.Get("WWW-Authenticate"), `acr_values="aal2"`)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), `max_age="300"`)
		require.Equal(t, http.StatusCreated, w.call(t, w.raised(c), "POST", "/factors/totp", `{"algorithm":"SHA512","digits":8,"period":60}`).Status)
		old := w.raised(c)
		old.AuthTime -= 301
		refused(t, w.call(t, old, "POST", "/factors/totp", `{}`), 401, "insufficient_user_authentication")
	})
}

func TestEnrolTotp_repeatsItsAnswerForTheSameKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.someone()
		first := w.call(t, c, "POST", "/factors/totp", `{"label":"phone"}`, "Idempotency-Key", "enrol-0001")
		require.Equal(t, http.StatusCreated, first.Status, "%s", first.Body)
		again := w.call(t, c, "POST", "/factors/totp", `{ "label" : "phone" }`, "Idempotency-Key", "enrol-0001")
		require.Equal(t, http.StatusCreated, again.Status)
		require.JSONEq(t, string(first.Body), string(again.Body))
		refused(t, w.call(t, c, "POST", "/factors/totp", `{"label":"other"}`, "Idempotency-Key", "enrol-0001"), 422, "idempotency_conflict")
		for range 4 {
			require.Equal(t, http.StatusCreated, w.call(t, c, "POST", "/factors/totp", `{}`).Status)
		}
		refused(t, w.call(t, c, "POST", "/factors/totp", `{}`), 409, "limit_reached")
		w.now.Advance(11 * time.Minute)
		refused(t, w.call(t, c, "POST", "/factors/totp", `{"label":"phone"}`, "Idempotency-Key", "enrol-0001"), 409, "replay_expired")
		refused(t, w.call(t, c, "POST", "/factors/totp/"+first.Text(t, "factorId")+"/confirm", `{"code":"123456"}`), 410, "gone")
	})
}

func TestVerifyOtp_saysWhenToComeBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.someone()
		_, secret := w.enrolled(t, c)
		for range 5 {
			refused(t, w.call(t, c, "POST", "/verify", `{"code":"`+w.code(t, secret, 500)+`"}`), 422, "invalid_code")
		}
		a := w.call(t, c, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`)
		refused(t, a, 429, "too_many_attempts")
		require.Equal(t, "30", a.Header.Get("Retry-After"))
		require.Contains(t, string(w.call(t, c, "GET", "/factors", "").Body), `"status":"locked"`)
		w.now.Advance(30 * time.Second)
		require.Equal(t, http.StatusOK, w.call(t, c, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`).Status)
	})
}

func TestVerifyOtp_refusesBodiesThatAreNoCode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.someone()
		_, secret := w.enrolled(t, c)
		code := w.code(t, secret, 0)
		for _, body := range []string{
			``, `{}`, `null`, `[]`, `"` + code + `"`, `{"code":` + code + `}`, `{"code":null}`, `{"code":""}`, `{"code":" ` + code + `"}`, `{"code":"` + code + ` "}`,
			`{"code":"` + code + `\n"}`, `{"code":"` + code + `\u0000"}`, `{"code":"\u00a0` + code + `"}`, `{"code":"１２３４５６"}`, `{"code":"٠١٢٣٤٥"}`, `{"code":"+` + code[1:] + `"}`,
			`{"code":"` + code + `0"}`, `{"code":"` + code[:5] + `"}`, `{"code":"` + code + `","subject":"usr_x"}`, `{"code":"000000","code":"` + code + `"}`,
			`{"code":"` + code + `"} {}`, `{"Code":"` + code + `"}`, "{\"code\":\"\xff\xfe1234\"}", `{"code":"` + strings.Repeat("1", 60_000) + `"}`, `{"code":"` + strings.Repeat("1", 70_000) + `"}`,
		} {
			a := w.call(t, c, "POST", "/verify", body)
			require.Contains(t, []int{400, 413, 415, 422}, a.Status, "%.60s: %s", body, a.Body)
			require.NotEqual(t, "invalid_code", a.Text(t, "code"), "%.60s", body)
			require.NotContains(t, string(a.Body), code)
		}
		require.Equal(t, http.StatusOK, w.call(t, c, "POST", "/verify", `{"code":"`+code+`"}`).Status, "none of them was counted or burnt the code")
	})
}

// A code is text. Leading zeros are kept everywhere, and a code without them is not accepted (T14).
func TestVerifyOtp_keepsLeadingZeros(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		steps := func(secret string, within int64) int64 { // until the code begins with 0
			for n := range within {
				if strings.HasPrefix(w.code(t, secret, n), "0") {
					return n
				}
			}
			return -1
		}
		var ada *auth.Claims
		var id, secret string
		ahead := int64(-1)
		for ahead < 0 { // seven of eight seeds have such a code while they can be confirmed
			ada = w.someone()
			a := w.call(t, ada, "POST", "/factors/totp", `{}`)
			require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
			id, secret = a.Text(t, "factorId"), a.Text(t, "secret")
			ahead = steps(secret, 19)
		}
		shop := servicetest.User("twofactor", w.now.Now())
		shop.Subject, shop.ClientID, shop.Principal, shop.Scope = "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", auth.KindService, "factors:verify"
		shop.SessionID, shop.ACR, shop.AMR, shop.AuthTime = "", "", nil, 0
		for _, way := range []struct {
			caller *auth.Claims
			path   string
		}{{ada, "/factors/totp/" + id + "/confirm"}, {ada, "/verify"}, {shop, "/subjects/" + ada.Subject + "/verify"}} {
			w.now.Advance(time.Duration(ahead) * 30 * time.Second)
			code := w.code(t, secret, 0)
			for _, shortened := range []string{`"` + code[1:] + `"`, strings.TrimLeft(code, "0"), `"0` + code + `"`} {
				a := w.call(t, way.caller, "POST", way.path, `{"code":`+shortened+`}`)
				require.Contains(t, []int{400, 422}, a.Status, "%s", a.Body)
				require.NotEqual(t, "invalid_code", a.Text(t, "code"), "it is no code at all")
			}
			a := w.call(t, way.caller, "POST", way.path, `{"code":"`+code+`"}`)
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
			w.now.Advance(time.Minute) // past the steps of this code
			ahead = steps(secret, 500)
		}
	})
}

func TestService_letsInUsersWithTheScopeOnly(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := "fac_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
		path := strings.NewReplacer("/twofactor/v1", "", "{factorId}", id, "{challengeId}", "chl_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "{subjectId}", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P")
		noScope, user, service, elsewhere, expired := w.someone(), w.someone(), w.someone(), w.someone(), w.someone()
		noScope.Scope = "session:manage"
		user.Scope = "factors:manage factors:verify challenges:use deliveries:read"
		service.Principal, service.Subject, service.Scope = auth.KindService, "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", user.Scope
		elsewhere.Audience = jwt.ClaimStrings{"kms"}
		expired.ExpiresAt.Time = w.now.Now().Add(-time.Minute)
		for _, op := range servicetest.Contract(t, "twofactor").Operations {
			if op.Public {
				continue
			}
			try := func(c *auth.Claims) servicetest.Answer { return w.call(t, c, op.Method, path.Replace(op.Path), "") }
			refused(t, try(nil), 401, "authentication_required")
			refused(t, try(noScope), 403, "insufficient_scope")
			refused(t, try(elsewhere), 401, "invalid_token")
			refused(t, try(expired), 401, "invalid_token")
			if !slices.Contains(op.Policy.Principals, auth.KindService) {
				refused(t, try(service), 403, "principal_not_allowed")
			}
			if !slices.Contains(op.Policy.Principals, auth.KindUser) {
				refused(t, try(user), 403, "principal_not_allowed")
			}
		}
		refused(t, w.call(t, w.raised(w.someone()), "DELETE", "/factors/"+id, ""), 404, "not_found")
		refused(t, w.call(t, w.someone(), "GET", "/factors/totp/"+id+"/qr.svg", ""), 404, "not_found")
		refused(t, w.call(t, w.someone(), "POST", "/factors/totp/"+id+"/confirm", `{"code":"123456"}`), 404, "not_found")
		refused(t, w.call(t, w.someone(), "GET", "/factors?cursor=AAAA", ""), 400, "invalid_cursor")
	})
}

func TestListFactors_pages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.someone()
		var made, got []string
		for range 5 {
			made = append(made, w.call(t, c, "POST", "/factors/totp", `{}`).Text(t, "factorId"))
			w.now.Advance(time.Second)
		}
		for cursor := ""; ; {
			a := w.call(t, c, "GET", "/factors?limit=2"+cursor, "")
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
			var page struct {
				Items      []struct{ ID string }
				NextCursor string
			}
			require.NoError(t, json.Unmarshal(a.Body, &page))
			for _, f := range page.Items {
				got = append(got, f.ID)
			}
			if page.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + page.NextCursor
		}
		require.Equal(t, made, got)
	})
}

// What was acknowledged before a restart holds after it: the code stays used, and the kms still has the proof key.
func TestService_remembersThroughARestart(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := newWorld(t)
		w.start(t, c)
		w.WaitReady(t)
		user := w.someone()
		_, secret := w.enrolled(t, user)
		code := w.code(t, secret, 0)
		require.Equal(t, http.StatusOK, w.call(t, user, "POST", "/verify", `{"code":"`+code+`"}`).Status)
		w.Stop(t)
		w.start(t, c)
		w.WaitReady(t)
		refused(t, w.call(t, user, "POST", "/verify", `{"code":"`+code+`"}`), 422, "invalid_code")
		w.now.Advance(30 * time.Second)
		require.Equal(t, http.StatusOK, w.call(t, user, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`).Status)
		require.Len(t, w.kms.proofKeys, 1)
	})
}

func TestService_waitsForTheKms(t *testing.T) {
	w := newWorld(t)
	w.kms.Down.Store(true)
	w.start(t, store.Config{Dir: t.TempDir()})
	require.Equal(t, "ok", w.call(t, nil, "GET", "/health", "").Text(t, "status"))
	refused(t, w.call(t, nil, "GET", "/ready", ""), 503, "not_ready")
	refused(t, w.call(t, w.someone(), "GET", "/factors", ""), 503, "not_ready")
	w.kms.Down.Store(false)
	w.WaitReady(t)
	require.Equal(t, "ready", w.call(t, nil, "GET", "/ready", "").Text(t, "status"))
	require.Equal(t, http.StatusOK, w.call(t, w.someone(), "GET", "/factors", "").Status)
	w.identity.lost.Store(true)
	refused(t, w.call(t, nil, "GET", "/ready", ""), 503, "not_ready")
}

// This uses the real credential, from the enrolment token to the registered proof key. The second start needs no token.
func TestRun_enrolsItselfOnce(t *testing.T) {
	w := newWorld(t)
	settings := w.settings(t, store.Config{})
	for range 2 {
		w.Running = servicetest.Start(t, &settings.Service, func(ctx context.Context) error { return Run(ctx, settings) })
		w.WaitReady(t)
		require.Equal(t, "ready", w.call(t, nil, "GET", "/ready", "").Text(t, "status"))
		w.Stop(t)
		require.NoError(t, os.RemoveAll(settings.EnrolTokenFile))
	}
	require.Len(t, w.kms.proofKeys, 1)
}

func TestService_refusesADatabaseInUse(t *testing.T) {
	w, c := newWorld(t), store.Config{Dir: t.TempDir()}
	w.start(t, c)
	w.WaitReady(t)
	second := w.settings(t, c)
	second.Addr = "127.0.0.1:0"
	require.NoError(t, second.Validate())
	require.ErrorIs(t, run(t.Context(), second, http.DefaultClient, w.identity), store.ErrLocked)
}

func TestLog_holdsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.someone()
		a := w.call(t, c, "POST", "/factors/totp", `{"label":"canary-label"}`)
		id, secret := a.Text(t, "factorId"), a.Text(t, "secret")
		first, second := w.code(t, secret, -1), w.code(t, secret, 0)
		w.call(t, c, "GET", "/factors/totp/"+id+"/qr.svg", "")
		confirmed := w.call(t, c, "POST", "/factors/totp/"+id+"/confirm", `{"code":"`+first+`"}`)
		firstProof := confirmed.JSON(t)["proof"].(map[string]any)["proof"].(string)
		proof := w.call(t, c, "POST", "/verify", `{"code":"`+second+`"}`).Text(t, "proof")
		require.NotEmpty(t, proof)
		w.call(t, c, "POST", "/verify", `{"code":"`+second+`"}`)
		w.call(t, c, "POST", "/verify?code="+second, `{"code":"x`+second+`"}`, "X-OTP", second)
		w.Stop(t)
		logs := w.logs.String()
		require.Contains(t, logs, "verifyOtp", "the log was looked at")
		for _, canary := range []string{secret, `"` + first, `=` + second, `"` + second, proof, firstProof, "canary-label", servicetest.ServiceToken, w.kms.Token(t, c)} {
			require.NotContains(t, logs, canary)
		}
	})
}

func TestConfig_namesEveryFault(t *testing.T) {
	c := Config{OTPIssuer: "Fountain:AI"}
	err := c.Validate()
	for _, name := range []string{"ISSUER", "JWKS_URL", "KMS_URL", "ENROL_TOKEN_FILE", "DATA_DIR", "OTP_ISSUER"} {
		require.ErrorContains(t, err, name)
	}
	require.ErrorContains(t, Run(t.Context(), Config{}), "configuration of twofactor")
}
