package explain

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/keytext"
	"github.com/fountainai/fountain/internal/problem"
)

// way runs the checks on one request and records their results.
type way struct {
	explainer *Explainer
	request   Request
	said      *Explanation
	x         *httpserver.Exchange
	checks    httpserver.Stations // of every door
}

// open is the error of a check that cannot decide.
type open struct {
	verdict Verdict
	why     string
}

func (o *open) Error() string { return o.why }

func undecided(why string) error { return &open{Undecided, why} }

func depends(why string) error { return &open{Depends, why} }

// note records a check with its result. It returns false when the check refuses.
func (w *way) note(name string, demands []Demand, err error) bool {
	c := Check{Name: name, Verdict: Passes, Demands: demands}
	var o *open
	switch {
	case errors.As(err, &o):
		c.Verdict, c.Note = o.verdict, o.why
	case err != nil:
		c.Verdict, c.Answer = Refused, answerTo(w.x.Request, w.x.Operation, err)
		if cause := errors.Unwrap(problem.From(err)); cause != nil {
			c.Note = cause.Error()
		}
	}
	w.said.Checks = append(w.said.Checks, c)
	switch {
	case w.said.Verdict == Refused:
	case c.Verdict == Refused:
		w.said.Verdict, w.said.RefusedBy, w.said.Answer = Refused, name, c.Answer
	case c.Verdict == Undecided:
		w.said.Verdict = Undecided
	}
	return c.Verdict != Refused
}

// head returns the request as sent on the connection, from the request line to the empty line.
func (r Request) head() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	if r.Header.Get("Host") == "" {
		b.WriteString("Host: gateway\r\n")
	}
	for name, values := range r.Header {
		for _, value := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	if r.Body != nil && r.Header.Get("Content-Length") == "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// read parses the head as the gateway's connection does.
func (r Request) read() (*http.Request, error) {
	head := r.head()
	if err := httpserver.CheckHead(head); err != nil {
		return nil, err
	}
	read, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(r.Body))))
	if err != nil {
		return nil, problem.New(problem.MalformedRequest, "The head of the request can't be read.").Wrap(errors.New("net/http answers it itself, without a problem document"))
	}
	if r.Token != "" {
		read.Header.Set("Authorization", "Bearer "+r.Token)
	}
	return read, nil
}

// find looks up the operation of the request. It returns false when there is none.
func (w *way) find() bool {
	w.x = &httpserver.Exchange{Writer: &sink{header: http.Header{}}, Request: &http.Request{Method: w.request.Method}}
	read, err := w.request.read()
	if !w.note(httpserver.ByConnection, nil, err) {
		return false
	}
	w.x.Request = read
	if !w.note(httpserver.ByGuard, nil, httpserver.Guard(read)) {
		return false
	}
	w.note(httpserver.ByHost, nil, depends("the gateway's host names"))
	path := read.URL.EscapedPath()
	if read.Method == http.MethodOptions {
		allow, err := w.explainer.table.Allow(path)
		if err == nil {
			err = depends("the gateway answers this itself: 204 with Allow: " + allow + ", and the CORS headers for pages of allowed origins")
		}
		w.note(httpserver.ByRoute, nil, err)
		return false
	}
	err = w.explainer.table.Match(read.Method, path, &w.x.Match)
	op := w.x.Match.Operation
	if err != nil {
		w.note(httpserver.ByRoute, nil, err)
		return false
	}
	w.said.Route, w.said.OperationID, w.said.Service, w.said.Origin = op.Path, op.ID, op.Word, op.Origin.String()
	w.note(httpserver.ByRoute, demandsOf(op, httpserver.ByRoute), nil)
	w.x.Operation = op
	return true
}

// pass runs the gateway's stations on the request.
func (w *way) pass() {
	w.checks = httpserver.Checks(nil)
	for name, decide := range w.stations().All() {
		w.note(name, demandsOf(w.x.Operation, name), decide(w.x))
	}
}

// stations returns stations that decide what can be decided here. Ready exists only in a service, not in the gateway.
func (w *way) stations() httpserver.Stations {
	return httpserver.Stations{
		PreauthLimit: func(x *httpserver.Exchange) error { return counted(x, true) },
		Authenticate: w.authenticate,
		Permit:       w.permit,
		SubjectLimit: func(x *httpserver.Exchange) error { return counted(x, false) },
		Target:       target,
		Concurrency:  concurrency,
		StepUp:       w.stepUp,
		Media:        w.media,
		Parameters:   w.parameters,
		Body:         w.body,
		Admission:    func(*httpserver.Exchange) error { return depends("how fast the service answers at the moment") },
		RedeemCode:   redeem,
		Serve:        func(*httpserver.Exchange) error { return depends("the service's response") },
	}
}

