package httpserver

import (
	"time"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
)

const (
	// shortStream is the duration up to which a stream is not watched: it ends soon enough by itself.
	shortStream = time.Minute
	// lookAtToken is the interval at which the token of a stream is verified again.
	lookAtToken = 2 * time.Second
)

// outlivesToken reports whether an answer of the operation can last long after its caller was authorized.
func outlivesToken(op *contract.Operation) bool {
	return !op.Public && op.Policy.Stream != nil && op.Policy.Stream.MaxDuration > shortStream
}

// endWithToken ends the request's context, as if the client had disconnected, when its token would be refused: it has expired, it or its session, key
// or owner was revoked, or that cannot be determined. So a stream ends within a few seconds of any of these.
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
