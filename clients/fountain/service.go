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

// Service is an adopted service behind the family's gateway. Its Do sends requests with a token for this service alone, replaces one that was
// refused, steps up and retries as calls of the family's own operations do, so that it serves as the HTTP client of any generated client.
type Service struct {
	client *Client
	name   string
	again  map[string]*operation // by method
}

// Service returns the adopted service of a name.
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

// URL is the address under which the service is mounted, without a slash at its end.
func (s *Service) URL() string { return s.client.base + "/" + s.name }

// maxServiceBody is the most that is kept of a request's body to send it again, in bytes.
const maxServiceBody = 16 << 20

// Do sends a request to the service. An answer of any status is returned as it is, read to its end (WithMaxResponse bounds it), once nothing can be
// done any more to get a better one; ErrorOf turns a refusal into an *Error. A request to another address is refused: nobody else gets the token. POST
// and PATCH are repeated after an unknown outcome only with an Idempotency-Key.
func (s *Service) Do(req *http.Request) (*http.Response, error) {
	if address := req.URL.String(); address != s.URL() && !strings.HasPrefix(address, s.URL()+"/") && !strings.HasPrefix(address, s.URL()+"?") {
		return nil, fmt.Errorf("%s: the request goes to another address than %s", s.name, s.URL())
	}
	op := s.again[req.Method]
	if op == nil {
		return nil, fmt.Errorf("%s: the method is not one of HTTP's common ones", s.name)
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

// answer sends until nothing makes the answer better.
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
		if refusal, is := err.(*Error); is && resp != nil && refusal.Status == resp.Status { // as it is: an error around it tells more than the answer
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
	defer func() { _ = req.Body.Close() }() // it was read
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

// ErrorOf returns the refusal that an answer of a service is, with body as it was read; nil when its status is below 400.
func ErrorOf(operationID string, resp *http.Response, body []byte) error {
	if resp == nil || resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	op := &operation{id: operationID}
	return decodeError(op, &transport.Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, time.Now())
}

// succeeded reports whether a status is one of the operation's successes. For services whose contract this SDK does not know, every status is that
// is no error.
func (op *operation) succeeded(status int) bool {
	if op.success == nil {
		return status < http.StatusBadRequest
	}
	return slices.Contains(op.success, status)
}

// Token returns an access token for the service, for use outside of this SDK; "" for a client without a credential.
func (s *Service) Token(ctx context.Context) (string, error) { return s.client.Token(ctx, s.name) }
