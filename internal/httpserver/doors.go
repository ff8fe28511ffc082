package httpserver

import (
	"errors"
	"net/http"

	"github.com/fountainai/fountain/internal/problem"
)

// The generated code lets errors out by three doors, and the router by a fourth (NotFound, MethodNotAllowed in New); a panic is the
// fifth (Observe). All lead to the one problem writer.

// ParameterError is the chi server's ErrorHandlerFunc. The contract's own check comes first, so that it is reached only when the
// two disagree; the generated text may repeat the value, so it stays in the log.
func ParameterError(w http.ResponseWriter, r *http.Request, err error) {
	problem.Write(w, r, problem.New(problem.InvalidParameter, "A parameter does not fit the contract.").Wrap(err))
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

// unmounted answers when the contract has an operation that the router has not: a fault of ours, which no request can cause.
func unmounted(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, errors.New("the router does not have this operation of the contract"))
}

// ResponseError is the strict server's ResponseErrorHandlerFunc: the handler returned an error, or its answer could not be written.
// Once the first byte is out nothing may follow it, so the connection is cut.
func ResponseError(w http.ResponseWriter, r *http.Request, err error) {
	if answer, ok := w.(*response); ok && answer.started() {
		panic(http.ErrAbortHandler)
	}
	problem.Write(w, r, err)
}
