// Package fountain is the FountainAI SDK for Go: one client for all FountainAI services behind their gateway. Its types
// and requests are generated from the services' OpenAPI contracts. The client signs in, renews tokens, retries what may
// be repeated, answers second-factor challenges, decodes responses and returns every refusal as a typed error.
//
//	c, err := fountain.New("https://api.example.org", fountain.WithAPIKey(key))
//	element, err := c.Sequence.CreateElement(ctx, "hamlet", "spokenWord", sequence.ElementCreate{Data: data})
//	for element, err := range c.Sequence.Elements(ctx, "hamlet", "spokenWord") { ... }
//
// # Operations
//
// Every operation of the contracts is a method of its service (Client.KMS, Twofactor, Sequence, Search, Gateway). The
// method has the name of the operation, takes the path parameters as arguments, and uses the types of the generated
// packages clients/<service>. A list has two methods: one reads a single page, the other is an iterator over all items.
// Call options such as WithOTP, WithIdempotencyKey and WithResponse change a single call. Raw returns the generated
// clients themselves.
//
// # Credentials
//
// A client takes one of WithUser, WithRefreshToken, WithAPIKey and WithTokenSource. A token is fetched when it is first
// needed. Concurrent callers share one fetch. A token is replaced before it expires, or when a service refuses it.
//
// # Second factors
//
// An operation may require a second factor (RFC 9470). Without WithStepUp, the call then returns ErrStepUpRequired with
// the challenge. With WithStepUp, the client asks the callback for a code and repeats the call. WithOTP sends a code
// with the call instead.
//
// # Errors
//
// A refusal is an *Error (use errors.As). errors.Is compares it with a Code (CodeLastAdministrator) or with a class of
// errors (ErrNotFound, ErrInvalid, ErrUnavailable ...). A response that the contract does not declare is an *Error too
// (ErrUnexpectedResponse). Errors never contain a credential or the value that was refused.
//
// # Retries
//
// Reads, operations that the contract calls safe to repeat, and operations with an Idempotency-Key are retried after a
// lost connection and after status 429, 502, 503 and 504. The client waits for Retry-After or for a growing random time,
// whichever is longer. Other operations are retried only when no connection was made. The client gives every creating
// call an Idempotency-Key and sends the same one in each attempt.
package fountain
