// Package verify protects the HTTP API of your own service. Its net/http middleware accepts FountainAI access tokens
// that were issued for this service, and no other tokens.
//
//	tokens, err := verify.New(verify.Config{Issuer: "https://api.example.org", Audience: "notes", Log: log})
//	guard, err := tokens.Guard(verify.Policy{
//		"GET /v1/notes":         verify.Require("notes:read"),
//		"DELETE /v1/notes/{id}": verify.Require("notes:delete").WithStepUp("aal2", 5*time.Minute),
//	})
//	http.ListenAndServe("127.0.0.1:9000", guard(mux))
//
// In a handler, FromContext returns the caller.
//
// # What is checked
//
// A token is a JWT of the type at+jwt (RFC 9068). It must be signed with EdDSA or ES256 by a key of the issuer's key
// set, name this issuer and exactly this one audience, be within its validity period, and contain sub, jti and
// client_id. Anything that two parsers could read differently is refused: duplicate members, escaped member names,
// header parameters that FountainAI does not use (crit, jwk, jku, x5c ...), and base64 with more than one possible
// encoding. The FountainAI services make the same checks. A test runs the same attacks against both.
//
// The keys come from the issuer's metadata (RFC 8414) and are cached. If the key set cannot be fetched again, the cached
// one stays valid for one day. A kid that is not in the key set causes at most one fetch in ten seconds, however many
// requests have one.
//
// # Revocation
//
// Without Config.Feed a token is accepted until it expires, which is at most 15 minutes, even if its session, its key or
// its user has ended. New logs a warning about it. With Config.Feed the service follows the revocation feed of the kms
// and learns of every revocation within a second; Verifier.Run must be running. If the feed has not been read for 30
// seconds, every request that needs a token gets 503. The service needs the scope revocations:read, which an
// administrator grants at registration:
//
//	fountain services register notes --declare notes:read --declare notes:delete --scope revocations:read
//
// # Responses
//
// Refusals are problem documents (RFC 9457). They carry the challenge of RFC 6750, section 3, or of RFC 9470, section 3,
// if a second factor is missing. They never contain a token or a value of the request.
package verify
