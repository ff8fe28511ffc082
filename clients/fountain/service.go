package fountain

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/clients/internal/transport"
)

// Service is an adopted service behind the gateway. Its Do sends requests with a token for this service alone, replaces
// a refused token, steps up, and retries in the same way as calls to the FountainAI services. It can be the HTTP client
// of any generated client.
type Service struct {
	client *Client
	name   string
	again  map[string]*operation // by method
}

// Service returns the adopted service with this name.
func (c *Client) Service(name string) *Service {
	s := &Service{client: c, name: name, again: map[string]*operation{}}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodPatch} {
		op := &operation{id: method + " at " + name, word: name, method: method}
		switch method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete: // RFC 9110, section 9.2.2
			op.repeat = always
		}
		s.again[method] = op
	}
	return s
}

// URL returns the address of the service, without a slash at its end.
func (s *Service) URL() string { return s.client.base + "/" + s.name }

// maxServiceBody is the largest request body in bytes. The body is kept so that it can be sent again.
const maxServiceBody = 16 << 20

// Do sends a request to the service. It returns the last response, whatever its status, once token renewal, step-up and
// retries can do no more. The body is read to its end (WithMaxResponse limits it). ErrorOf turns a refusal into an
// *Error. A request to another address is refused, so that the token reaches no other host. If the outcome of a POST or
// PATCH is unknown, it is repeated only with an Idempotency-Key.
func (s *Service) Do(req *http.Request) (*http.Response, error) {
	if address := req.URL.String(); address != s.URL() && !strings.HasPrefix(address, s.URL()+"/") && !strings.HasPrefix(address, s.URL()+"?") {
		return nil, fmt.Errorf("%s: the request goes to another address than %s", s.name, s.URL())
	}
	op := s.again[req.Method]
	if op == nil {
		return nil, fmt.Errorf("%s: unsupported HTTP method", s.name)
	}
	if op.repeat == never && req.Header.Get("Idempotency-Key") != "" {
		op = &operation{id: op.id, word: op.word, method: op.method, repeat: always, asked: op}
	}
	req, err := repeatable(req)
	if err != nil {
		return nil, fmt.Errorf("%s: read request body: %w", s.name, err)
	}
	x := &exchange{client: s.client, op: op, opts: newCallOptions(nil), req: req}
	return s.answer(req, x)
}

// answer sends the request until it succeeds or no further attempt is allowed.
func (s *Service) answer(req *http.Request, x *exchange) (*http.Response, error) {
	ctx := req.Context()
	for {
		resp, err := x.attempt(ctx)
		if err == nil {
			s.client.budget.Refund()
			return httpResponse(req, resp), nil
		}
		again, err := x.recover(ctx, err)
		if again {
			continue
		}
		if refusal, is := err.(*Error); is && resp != nil && refusal.Status == resp.Status { // only an unwrapped *Error: a wrapping error says more than the response
			return httpResponse(req, resp), nil
		}
		return nil, err
	}
}

// repeatable returns the request with a body that can be sent again.
func repeatable(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		return req, nil
	}
	defer func() { _ = req.Body.Close() }() // the body has been read to its end
	body, err := io.ReadAll(io.LimitReader(req.Body, maxServiceBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxServiceBody {
		return nil, fmt.Errorf("it is larger than %d bytes", maxServiceBody)
	}
	req = req.Clone(req.Context())
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, err = req.GetBody()
	return req, err
}

func httpResponse(req *http.Request, r *transport.Response) *http.Response {
	return &http.Response{
		Status: fmt.Sprint(r.Status, " ", http.StatusText(r.Status)), StatusCode: r.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.Header, Body: io.NopCloser(bytes.NewReader(r.Body)), ContentLength: int64(len(r.Body)), Request: req,
	}
}

// ErrorOf returns the refusal in a service's response, given the body that was read. It returns nil if the status is
// below 400.
func ErrorOf(operationID string, resp *http.Response, body []byte) error {
	if resp == nil || resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	op := &operation{id: operationID}
	return decodeError(op, &transport.Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, time.Now())
}

// succeeded reports whether a status is one of the operation's successes. For a service whose contract this SDK does
// not know, every status below 400 is.
func (op *operation) succeeded(status int) bool {
	if op.success == nil {
		return status < http.StatusBadRequest
	}
	return slices.Contains(op.success, status)
}

// Token returns an access token for the service, for use outside this SDK. It returns "" if the client has no
// credential.
func (s *Service) Token(ctx context.Context) (string, error) { return s.client.Token(ctx, s.name) }
