// Package verify is for a service of one's own: net/http middleware that accepts the family's access tokens for this service, and nothing else.
//
//	tokens, err := verify.New(verify.Config{Issuer: "https://api.example.org", Audience: "notes", Log: log})
//	guard, err := tokens.Guard(verify.Policy{
//		"GET /v1/notes":         verify.Require("notes:read"),
//		"DELETE /v1/notes/{id}": verify.Require("notes:delete").WithStepUp("aal2", 5*time.Minute),
//	})
//	http.ListenAndServe("127.0.0.1:9000", guard(mux))
//
// In a handler, FromContext tells who calls.
//
// # What is checked
//
// A token is a JWT of the type at+jwt (RFC 9068), signed with EdDSA or ES256 by a key of the issuer's key set, of this issuer, for exactly this one
// audience, within its times, with sub, jti and client_id. What two readers could read differently is refused: members that are named twice, names
// with escapes, header parameters that the family does not write (crit, jwk, jku, x5c ...), base64 that has a second spelling. The family's own
// services check the same; a test feeds both the same attacks.
//
// Keys come from the issuer's metadata (RFC 8414) and are kept. A key set that can't be fetched again counts for a day more; a kid that is not in it
// causes one fetch in ten seconds at the most, whoever asks.
//
// # What has ended before its time
//
// Without Config.Feed a token holds until it expires, which is at most 15 minutes, though its session, its key or its user may have ended: New says so
// in the log. With it the service follows the kms's revocation feed and learns of every end within a second; Verifier.Run must run then. A service that
// has not heard of the feed for 30 seconds answers 503 to every request that needs a token. The service needs the scope revocations:read for it,
// which an administrator gives when it is registered:
//
//	fountain services register notes --declare notes:read --declare notes:delete --scope revocations:read
//
// # Answers
//
// Refusals are problem documents (RFC 9457) with the challenge of RFC 6750, section 3, or of RFC 9470, section 3, where a second factor is
// missing. None of them repeats a token or a value of the request.
package verify
