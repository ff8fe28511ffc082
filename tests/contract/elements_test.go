package contract

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

const (
	kept  = "/sequence/v1/scopes/kept"
	lines = kept + "/line/elements"
)

// wrong is a valid request to the elements of a scope that cannot be fulfilled. CURSOR stands for a cursor of the list
// of lines.
type wrong struct {
	name, method, path, body string
	header                   map[string]string
	status                   int
	code, in, pointer        string // in and pointer are those of the first error; "" if no place is named
}

var (
	merge     = map[string]string{"Content-Type": "application/merge-patch+json", "If-Match": `"1"`}
	stale     = map[string]string{"If-Match": `"1"`}
	largeData = `{"t":"` + strings.Repeat("x", 64<<10) + `"}`
)

var wrongs = []wrong{
	{name: "list of an unknown scope", method: "GET", path: "/sequence/v1/scopes/nobody/line/elements", status: 404, code: "not_found"},
	{name: "consistent list of an unknown scope", method: "GET", path: "/sequence/v1/scopes/nobody/line/elements?consistent=true", status: 404, code: "not_found"},
	{name: "counts of an unknown scope", method: "GET", path: "/sequence/v1/scopes/nobody", status: 404, code: "not_found"},
	{name: "export of an unknown scope", method: "GET", path: "/sequence/v1/scopes/nobody/export", status: 404, code: "not_found"},
	{name: "feed of an unknown scope", method: "GET", path: "/sequence/v1/scopes/nobody/changes", status: 404, code: "not_found"},
	{name: "stream of an unknown scope", method: "GET", path: "/sequence/v1/scopes/nobody/changes/stream", status: 404, code: "not_found"},
	{name: "reorder in an unknown scope", method: "POST", path: "/sequence/v1/scopes/nobody/line/reorder", body: `{"order":["a","b"]}`, status: 404, code: "not_found"},
	{name: "move in an unknown scope", method: "POST", path: "/sequence/v1/scopes/nobody/line/elements/a/move", body: `{"before":"b"}`, status: 404, code: "not_found"},
	{name: "reindex of an unknown scope", method: "POST", path: "/sequence/v1/scopes/nobody/reindex", status: 404, code: "not_found"},
	{name: "unknown element", method: "GET", path: lines + "/nobody", status: 404, code: "not_found"},
	{name: "element of another type", method: "GET", path: lines + "/other", status: 404, code: "not_found"},
	{name: "omit an unknown element", method: "POST", path: lines + "/nobody/omit", status: 404, code: "not_found"},
	{name: "restore an unknown element", method: "POST", path: lines + "/nobody/restore", status: 404, code: "not_found"},
	{name: "version of an unknown element", method: "POST", path: lines + "/nobody/versions", body: `{"data":{}}`, header: stale, status: 404, code: "not_found"},
	{name: "unknown version", method: "GET", path: lines + "/a/versions/9", status: 404, code: "not_found"},
	{name: "compare with an unknown version", method: "GET", path: lines + "/a/versions/2/compare?from=9", status: 404, code: "not_found"},

	{name: "bad type", method: "POST", path: kept + "/Line/elements", body: `{"data":{}}`, status: 400, code: "invalid_parameter", in: "path", pointer: "elementType"},
	{name: "type of 65 characters", method: "GET", path: kept + "/" + strings.Repeat("t", 65) + "/elements", status: 400, code: "invalid_parameter", in: "path", pointer: "elementType"},
	{name: "bad scope", method: "GET", path: "/sequence/v1/scopes/-kept/line/elements", status: 400, code: "invalid_parameter", in: "path", pointer: "scope"},
	{name: "bad id in the path", method: "GET", path: lines + "/a%20b", status: 400, code: "invalid_parameter", in: "path", pointer: "elementId"},
	{name: "bad id in the body", method: "POST", path: lines, body: `{"id":"a b","data":{}}`, status: 422, code: "invalid_body", in: "body", pointer: "/id"},
	{name: "a number of one's own", method: "POST", path: lines, body: `{"number":7,"data":{}}`, status: 422, code: "invalid_body", in: "body", pointer: "/number"},

	{name: "version 0", method: "GET", path: lines + "/a/versions/0", status: 400, code: "invalid_parameter", in: "path", pointer: "version"},
	{name: "version 2^63", method: "GET", path: lines + "/a/versions/9223372036854775808", status: 400, code: "invalid_parameter", in: "path", pointer: "version"},
	{name: "restore version 0", method: "POST", path: lines + "/a/versions/0/restore", body: `{}`, header: stale, status: 400, code: "invalid_parameter", in: "path", pointer: "version"},
	{name: "compare from 0", method: "GET", path: lines + "/a/versions/2/compare?from=0", status: 400, code: "invalid_parameter", in: "query", pointer: "from"},
	{name: "compare from 2^63", method: "GET", path: lines + "/a/versions/2/compare?from=9223372036854775808", status: 400, code: "invalid_parameter", in: "query", pointer: "from"},
	{name: "feed after -1", method: "GET", path: kept + "/changes?after=-1", status: 400, code: "invalid_parameter", in: "query", pointer: "after"},
	{name: "feed after 2^63", method: "GET", path: kept + "/changes?after=9223372036854775808", status: 400, code: "invalid_parameter", in: "query", pointer: "after"},
	{name: "feed beyond its end", method: "GET", path: kept + "/changes?after=9007199254740991", status: 422, code: "validation_failed", in: "query", pointer: "after"},
	{name: "another feed", method: "GET", path: kept + "/changes?feed=AAAAAAAAAAAAAAAAAAAAAAAAAA", status: 422, code: "validation_failed", in: "query", pointer: "feed"},
	{name: "stream of another feed", method: "GET", path: kept + "/changes/stream?feed=AAAAAAAAAAAAAAAAAAAAAAAAAA", status: 422, code: "validation_failed", in: "query", pointer: "feed"},
	{name: "page of 0", method: "GET", path: lines + "?limit=0", status: 400, code: "invalid_parameter", in: "query", pointer: "limit"},
	{name: "search from number 0", method: "POST", path: kept + "/search", body: `{"q":"*","numberFrom":0}`, status: 422, code: "invalid_body", in: "body", pointer: "/numberFrom"},
	{name: "search to number 2^63", method: "POST", path: kept + "/search", body: `{"q":"*","numberTo":9223372036854775808}`, status: 422, code: "invalid_body", in: "body", pointer: "/numberTo"},
	{name: "If-Match of version 0", method: "POST", path: lines + "/a/versions", body: `{"data":{}}`, header: map[string]string{"If-Match": `"0"`}, status: 412, code: "precondition_failed"},
	{name: "If-Match of version 2^63", method: "POST", path: lines + "/a/versions", body: `{"data":{}}`, header: map[string]string{"If-Match": `"9223372036854775808"`}, status: 412, code: "precondition_failed"},

	{name: "taken id", method: "POST", path: lines, body: `{"id":"a","data":{}}`, status: 409, code: "already_exists", in: "body", pointer: "/id"},
	{name: "taken id in a batch", method: "POST", path: kept + "/line/element-batches", body: `{"elements":[{"data":{}},{"id":"a","data":{}}]}`, status: 409, code: "already_exists", in: "body", pointer: "/elements/1/id"},
	{name: "id twice in a batch", method: "POST", path: kept + "/line/element-batches", body: `{"elements":[{"id":"z","data":{}},{"id":"z","data":{}}]}`, status: 422, code: "validation_failed", in: "body", pointer: "/elements/1/id"},
	{name: "one bad item in a batch", method: "POST", path: kept + "/line/element-batches", body: `{"elements":[{"data":{}},{"data":[]},{"data":{}}]}`, status: 422, code: "invalid_body", in: "body", pointer: "/elements/1/data"},
	{name: "one large item in a batch", method: "POST", path: kept + "/line/element-batches", body: `{"elements":[{"data":{}},{"data":` + largeData + `}]}`, status: 422, code: "validation_failed", in: "body", pointer: "/elements/1/data"},
	{name: "batch of 1,001", method: "POST", path: kept + "/line/element-batches", body: `{"elements":[` + strings.Repeat(`{"data":{}},`, 1000) + `{"data":{}}]}`, status: 422, code: "invalid_body", in: "body", pointer: "/elements"},
	{name: "empty batch", method: "POST", path: kept + "/line/element-batches", body: `{"elements":[]}`, status: 422, code: "invalid_body", in: "body", pointer: "/elements"},
	{name: "large data", method: "POST", path: lines, body: `{"data":` + largeData + `}`, status: 422, code: "validation_failed", in: "body", pointer: "/data"},
	{name: "large data of a version", method: "POST", path: lines + "/b/versions", body: `{"data":` + largeData + `}`, header: stale, status: 422, code: "validation_failed", in: "body", pointer: "/data"},
	{name: "large body", method: "POST", path: lines, body: `{"data":` + largeData[:len(largeData)-2] + strings.Repeat("x", 20<<10) + `"}}`, status: 413, code: "body_too_large"},

	{name: "foreign element in an order", method: "POST", path: kept + "/line/reorder", body: `{"order":["c","a","nobody"]}`, status: 422, code: "validation_failed", in: "body", pointer: "/order/2"},
	{name: "element of another type in an order", method: "POST", path: kept + "/line/reorder", body: `{"order":["c","other"]}`, status: 422, code: "validation_failed", in: "body", pointer: "/order/1"},
	{name: "element twice in an order", method: "POST", path: kept + "/line/reorder", body: `{"order":["c","a","c"]}`, status: 422, code: "invalid_body", in: "body", pointer: "/order"},
	{name: "order of one", method: "POST", path: kept + "/line/reorder", body: `{"order":["c"]}`, status: 422, code: "invalid_body", in: "body", pointer: "/order"},
	{name: "foreign element in a preview", method: "POST", path: kept + "/line/reorder/preview", body: `{"order":["c","nobody"]}`, status: 422, code: "validation_failed", in: "body", pointer: "/order/1"},
	{name: "move beside nobody", method: "POST", path: lines + "/a/move", body: `{"before":"nobody"}`, status: 422, code: "validation_failed", in: "body", pointer: "/before"},
	{name: "move beside itself", method: "POST", path: lines + "/a/move", body: `{"after":"a"}`, status: 422, code: "validation_failed", in: "body", pointer: "/after"},
	{name: "move to two places", method: "POST", path: lines + "/a/move", body: `{"before":"b","after":"c"}`, status: 422, code: "invalid_body", in: "body"},
	{name: "move to no place", method: "POST", path: lines + "/a/move", body: `{}`, status: 422, code: "invalid_body", in: "body"},

	{name: "stale If-Match", method: "POST", path: lines + "/a/versions", body: `{"data":{}}`, header: stale, status: 412, code: "precondition_failed"},
	{name: "stale If-Match of a merge", method: "PATCH", path: lines + "/a", body: `{"t":"z"}`, header: merge, status: 412, code: "precondition_failed"},
	{name: "stale If-Match of a restoration", method: "POST", path: lines + "/a/versions/1/restore", body: `{}`, header: stale, status: 412, code: "precondition_failed"},
	{name: "no If-Match", method: "POST", path: lines + "/a/versions", body: `{"data":{}}`, status: 428, code: "precondition_missing"},
	{name: "version of an omitted element", method: "POST", path: lines + "/d/versions", body: `{"data":{}}`, header: stale, status: 409, code: "element_omitted"},
	{name: "key of another request", method: "POST", path: lines, body: `{"data":{"t":"other"}}`, header: map[string]string{"Idempotency-Key": "used-already"}, status: 422, code: "idempotency_conflict", in: "header", pointer: "Idempotency-Key"},

	{name: "cursor of another type", method: "GET", path: kept + "/scene/elements?cursor=CURSOR", status: 400, code: "invalid_cursor", in: "query", pointer: "cursor"},
	{name: "cursor of another filter", method: "GET", path: lines + "?status=active&cursor=CURSOR", status: 400, code: "invalid_cursor", in: "query", pointer: "cursor"},
	{name: "cursor of another walk", method: "GET", path: lines + "?consistent=true&cursor=CURSOR", status: 400, code: "invalid_cursor", in: "query", pointer: "cursor"},
	{name: "cursor of elements in versions", method: "GET", path: lines + "/a/versions?cursor=CURSOR", status: 400, code: "invalid_cursor", in: "query", pointer: "cursor"},
	{name: "cursor of elements in scopes", method: "GET", path: "/sequence/v1/scopes?cursor=CURSOR", status: 400, code: "invalid_cursor", in: "query", pointer: "cursor"},
	{name: "cursor of elements in dead letters", method: "GET", path: "/sequence/v1/dead-letters?cursor=CURSOR", status: 400, code: "invalid_cursor", in: "query", pointer: "cursor"},
	{name: "time zone that is none", method: "PUT", path: kept + "/line/number-format", body: `{"prefix":"L-","padding":3,"resets":"never","timeZone":"Nowhere/Else"}`, status: 422, code: "validation_failed", in: "body", pointer: "/timeZone"},
	{name: "import that is cut", method: "POST", path: kept + "/import", body: `{"export":{"format":1,"scope":"x"}}` + "\n", header: map[string]string{"Content-Type": "application/x-ndjson"}, status: 422, code: "validation_failed", in: "body"},
}

