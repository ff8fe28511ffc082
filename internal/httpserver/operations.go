package httpserver

import (
	"net/http"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/internal/contract"
)

// Operations passes each request to the generated handler of the operation that the door has found for it. The path is not routed a second time: a
// second router could find another operation than the one whose policy was checked, and costs more than the first.
type Operations struct {
	handlers map[*contract.Operation]http.Handler
}

// NewOperations takes the handlers of a contract's operations from the router on which generated code has registered them.
func NewOperations(c *contract.Contract, router chi.Routes) *Operations {
	registered := map[string]http.Handler{}
	_ = chi.Walk(router, func(method, path string, handler http.Handler, middlewares ...func(http.Handler) http.Handler) error {
		for i := len(middlewares) - 1; i >= 0; i-- {
			handler = middlewares[i](handler)
		}
		registered[method+" "+path] = handler
		return nil
	}) // returns the errors of the function
	o := &Operations{handlers: make(map[*contract.Operation]http.Handler, len(c.Operations))}
	for _, op := range c.Operations {
		if handler := registered[op.Method+" "+op.Path]; handler != nil {
			o.handlers[op] = handler
		}
	}
	return o
}

// ServeHTTP implements http.Handler, for requests that have passed a door.
func (o *Operations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r.Context())
	handler := o.handlers[x.Operation]
	if handler == nil {
		unmounted(w, r)
		return
	}
	if x.Match.Len() == 0 {
		handler.ServeHTTP(w, r)
		return
	}
	x.route = routes.Get().(*chi.Context)
	for name, value := range x.Match.Params(r.URL.RawPath != "") {
		x.route.URLParams.Add(name, value)
	}
	handler.ServeHTTP(w, r)
	route := x.route // not after a panic: whatever holds it then may go on
	x.route = nil
	route.Reset()
	routes.Put(route)
}

// routes are the chi contexts from which generated code takes the parameters of the path. As in chi, one is reused after its request.
var routes = sync.Pool{New: func() any { return chi.NewRouteContext() }}
