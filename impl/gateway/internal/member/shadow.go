package member

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// Shadows checks requests and answers of members against the next versions of their contracts. It refuses nothing, but reports what those would refuse.
type Shadows struct {
	registry *Registry
	log      *slog.Logger
	would    *prometheus.CounterVec

	mu   sync.Mutex
	told map[finding]bool
}

// finding identifies something that a shadow contract would refuse.
type finding struct{ member, operation, side, code, in, pointer, keyword string }

// maxFindings bounds the number of distinct findings that are logged. Each is logged once.
const maxFindings = 1000

// NewShadows returns the shadows of a registry's members.
func NewShadows(r *Registry) *Shadows {
	s := &Shadows{registry: r, log: r.Log, told: map[finding]bool{}, would: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_gateway_shadow_rejections_total",
		Help: "Requests and answers that pass, and that the next version of the member's contract would refuse: by member, operation, side (request or answer) and the problem's code.",
	}, []string{"member", "operation", "side", "code"})}
	r.Registerer.MustRegister(s.would)
	return s
}

// shadow returns the next version of a member's contract and the request's match in it; nil when there is none.
func (s *Shadows) shadow(x *httpserver.Exchange) (c *contract.Contract, m contract.Match, err error) {
	member := s.registry.Member(x.Operation.Word)
	if member == nil || member.Shadow == nil {
		return nil, m, nil
	}
	err = member.Shadow.Match(x.Request.Method, x.Request.URL.EscapedPath(), &m)
	return member.Shadow, m, err
}

// Request checks a request that has passed all checks of the live contract.
func (s *Shadows) Request(x *httpserver.Exchange) {
	c, m, err := s.shadow(x)
	if c == nil {
		return
	}
	if err == nil {
		err = wouldRefuse(x, &m)
	}
	s.tell(x, "request", err)
}

func wouldRefuse(x *httpserver.Exchange, m *contract.Match) error {
	op := m.Operation
	if op.Unsupported != "" {
		return problem.New(problem.Unsupported, "The next version of the contract has the operation in a form that can't be checked.")
	}
	if !op.Public {
		if x.Principal == nil {
			return problem.New(problem.AuthenticationRequired, "The next version of the contract requires a token.")
		}
		if err := auth.Permit(x.Principal, op); err != nil {
			return err
		}
	}
	if err := op.CheckMedia(x.Request); err != nil {
		return err
	}
	if err := op.CheckParameters(x.Request, m); err != nil {
		return err
	}
	if x.Stream != nil { // a streamed body can't be checked afterwards
		return nil
	}
	if int64(len(x.Body)) > op.Policy.Body.Max {
		return problem.New(problem.BodyTooLarge, "The next version of the contract does not accept a body of this size.")
	}
	return httpserver.InTurn(x.Request.Context(), op, len(x.Body), func() error { return op.CheckBody(x.Request.Header.Get("Content-Type"), x.Body) })
}

// Answer checks an answer that was sent to the client.
func (s *Shadows) Answer(x *httpserver.Exchange, status int, header http.Header, body []byte) {
	c, m, err := s.shadow(x)
	if c == nil || err != nil || m.Operation.Unsupported != "" {
		return
	}
	err = httpserver.InTurn(x.Request.Context(), m.Operation, len(body), func() error {
		if x.Request.Method == http.MethodHead {
			return m.Operation.CheckResponseHead(status, header)
		}
		return m.Operation.CheckResponse(status, header, body)
	})
	s.tell(x, "answer", err)
}

// tell counts what a shadow contract would refuse, and logs each distinct finding once.
func (s *Shadows) tell(x *httpserver.Exchange, side string, err error) {
	if err == nil {
		return
	}
	p := problem.From(err)
	f := finding{member: x.Operation.Word, operation: x.Operation.Label(), side: side, code: string(p.Code)}
	s.would.WithLabelValues(f.member, f.operation, side, f.code).Inc()
	if len(p.Fields) > 0 {
		f.in, f.pointer, f.keyword = p.Fields[0].In, p.Fields[0].Pointer, p.Fields[0].Keyword
	}
	if s.first(f) {
		s.log.WarnContext(context.WithoutCancel(x.Request.Context()), "the next version of a member's contract would refuse a request that passes now", "member", f.member, "operationId", f.operation,
			"side", side, "code", f.code, "in", f.in, "pointer", f.pointer, "keyword", f.keyword, "requestId", httpserver.RequestID(x.Request.Context()))
	}
}

func (s *Shadows) first(f finding) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told[f] || len(s.told) >= maxFindings {
		return false
	}
	s.told[f] = true
	return true
}