// TestElements_refuseEachFaultByItsOwnCodeAndChangeNothing sends invalid requests with all rights, to the gateway and
// to the service. Each fault must have its own code and place. After each of them the scope, its feed and its next
// numbers must be unchanged.
func TestElements_refuseEachFaultByItsOwnCodeAndChangeNothing(t *testing.T) {
	ctx := context.Background()
	f := harness.Start(t)
	f.Bootstrap()
	admin := f.Admin()
	f.EnrolTOTP(admin)
	data := json.RawMessage(`{"t":"x"}`)
	for _, id := range []string{"a", "b", "c", "d"} {
		_, err := admin.Sequence.CreateElement(ctx, "kept", "line", sequence.ElementCreate{ID: &id, Data: data})
		require.NoError(t, err)
	}
	other := "other"
	_, err := admin.Sequence.CreateElement(ctx, "kept", "scene", sequence.ElementCreate{ID: &other, Data: data})
	require.NoError(t, err)
	proof, err := admin.Twofactor.VerifyOtp(ctx, twofactor.OtpVerify{Code: f.Code()})
	require.NoError(t, err)
	raised, err := admin.KMS.CompleteStepUp(ctx, kms.StepUp{Proof: proof.Proof, Resource: "sequence"})
	require.NoError(t, err)
	at := func(base string) *elementsAt { return &elementsAt{t: t, base: base, token: raised.AccessToken} }
	gateway := at(f.Info.GatewayURL)
	for _, made := range []wrong{
		{method: "POST", path: lines + "/a/versions", body: `{"data":{"t":"y"}}`, header: stale, status: 201},
		{method: "POST", path: lines + "/d/omit", status: 200},
		{method: "POST", path: lines, body: `{"id":"e","data":{}}`, header: map[string]string{"Idempotency-Key": "used-already"}, status: 201},
	} {
		status, text := gateway.send(t, made, "")
		require.Equal(t, made.status, status, string(text))
	}
	_, page := gateway.send(t, wrong{method: "GET", path: lines + "?limit=2"}, "")
	var list struct{ NextCursor string }
	require.NoError(t, json.Unmarshal(page, &list))
	require.NotEmpty(t, list.NextCursor)
	was := gateway.state()
	for place, base := range map[string]string{"gateway": f.Info.GatewayURL, "service": f.Info.Services["sequence"]} {
		for _, w := range wrongs {
			t.Run(place+"/"+w.name, func(t *testing.T) {
				at(base).refused(t, w, list.NextCursor)
				require.Equal(t, was, gateway.state(), "something has changed")
			})
		}
	}
	last, err := admin.Sequence.CreateElement(ctx, "kept", "line", sequence.ElementCreate{Data: data})
	require.NoError(t, err)
	require.EqualValues(t, 6, last.Number, "no refusal took a number")
}

