package forward

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
)

// A request is repeated as often as its contract's retry says, and once by default.
func TestRequest_isRepeatedAsOftenAsItsContractSays(t *testing.T) {
	for name, c := range map[string]struct {
		retry *contract.Retry
		want  int
	}{
		"nothing is said": {nil, 1},
		"three times":     {&contract.Retry{Max: 3, On: []string{"connect"}}, 3},
		"never":           {&contract.Retry{}, 0},
	} {
		op := &contract.Operation{ID: "x", Word: "sample", Method: http.MethodGet, Policy: contract.Policy{Retry: c.retry}}
		x := &httpserver.Exchange{Operation: op, Principal: &auth.Principal{}, Request: httptest.NewRequest(http.MethodGet, "/sample/v1/x", nil)}
		out, _ := (&Forwarder{}).request(x, nil)
		require.Equal(t, c.want, out.Repeats, name)
	}
}

// A conditional change is not repeated, since the repeat would be refused if the first attempt was processed.
func TestRequest_withAConditionIsNotRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		method, header string
		want           bool
	}{
		"a change":                  {http.MethodPut, "X-Other", true},
		"a change over a version":   {http.MethodPut, "If-Match", false},
		"a deletion over a version": {http.MethodDelete, "If-Match", false},
		"a first version":           {http.MethodPut, "If-None-Match", false},
		"a reading":                 {http.MethodGet, "If-None-Match", true},
	} {
		op := &contract.Operation{ID: "x", Word: "sample", Method: c.method}
		x := &httpserver.Exchange{Operation: op, Principal: &auth.Principal{}, Request: httptest.NewRequest(c.method, "/sample/v1/x", nil)}
		x.Request.Header.Set(c.header, `"1"`)
		out, _ := (&Forwarder{}).request(x, nil)
		require.Equal(t, c.want, out.Repeatable, name)
	}
}
