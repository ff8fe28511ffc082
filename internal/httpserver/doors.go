package httpserver

import (
	"errors"
	"net/http"

	"github.com/fountainai/fountain/internal/problem"
)

// Errors leave the generated code in three places, and Operations in a fourth (unmounted); a panic is the fifth (Observe).
// All lead to the same problem writer.

// ParameterError is the chi server's ErrorHandlerFunc. The contract's own check runs first, so this is reached only when the two disagree. The
// generated text may repeat the value, so it is only logged.
func ParameterError(w http.ResponseWriter, r *http.Request, err error) {
	problem.Write(w, r, problem.New(problem.InvalidParameter, "A parameter does not match the contract.").Wrap(err))
}

// RequestError is the strict server's RequestErrorHandlerFunc: the body could not be decoded, or was refused while it was read.
func RequestError(w http.ResponseWriter, r *http.Request, err error) {
	var known *problem.Error
	var tooLarge *http.MaxBytesError
	if errors.As(err, &known) || errors.As(err, &tooLarge) {
		problem.Write(w, r, err)
		return
	}
	problem.Write(w, r, problem.New(problem.MalformedBody, "The body could not be decoded.").Wrap(err))
}

// unmounted answers when nothing is registered for an operation of the contract: a fault of ours, which no request can cause.
func unmounted(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, errors.New("no handler is registered for this operation of the contract"))
}

// ResponseError is the strict server's ResponseErrorHandlerFunc: the handler returned an error, or its answer could not be written. When the first
// byte was already sent nothing may follow it, so the connection is cut.
func ResponseError(w http.ResponseWriter, r *http.Request, err error) {
	if answer, ok := w.(*response); ok && answer.started() {
		panic(http.ErrAbortHandler)
	}
	problem.Write(w, r, err)
}