// elementsAt sends requests with all rights to a gateway or a service.
type elementsAt struct {
	t           *testing.T
	base, token string
}

func (e *elementsAt) send(t *testing.T, w wrong, cursor string) (status int, text []byte) {
	var body io.Reader = http.NoBody
	if w.body != "" {
		body = strings.NewReader(w.body)
	}
	req, err := http.NewRequest(w.method, e.base+strings.ReplaceAll(w.path, "CURSOR", cursor), body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+e.token)
	if w.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range w.header {
		req.Header.Set(name, value)
	}
	res, err := recorder.New(t, nil).Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, text
}

func (e *elementsAt) refused(t *testing.T, w wrong, cursor string) {
	status, text := e.send(t, w, cursor)
	var p struct {
		Code   string
		Errors []struct{ In, Pointer string }
	}
	require.NoError(t, json.Unmarshal(text, &p), string(text))
	require.Equal(t, w.status, status, string(text))
	require.Equal(t, w.code, p.Code, string(text))
	if w.in == "" {
		return
	}
	require.NotEmpty(t, p.Errors, "the problem points at nothing: %s", text)
	require.Equal(t, w.in, p.Errors[0].In, string(text))
	if w.pointer != "" {
		require.Equal(t, w.pointer, p.Errors[0].Pointer, string(text))
	}
}

// state returns the scope with all versions, its feed, and its next numbers.
func (e *elementsAt) state() (out [3]string) {
	e.t.Helper()
	for i, path := range []string{kept + "/export", kept + "/changes", kept} {
		status, text := e.send(e.t, wrong{method: "GET", path: path}, "")
		require.Equal(e.t, http.StatusOK, status, string(text))
		out[i] = string(text)
	}
	return out
}
