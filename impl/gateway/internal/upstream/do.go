package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// Do sends the request to a target and returns the head of its answer, whatever the status. It repeats the request at another target when nothing was sent, or
// when the target refused it before processing it (503 not_ready), or when the connection broke before an answer and the request is repeatable. It returns
// ErrUnavailable when no target is left; Wait then waits for one.
func (s *Service) Do(ctx context.Context, req *Request) (*Response, error) {
	began := time.Now()
	if !s.breakers.admit(req.Operation, began, req.Stream == nil) {
		return nil, ErrOpen
	}
	s.budget.earn()
	res, err := s.attempts(ctx, req)
	switch {
	case err == nil:
		s.breakers.answered(req.Operation)
	case errors.As(err, new(*starvedError)):
		s.breakers.ended(req.Operation)
	case errors.Is(err, context.DeadlineExceeded) && time.Since(began) >= breakTook:
		s.breakers.timedOut(req.Operation, time.Now())
	default:
		s.breakers.ended(req.Operation)
	}
	return res, err
}

func (s *Service) attempts(ctx context.Context, req *Request) (*Response, error) {
	var last *Target
	for sent := 0; ; {
		t := s.pick(last)
		if t == nil && req.Probe {
			t = s.starting()
		}
		if t == nil {
			return nil, ErrUnavailable
		}
		res, err := t.send(ctx, req)
		if err == nil {
			if res, err = s.settle(t, req, res); res != nil {
				return res, err
			}
			continue
		}
		last = t
		var broken *BrokenError
		switch {
		case errors.As(err, new(*starvedError)):
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrFull), errors.Is(err, errUnsendable):
			return nil, err
		case unreachable(err):
			s.counts.dialErrors.Add(1)
			s.counts.refused.Add(1)
			t.markNotReady(Down)
		case errors.As(err, &broken):
			t.hasFailed()
			t.pool.sweep(0) // other idle connections to this target are probably broken too
			if !req.repeatable() || sent >= req.Repeats || !s.budget.spend() {
				return nil, err
			}
			sent++
			s.counts.broken.Add(1)
		default:
			var dial *DialError
			if errors.As(err, &dial) {
				s.counts.dialErrors.Add(1)
			}
			t.hasFailed()
			return nil, err
		}
	}
}

// settle evaluates an answer. It returns nil if the target refused the request before processing it, so that the request is sent to another target.
func (s *Service) settle(t *Target, req *Request, res *Response) (*Response, error) {
	switch res.Status {
	case http.StatusServiceUnavailable:
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		t.hasFailed()
		return res, nil
	default:
		t.succeeded()
		return res, nil
	}
	code := refusal(res)
	if code == codeNotReady && !req.Probe && req.Stream == nil {
		s.counts.notReady.Add(1)
		t.markNotReady(Starting)
		_ = res.Close() // it always succeeds
		return nil, nil
	}
	res.Overloaded = code == codeOverloaded
	return res, nil // excluding an overloaded target would not help
}

// maxRefusal is the largest problem document that is read for its code, in bytes.
const maxRefusal = 4 << 10

// The codes of refusals that the gateway reacts to.
const (
	codeNotReady   = "not_ready"  // the service refused it before processing it
	codeOverloaded = "overloaded" // the service refused it because of overload
)

// refusal returns the code of an answer that is a problem document, else "". The body can still be read afterwards.
func refusal(res *Response) string {
	if res.kind != bodyLength || res.left > maxRefusal || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		return ""
	}
	body := make([]byte, res.left)
	n, _ := io.ReadFull(res, body) // an error appears again when the body is read
	res.unread(body[:n])
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(body[:n], &problem) // any other document has no code
	return problem.Code
}
