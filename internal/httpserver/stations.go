package httpserver

import (
	"errors"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Stations are the checks and actions that a request passes, from top to bottom (DESIGN section 5): the gateway and the services share this order. A
// station does one check or one action; its error is the answer and ends the request. A nil station is skipped. No byte of a body is read before the
// caller is authorized, and a code is redeemed last, so that a refused request never consumes it.
type Stations struct {
	Ready        func(*Exchange) error
	PreauthLimit func(*Exchange) error
	Authenticate func(*Exchange) error
	Permit       func(*Exchange) error
	SubjectLimit func(*Exchange) error
	Target       func(*Exchange) error // waits until the service can be reached, before any place is taken
	Concurrency  func(*Exchange) error
	StepUp       func(*Exchange) error
	Media        func(*Exchange) error
	Parameters   func(*Exchange) error
	Body         func(*Exchange) error
	Admission    func(*Exchange) error
	RedeemCode   func(*Exchange) error
	Serve        func(*Exchange) error // writes the answer
}

// Checks returns the stations that depend only on contract and token: every server has these.
func Checks(v *auth.Verifier) Stations {
	return Stations{
		Authenticate: func(x *Exchange) error { return x.authenticate(v) },
		Permit:       func(x *Exchange) error { return x.permit(v) },
		Media:        func(x *Exchange) error { return x.Operation.CheckMedia(x.Request) },
		Parameters:   func(x *Exchange) error { return x.Operation.CheckParameters(x.Request, &x.Match) },
		Body:         checkBody,
	}
}

// station is a station with its name in the access log.
type station struct {
	name string
	do   func(*Exchange) error
}

// Names in the access log of what refuses a request before its operation is known, and so before the stations.
const (
	ByConnection = "connection" // the head of the request breaks HTTP/1.1
	ByGuard      = "guard"      // no contract could allow it
	ByHost       = "host"       // the name is not one of this server's
	ByRoute      = "route"      // no operation has this method and path
)

// All iterates over the stations that are set, in order, with their names in the access log.
func (s Stations) All() iter.Seq2[string, func(*Exchange) error] {
	return func(yield func(string, func(*Exchange) error) bool) {
		for _, station := range s.inOrder() {
			if !yield(station.name, station.do) {
				return
			}
		}
	}
}

func (s Stations) inOrder() []station {
	all := []station{
		{"ready", s.Ready}, {"pre-auth limit", s.PreauthLimit}, {"authenticate", s.Authenticate}, {"permit", s.Permit}, {"subject limit", s.SubjectLimit},
		{"target", s.Target}, {"concurrency", s.Concurrency}, {"step-up", s.StepUp}, {"media", s.Media}, {"parameters", s.Parameters}, {"body", s.Body},
		{"admission", s.Admission}, {"redeem code", s.RedeemCode}, {"serve", s.Serve},
	}
	there := all[:0]
	for _, one := range all {
		if one.do != nil {
			there = append(there, one)
		}
	}
	return there
}

// Routes finds operations, in one contract or in several as one table.
type Routes interface {
	Match(method, escapedPath string, m *contract.Match) error
	Allow(escapedPath string) (string, error)
}

// DoorOptions configure NewDoor.
type DoorOptions struct {
	ObserveOptions
	Hosts    *Hosts // the names of the server; nil: any
	CORS     *CORS  // the origins whose pages may call; nil: none
	Routes   Routes
	Stations Stations
	// Unknown may answer a request for an unknown path in another form than a problem; it returns false when it has not answered. nil: every such
	// request gets the problem.
	Unknown func(w http.ResponseWriter, r *http.Request) bool
}

// NewDoor returns the handler that observes every request, finds its operation, and passes it through the stations.
func NewDoor(o DoorOptions) http.Handler {
	return &door{DoorOptions: o, observer: newObserver(o.ObserveOptions), stations: o.Stations.inOrder()}
}

type door struct {
	DoorOptions
	observer *observer
	stations []station
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.observer.observe(w, r, d.serve) }

func (d *door) serve(x *Exchange) {
	by, err := d.find(x)
	if x.trace != nil {
		x.beginTrace(d.Tracer)
	}
	if err == nil && x.Operation != nil {
		x.admit, x.enter = d.Stations.Concurrency, d.Stations.Admission
		x.begin()
		defer func() { x.end(); x.stop(); x.leave() }()
		by, err = d.pass(x)
	}
	if err != nil {
		x.RefusedBy = by
		if d.Unknown != nil && by == ByRoute && errors.Is(err, problem.NotFound) && d.Unknown(x.Writer, x.Request) {
			return
		}
		refuse(x.Writer, x.Request, err)
	}
}

// find finds the operation. It answers OPTIONS where no operation has this method, and CORS preflights always. by is the check that refused.
func (d *door) find(x *Exchange) (by string, err error) {
	r := x.Request
	if err := Guard(r); err != nil {
		return ByGuard, err
	}
	calling := d.Hosts.calling(r.Host)
	if calling == byOther {
		return ByHost, misdirected()
	}
	if r.Method == http.MethodOptions && (r.Header.Get("Access-Control-Request-Method") != "" || d.Routes.Match(r.Method, r.URL.EscapedPath(), &x.Match) != nil) {
		allow, err := d.Routes.Allow(r.URL.EscapedPath())
		if err != nil {
			return ByRoute, err
		}
		d.CORS.preflight(x, d.Routes, allow)
		x.Writer.Header().Set("Allow", allow)
		x.Writer.WriteHeader(http.StatusNoContent)
		return "", nil
	}
	err = d.Routes.Match(r.Method, r.URL.EscapedPath(), &x.Match)
	op := x.Match.Operation
	d.CORS.open(x, op)
	if calling == byAddress && (err != nil || !Probe(op)) {
		return ByHost, misdirected()
	}
	if err != nil {
		return ByRoute, err
	}
	x.Operation = op
	return "", nil
}

// pass passes the exchange through the stations.
func (d *door) pass(x *Exchange) (by string, err error) {
	for _, station := range d.stations {
		if err := station.do(x); err != nil {
			return station.name, err
		}
	}
	return "", nil
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

// permit authorizes the caller, for a stream for as long as the token is valid.
func (x *Exchange) permit(v *auth.Verifier) error {
	if x.Operation.Public {
		return nil
	}
	if err := auth.Permit(x.Principal, x.Operation); err != nil {
		return err
	}
	x.endWithToken(v)
	return nil
}

// checkBody reads the body and checks it against the contract.
func checkBody(x *Exchange) error {
	if kind := x.Request.Header.Get("Content-Type"); hasBody(x.Request) && x.Operation.StreamsBodyOf(kind) {
		return x.openStream(kind)
	}
	body, err := readBody(x.Writer, x.Request, x.Operation)
	if err != nil {
		return err
	}
	x.Body = body
	return InTurn(x.Request.Context(), x.Operation, len(body), func() error {
		return x.Operation.CheckBody(x.Request.Header.Get("Content-Type"), body)
	})
}