func counted(x *httpserver.Exchange, preauth bool) error {
	if len(rates(x.Operation, preauth)) == 0 {
		return nil
	}
	return depends("how many requests were counted before")
}

// rates returns the limits of a phase that count the request: without a known caller, those that count by caller do not.
func rates(op *contract.Operation, preauth bool) []contract.Rate {
	return slices.DeleteFunc(slices.Clone(op.Policy.Rate), func(r contract.Rate) bool {
		return r.Preauth != preauth || op.Public && (r.Key == "sub" || r.Key == "client")
	})
}

func concurrency(x *httpserver.Exchange) error {
	if x.Operation.Policy.Concurrency == 0 && x.Operation.Policy.PerSubject == 0 {
		return nil
	}
	return depends("how many requests run at the moment")
}

func target(x *httpserver.Exchange) error {
	if why := x.Operation.Unsupported; why != "" {
		return problem.New(problem.Unsupported, "The gateway can't check requests of this operation: "+why+".")
	}
	return depends("whether the service can be reached")
}

func redeem(x *httpserver.Exchange) error {
	if !x.Operation.AcceptsOTP() || x.Operation.Mount != "" {
		return nil
	}
	return depends("whether a code is sent in X-OTP; it is redeemed last")
}

// authenticate decides by the claims of the token. Even when the token is not valid, the later checks are reported, as far as it can be read.
func (w *way) authenticate(x *httpserver.Exchange) error {
	if x.Operation.Public {
		return nil
	}
	if w.request.Token == "" {
		return undecided("no token was passed")
	}
	text, err := auth.Bearer(x.Request)
	if err != nil {
		return err
	}
	if x.Operation.Policy.APIKey && keytext.Looks(text) {
		return undecided("an API key: its scopes are known only to the kms, where the gateway exchanges it for a token")
	}
	token, err := auth.ReadUnverified(text)
	if err != nil {
		return err
	}
	x.Principal, w.said.Token = token.Principal, newToken(token.Principal)
	if err := token.Check(x.Operation.Word, w.request.Now); err != nil {
		return err
	}
	return auth.ForItAlone(token.Principal, x.Operation)
}

const unknownCaller = "the caller is unknown"

func (w *way) permit(x *httpserver.Exchange) error {
	if x.Principal == nil && !x.Operation.Public {
		return undecided(unknownCaller)
	}
	return w.checks.Permit(x)
}

func (w *way) stepUp(x *httpserver.Exchange) error {
	op := x.Operation
	switch {
	case op.Public || op.Policy.StepUp == nil:
		return nil
	case op.Policy.StepUp.Dynamic:
		return depends("a rule of the service decides whether a second factor is needed")
	case x.Principal == nil:
		return undecided(unknownCaller)
	}
	return auth.StepUp(x.Principal, op, w.request.Now)
}

// noBody reports whether the operation has a body that is unknown here.
func (w *way) noBody() bool { return w.request.Body == nil && w.x.Operation.HasBody() }

const unknownBody = "no body was passed"

func (w *way) media(x *httpserver.Exchange) error {
	if err := x.Operation.CheckAccept(x.Request.Header); err != nil {
		return err
	}
	if w.noBody() {
		return undecided(unknownBody)
	}
	return w.checks.Media(x)
}

// parameters checks the given parameters. When no headers were given, a missing one leaves the check undecided.
func (w *way) parameters(x *httpserver.Exchange) error {
	err := w.checks.Parameters(x)
	if err == nil || len(w.request.Header) > 0 {
		return err
	}
	var missing []string
	for _, field := range problem.From(err).Fields {
		if field.In != "header" && field.In != "cookie" {
			return err
		}
		missing = append(missing, field.Pointer)
	}
	if len(missing) == 0 {
		return err
	}
	return undecided("no header was passed, and these are required: " + strings.Join(missing, ", "))
}

func (w *way) body(x *httpserver.Exchange) error {
	if w.noBody() {
		return undecided(unknownBody)
	}
	err := w.checks.Body(x)
	if err == nil && x.Stream != nil { // it is checked while it is forwarded
		_, err = io.Copy(io.Discard, x.Stream)
	}
	return err
}
