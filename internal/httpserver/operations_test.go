package httpserver

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
)

// reached is what a handler has seen of its request.
type reached struct{ operation, thingID string }

// mount registers handlers of all operations that tell what they have seen.
func (w *world) mount(r chi.Router, tell func(*http.Request, reached)) {
	for _, op := range w.contract.Operations {
		r.Method(op.Method, op.Path, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			tell(r, reached{op.ID, chi.URLParam(r, "thingId")})
			rw.WriteHeader(http.StatusNoContent)
		}))
	}
}

// thingPaths are paths of things, and the operations that they belong to.
var thingPaths = map[string]string{
	"/sample/v1/things/a":        "getThing",
	"/sample/v1/things/b.c":      "getThing",
	"/sample/v1/things/a%20b":    "getThing", // the path has no other spelling, so net/url keeps none
	"/sample/v1/things/%C3%A4":   "getThing",
	"/sample/v1/things/a%3Ab":    "getThing", // net/url keeps how it was sent
	"/sample/v1/things/special":  "getSpecialThing",
	"/sample/v1/things/specials": "getThing",
	"/sample/v1/things/a.csv":    "exportThing",
}

// Generated code gets the parameters of the path as it would get them from chi.
func TestOperations_giveThePathAsChiDoes(t *testing.T) {
	for path, operation := range thingPaths {
		w := newWorld(t)
		var byChi, byUs reached
		router := chi.NewRouter()
		w.mount(router, func(_ *http.Request, seen reached) { byChi = seen })
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		o := w.options()
		o.Mount = func(r chi.Router) { w.mount(r, func(_ *http.Request, seen reached) { byUs = seen }) }
		w.Handler = New(o)
		require.Equal(t, http.StatusNoContent, w.do(w.reading(path)).Code, path)
		require.Equal(t, operation, byUs.operation, path)
		require.Equal(t, byChi, byUs, path)
	}
}

// reading returns an authorized GET.
func (w *world) reading(path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", w.token())
	return r
}

// A router that would find something else than the contract does not lead around the check of the operation.
func TestOperations_serveWhatWasCheckedWhateverTheRouterFinds(t *testing.T) {
	w := newWorld(t)
	var seen reached
	o := w.options()
	o.Mount = func(r chi.Router) {
		w.mount(r, func(_ *http.Request, at reached) { seen = at })
		r.Get("/sample/v1/things/other", func(http.ResponseWriter, *http.Request) { t.Error("no operation of the contract") })
	}
	w.Handler = New(o)
	require.Equal(t, http.StatusNoContent, w.do(w.reading("/sample/v1/things/other")).Code)
	require.Equal(t, reached{"getThing", "other"}, seen)
}

// Middlewares of generated code stay in front of its handlers, in their order.
func TestOperations_passMiddlewares(t *testing.T) {
	w := newWorld(t)
	var order []string
	through := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(rw, r)
			})
		}
	}
	o := w.options()
	o.Mount = func(r chi.Router) {
		r.Group(func(r chi.Router) {
			r.Use(through("outer"), through("inner"))
			w.mount(r, func(*http.Request, reached) { order = append(order, "handler") })
		})
	}
	w.Handler = New(o)
	require.Equal(t, http.StatusNoContent, w.do(w.reading("/sample/v1/things/a")).Code)
	require.Equal(t, []string{"outer", "inner", "handler"}, order)
}

// An operation that nothing was registered for is a fault of ours.
func TestOperations_refuseWhatIsNotRegistered(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Mount = func(r chi.Router) {
		r.Get("/sample/v1/health", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) })
	}
	w.Handler = New(o)
	require.Equal(t, http.StatusNoContent, w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil)).Code)
	require.Equal(t, "internal_error", code(t, w.do(w.reading("/sample/v1/things/a"))))
}

// Requests at the same time, and one after the other, see their own parameters alone.
func TestOperations_keepRequestsApart(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Mount = func(r chi.Router) {
		w.mount(r, func(r *http.Request, seen reached) {
			if operation := thingPaths[r.URL.EscapedPath()]; operation != seen.operation || (seen.thingID == "") != (operation == "getSpecialThing") {
				t.Errorf("%s reached %v", r.URL.Path, seen)
			}
		})
	}
	w.Handler = New(o)
	var all sync.WaitGroup
	for path := range thingPaths {
		requests := []*http.Request{w.reading(path), w.reading(path), w.reading(path)}
		all.Go(func() {
			for _, r := range requests {
				w.do(r)
			}
		})
	}
	all.Wait()
}
