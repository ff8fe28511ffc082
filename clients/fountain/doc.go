// Package fountain is the door of the FountainAI Go SDK: one client for the whole family behind its gateway, made from the
// contracts. It signs in, renews tokens, retries what may be repeated, satisfies second-factor challenges, decodes answers
// and turns every refusal into a typed error.
//
//	c, err := fountain.New("https://api.example.org", fountain.WithAPIKey(key))
//	element, err := c.Sequence.CreateElement(ctx, "hamlet", "spokenWord", sequence.ElementCreate{Data: data})
//	for element, err := range c.Sequence.Elements(ctx, "hamlet", "spokenWord") { ... }
//
// # Operations
//
// Every operation of the contracts is a method of its service (Client.KMS, Twofactor, Sequence, Search, Gateway) with the
// operation's name, the path's parameters as arguments, and the types of the generated packages clients/<service>. Lists
// have an iterator beside the single page. Call options change one call: WithOTP, WithIdempotencyKey, WithResponse and more.
// Raw gives the generated clients themselves.
//
// # Credentials
//
// WithUser, WithRefreshToken, WithAPIKey or WithTokenSource; one of them. Tokens are fetched when first needed, once however
// many goroutines ask, and replaced before they end or when a service refuses one.
//
// # Second factors
//
// An operation may ask for a second factor (RFC 9470): without WithStepUp the call returns ErrStepUpRequired with the
// challenge; with it the callback gives a code, and the call goes through. WithOTP sends a code along instead.
//
// # Errors
//
// A refusal is an *Error (errors.As) that errors.Is compares with a Code (CodeLastAdministrator) or a class (ErrNotFound,
// ErrInvalid, ErrUnavailable ...). An answer that the contract does not declare is an *Error too (ErrUnexpectedResponse).
// Errors never hold a credential or the value that was refused.
//
// # Repeats
//
// Reads, operations that the contract calls safe to repeat, and those with an Idempotency-Key are tried again on lost
// connections, 429, 502, 503 and 504, after Retry-After or a growing random wait. Other operations are tried again only
// when no connection was made. Creating calls get an Idempotency-Key by themselves, the same one in each attempt.
package fountain
