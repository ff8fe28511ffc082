package httpserver

import (
	"time"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
)

const (
	// A stream that lasts no longer than this ends soon enough by itself.
	shortStream = time.Minute
	// How often it is asked whether the token of a stream still holds.
	lookAtToken = 2 * time.Second
)

// outlivesToken reports whether an answer of the operation can go on for long after its caller was let in.
func outlivesToken(op *contract.Operation) bool {
	return !op.Public && op.Policy.Stream != nil && op.Policy.Stream.MaxDuration > shortStream
}

// endWithToken ends the request's context, as if the client had left, when its token would be refused: it has expired, it or what it hangs on was revoked, or that
// can't be told. So a stream outlives none of these by more than a few seconds.
func (x *Exchange) endWithToken(v *auth.Verifier) {
	if x.cancel == nil {
		return
	}
	ctx, cancel, token, word := x.client, x.cancel, x.Principal.Token, x.Operation.Word
	go func() {
		look := time.NewTicker(lookAtToken)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			if _, err := v.Verify(ctx, token, word); err != nil {
				cancel()
				return
			}
		}
	}()
}
