package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxOwnBody bounds the bodies of the gateway's own calls, in bytes.
const maxOwnBody = 64 << 10

// RoundTrip implements http.RoundTripper for the gateway's own calls. The host of the URL is a service's word; any ready target of that service
// answers.
func (s *Set) RoundTrip(r *http.Request) (*http.Response, error) {
	service := s.Service(r.URL.Host)
	if service == nil {
		return nil, fmt.Errorf("call %s: no such service", r.URL.Host)
	}
	req := &Request{
		Method: r.Method, Target: r.URL.RequestURI(), Fields: FieldsOf(r.Header), Operation: r.Method + " " + r.URL.Path,
		Repeatable: r.Method == http.MethodGet, Repeats: 1,
	}
	if r.Body != nil {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxOwnBody+1))
		_ = r.Body.Close() // it was read
		if err != nil {
			return nil, fmt.Errorf("read the body of an own call: %w", err)
		}
		if len(body) > maxOwnBody {
			return nil, fmt.Errorf("call %s: the body is larger than %d bytes", r.URL.Host, maxOwnBody)
		}
		req.Body = body
	}
	res, err := service.Do(r.Context(), req)
	if errors.Is(err, ErrUnavailable) && service.Wait(r.Context()) == nil {
		res, err = service.Do(r.Context(), req)
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprint(res.Status, " ", http.StatusText(res.Status)), StatusCode: res.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: res.Header, ContentLength: res.Length, Body: res, Request: r,
	}, nil
}
