package forward

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/requestid"
)

// judge checks the answers of services against their contracts.
type judge struct {
	log        *slog.Logger
	active     func(member string) bool
	violations *prometheus.CounterVec
	places     places
}

func newJudge(o Options) *judge {
	j := &judge{log: o.Log, active: o.Active, violations: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_contract_violations_total",
		Help: "Violations in answers of services: by operation, where in the answer (items of lists as *), and the keyword of the contract.",
	}, []string{"operation", "pointer", "keyword"})}
	o.Registerer.MustRegister(j.violations)
	return j
}

// head checks what is known before the body. An answer with a status, media type, coding or cookie that the contract does not declare never reaches the client,
// nor does an error that is not a problem document.
func (j *judge) head(x *httpserver.Exchange, res *upstream.Response) error {
	empty := res.Length == 0 || x.Request.Method == http.MethodHead
	err := x.Operation.CheckEnvelope(contract.Head{Status: res.Status, Header: res.Header, Empty: empty})
	if err == nil && len(res.Header["Content-Type"]) > 1 { // the first one was checked, but browsers use the last
		err = problem.New(problem.BadUpstream, "The answer has several media types.").WithField("header", "Content-Type", string(contract.RuleResponseMedia), "is sent several times")
	}
	if err == nil && x.Operation.Mount != "" && contract.Active(res.Header.Get("Content-Type")) && !j.active(x.Operation.Word) {
		err = problem.New(problem.BadUpstream, "The answer is active content.").
			WithField("header", "Content-Type", activeContent, "is a media type that browsers execute, which the operator has not allowed")
	}
	if err == nil {
		return nil
	}
	return j.found(x, res.Status, err)
}

// whole checks an answer whose body has been read, as the operation's validate.response says.
func (j *judge) whole(x *httpserver.Exchange, res *upstream.Response, body []byte) error {
	op := x.Operation
	mode := op.Policy.Validate.Response
	if mode.Kind == contract.ModeOff || mode.Kind == contract.ModeSample && rand.Float64() >= mode.Sample {
		return nil
	}
	err := httpserver.InTurn(x.Request.Context(), op, len(body), func() error {
		if x.Request.Method == http.MethodHead {
			return op.CheckResponseHead(res.Status, res.Header)
		}
		return op.CheckResponse(res.Status, res.Header, body)
	})
	switch {
	case err == nil:
	case errors.Is(err, problem.Overloaded): // it was not checked, so there is no violation
		if mode.Kind == contract.ModeEnforce {
			return err
		}
	default:
		if err = j.found(x, res.Status, err); mode.Kind == contract.ModeEnforce {
			return err
		}
	}
	return nil
}

// found counts and logs violations, and returns the problem for the client. It does not name the place, which concerns only operator and service.
func (j *judge) found(x *httpserver.Exchange, status int, err error) error {
	ctx, operation := x.Request.Context(), x.Operation.Label()
	fields := problem.From(err).Fields
	for _, field := range fields {
		j.violations.WithLabelValues(operation, j.places.label(operation, field.Pointer), field.Keyword).Inc()
	}
	first := fields[0]
	j.log.ErrorContext(ctx, "answer violates the contract", "requestId", requestid.From(ctx), "operationId", operation, "status", status,
		"in", first.In, "pointer", first.Pointer, "keyword", first.Keyword, "message", first.Message, "violations", len(fields))
	return problem.New(problem.BadUpstream, "The service's answer does not match the contract.").
		Wrap(fmt.Errorf("%s %s violates %s", first.In, first.Pointer, first.Keyword))
}

// maxPlaces bounds the distinct places in the metric: a service that invents property names must not exhaust the memory.
const maxPlaces = 1000

// places converts pointers to labels.
type places struct {
	mu   sync.Mutex
	seen map[string]bool
}

// label returns the pointer with * for indexes of items, or "other" when there already are too many labels.
func (p *places) label(operation, pointer string) string {
	parts := strings.Split(pointer, "/")
	for i, part := range parts {
		if _, err := strconv.Atoi(part); err == nil {
			parts[i] = "*"
		}
	}
	label := strings.Join(parts, "/")
	key := fmt.Sprint(operation, " ", label)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	if !p.seen[key] {
		if len(p.seen) >= maxPlaces {
			return "other"
		}
		p.seen[key] = true
	}
	return label
}
