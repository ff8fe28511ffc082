package httpserver

import (
	"net/http"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
)

// Stations are what a request meets on its way, from top to bottom (DESIGN section 5): the gateway and the services share this one order.
// A station does one check or one deed; its error is the answer, and ends the way. One that a door has not is nil. No byte of a body is
// read before the caller is permitted, and a code is redeemed last, so that a refused request never burns it.
type Stations struct {
	Ready        func(*Exchange) error
	PreauthLimit func(*Exchange) error
	Authenticate func(*Exchange) error
	Permit       func(*Exchange) error
	SubjectLimit func(*Exchange) error
	Concurrency  func(*Exchange) error
	StepUp       func(*Exchange) error
	Media        func(*Exchange) error
	Parameters   func(*Exchange) error
	Body         func(*Exchange) error
	RedeemCode   func(*Exchange) error
	Serve        func(*Exchange) error // writes the answer
}

// Checks returns the stations that depend on nothing but contract and token: every door has these.
func Checks(v *auth.Verifier) Stations {
	return Stations{
		Authenticate: func(x *Exchange) error { return x.authenticate(v) },
		Permit:       permit,
		Media:        func(x *Exchange) error { return x.Operation.CheckMedia(x.Request) },
		Parameters:   func(x *Exchange) error { return x.Operation.CheckParameters(x.Request, x.Match) },
		Body:         checkBody,
	}
}

// station is one of them with the name that the access log calls it.
type station struct {
	name string
	do   func(*Exchange) error
}

// route is the name of the station before all others, which finds the operation.
const routeStation = "route"

func (s Stations) inOrder() []station {
	all := []station{
		{"ready", s.Ready}, {"pre-auth limit", s.PreauthLimit}, {"authenticate", s.Authenticate}, {"permit", s.Permit}, {"subject limit", s.SubjectLimit},
		{"concurrency", s.Concurrency}, {"step-up", s.StepUp}, {"media", s.Media}, {"parameters", s.Parameters}, {"body", s.Body},
		{"redeem code", s.RedeemCode}, {"serve", s.Serve},
	}
	there := all[:0]
	for _, one := range all {
		if one.do != nil {
			there = append(there, one)
		}
	}
	return there
}

// Routes finds operations: a contract, or several of them as one table.
type Routes interface {
	Match(method, escapedPath string) (*contract.Match, error)
	Allow(escapedPath string) (string, error)
}

// NewDoor returns the handler that observes every request, finds its operation, and takes it through the stations.
func NewDoor(o ObserveOptions, routes Routes, s Stations) http.Handler {
	d := &door{routes: routes, stations: s.inOrder()}
	return observe(o, d.serve)
}

type door struct {
	routes   Routes
	stations []station
}

func (d *door) serve(x *Exchange) {
	refused := func(by string, err error) {
		x.RefusedBy = by
		Refuse(x.Writer, x.Request, err)
	}
	r := x.Request
	if err := Guard(r); err != nil {
		refused("guard", err)
		return
	}
	if r.Method == http.MethodOptions {
		allow, err := d.routes.Allow(r.URL.EscapedPath())
		if err != nil {
			refused(routeStation, err)
			return
		}
		x.Writer.Header().Set("Allow", allow)
		x.Writer.WriteHeader(http.StatusNoContent)
		return
	}
	match, err := d.routes.Match(r.Method, r.URL.EscapedPath())
	if err != nil {
		refused(routeStation, err)
		return
	}
	x.Match, x.Operation = match, match.Operation
	defer x.end()
	defer x.begin()()
	for _, station := range d.stations {
		if err := station.do(x); err != nil {
			refused(station.name, err)
			return
		}
	}
}

// authenticate verifies the bearer token for the operation's service.
func (x *Exchange) authenticate(v *auth.Verifier) error {
	if x.Operation.Public {
		return nil
	}
	token, err := auth.Bearer(x.Request)
	if err != nil {
		return err
	}
	x.Principal, err = v.Verify(x.Request.Context(), token, x.Operation.Word)
	return err
}

func permit(x *Exchange) error {
	if x.Operation.Public {
		return nil
	}
	return auth.Permit(x.Principal, x.Operation)
}

// checkBody reads the body and holds it against the contract.
func checkBody(x *Exchange) error {
	if x.Operation.StreamsBody() {
		return nil
	}
	body, err := ReadBody(x.Writer, x.Request, x.Operation)
	if err != nil {
		return err
	}
	x.Body = body
	return InTurn(x.Request.Context(), len(body), func() error {
		return x.Operation.CheckBody(x.Request.Header.Get("Content-Type"), body)
	})
}
