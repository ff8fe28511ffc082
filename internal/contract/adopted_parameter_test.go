package contract

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// parametersOf adopts a document with one operation, GET of a path, with the parameters written as YAML flow.
func parametersOf(t testing.TB, path, parameters string) (*Contract, []Warning) {
	t.Helper()
	return adopt(t, fmt.Sprintf(`{openapi: 3.0.3, info: {title: Pets, version: 1.0.0}, paths: {%q: {get: {operationId: find, parameters: [%s], responses: {"200": {description: Done.}}}}}}`, path, parameters))
}

// sent checks the parameters of a request; heads are header lines such as "X-A: 1".
func sent(c *Contract, target string, heads ...string) error {
	r := httptest.NewRequest(http.MethodGet, "http://gateway.test/pets"+target, nil)
	for _, head := range heads {
		name, value, _ := strings.Cut(head, ": ")
		r.Header.Add(name, value)
	}
	var m Match
	if err := c.Match(r.Method, r.URL.EscapedPath(), &m); err != nil {
		return err
	}
	return m.Operation.CheckParameters(r, &m)
}

const (
	numbers = `{type: array, items: {type: integer}, maxItems: 3}`
	point   = `{type: object, required: [x], properties: {x: {type: integer}, y: {type: string}}, additionalProperties: false}`
)

func TestAdoptedParameters_areReadInTheirStyles(t *testing.T) {
	for _, one := range []struct {
		parameter string
		fits, not []string
	}{
		{`{name: a, in: query, schema: {type: integer, minimum: 1}}`, []string{"/p", "/p?a=1", "/p?a=1&other=x", "/p?", "/p?a=1.0"}, []string{"/p?a=0", "/p?a=x", "/p?a=1&a=2", "/p?a="}},
		{`{name: a, in: query, allowEmptyValue: true, schema: {type: integer}}`, []string{"/p?a=", "/p?a"}, []string{"/p?a=x"}},
		{`{name: a, in: query, required: true, schema: {type: string}}`, []string{"/p?a="}, []string{"/p", "/p?b=1"}},
		{`{name: a, in: query, schema: ` + numbers + `}`, []string{"/p?a=1&a=2", "/p?a=1"}, []string{"/p?a=1,2", "/p?a=1&a=x", "/p?a=1&a=2&a=3&a=4"}},
		{`{name: a, in: query, explode: false, schema: ` + numbers + `}`, []string{"/p?a=1,2", "/p?a=1%2C2"}, []string{"/p?a=", "/p?a=1&a=2", "/p?a=1,x", "/p?a=1,2,3,4"}},
		{`{name: a, in: query, style: spaceDelimited, explode: false, schema: ` + numbers + `}`, []string{"/p?a=1%202", "/p?a=1+2"}, []string{"/p?a=1,2"}},
		{`{name: a, in: query, style: pipeDelimited, explode: false, schema: ` + numbers + `}`, []string{"/p?a=1%7C2"}, []string{"/p?a=1,2", "/p?a=1%7Cx"}},
		{`{name: a, in: query, style: deepObject, schema: ` + point + `}`, []string{"/p", "/p?a[x]=1&a[y]=2", "/p?a%5Bx%5D=1"}, []string{"/p?a[x]=z", "/p?a[y]=1", "/p?a[x]=1&a[z]=2", "/p?a[x]=1&a[x]=2", "/p?a[x=1"}},
		{`{name: a, in: query, style: deepObject, schema: {type: object, properties: {b: {type: object, properties: {c: {type: integer}}}, d: ` + numbers + `}}}`,
			[]string{"/p?a[b][c]=1", "/p?a[d]=1&a[d]=2", "/p?a[d][]=1&a[d][]=2", "/p?a[d][0]=1&a[d][1]=2"}, []string{"/p?a[b][c]=x", "/p?a[d][]=x", "/p?a[d]=x"}},
		{`{name: a, in: query, style: deepObject, schema: {anyOf: [{type: object, properties: {gte: {type: integer}}}, {type: integer}]}}`, []string{"/p?a=7", "/p?a[gte]=7"}, []string{"/p?a=x", "/p?a[gte]=x", "/p?a=1&a[gte]=7"}},
		{`{name: a, in: query, style: deepObject, schema: ` + numbers + `}`, []string{"/p?a[]=7&a[]=8", "/p?a[0]=7&a[1]=8"}, []string{"/p?a[]=x"}},
		{`{name: a, in: query, schema: {type: string, nullable: true, maxLength: 4}}`, []string{"/p?a=null", "/p?a=1"}, []string{"/p?a=12345"}},
		{`{name: a, in: query, schema: ` + point + `}`, []string{"/p", "/p?x=1&y=2", "/p?x=1&z=2", "/p?a=z"}, []string{"/p?x=z", "/p?y=1", "/p?x=1&x=2"}},
		{`{name: a, in: query, explode: false, schema: ` + point + `}`, []string{"/p?a=x,1,y,2"}, []string{"/p?a=x", "/p?a=y,1", "/p?a=x,1,x,2"}},
		{`{name: a, in: query, content: {application/json: {schema: ` + point + `}}}`, []string{"/p?a=%7B%22x%22:1%7D"}, []string{"/p?a=%7B%22x%22:1", "/p?a=%7B%7D", "/p?a=1"}},
		{`{name: a, in: query, schema: {oneOf: [{type: integer}, {type: string, pattern: "^v"}]}}`, []string{"/p?a=7", "/p?a=v7"}, []string{"/p?a=x"}},
		{`{name: a, in: query, schema: {anyOf: [{type: string, maxLength: 2}, {type: array, items: {type: string, maxLength: 3}}]}}`, []string{"/p?a=12", "/p?a=abc", "/p?a=abc&a=d"}, []string{"/p?a=abcd", "/p?a=a&a=abcd"}},
		{`{name: a, in: query, schema: {anyOf: [{type: integer, maximum: 5}, {type: string, minLength: 2}]}}`, []string{"/p?a=5", "/p?a=77"}, []string{"/p?a=7"}},
		{`{name: a, in: query, schema: {type: string, nullable: true, enum: ["1", "2"]}}`, []string{"/p?a=1"}, []string{"/p?a=3"}},
		{`{name: a, in: query, schema: {}}`, []string{"/p?a=1", "/p?a=x"}, []string{"/p?a=%zz"}},
		{`{name: "a[]", in: query, schema: ` + numbers + `}`, []string{"/p?a[]=1&a[]=2", "/p?a%5B%5D=1"}, []string{"/p?a[]=x"}},
		{`{name: "filter[name]", in: query, schema: {type: string, maxLength: 2}}`, []string{"/p?filter[name]=ab"}, []string{"/p?filter[name]=abc"}},
	} {
		c, _ := parametersOf(t, "/p", one.parameter)
		require.Empty(t, c.Operation("find").Unsupported, one.parameter)
		for _, target := range one.fits {
			require.NoError(t, sent(c, target), "%s: %s", one.parameter, target)
		}
		for _, target := range one.not {
			require.Error(t, sent(c, target), "%s: %s", one.parameter, target)
		}
	}
}

func TestAdoptedParameters_ofThePathAreReadInTheirStyles(t *testing.T) {
	for _, one := range []struct {
		schema, style string
		fits, not     []string
	}{
		{numbers, ``, []string{"/1,2", "/1", "/%31,2"}, []string{"/1,x", "/1,2,3,4"}},
		{point, ``, []string{"/x,1,y,2"}, []string{"/x,z", "/x"}},
		{point, `, explode: true`, []string{"/x=1,y=2"}, []string{"/x,1", "/x=z"}},
		{numbers, `, style: label`, []string{"/.1.2", "/.1,2"}, []string{"/1.2", "/.x"}},
		{numbers, `, style: label, explode: true`, []string{"/.1.2"}, []string{"/.1,2"}},
		{point, `, style: label, explode: true`, []string{"/.x=1.y=2"}, []string{"/.x=z"}},
		{`{type: integer}`, `, style: matrix`, []string{"/;a=1"}, []string{"/1", "/;a=x", "/;b=1"}},
		{numbers, `, style: matrix`, []string{"/;a=1,2"}, []string{"/;a=x"}},
		{numbers, `, style: matrix, explode: true`, []string{"/;a=1;a=2"}, []string{"/;a=1;b=2"}},
		{point, `, style: matrix, explode: true`, []string{"/;x=1;y=2"}, []string{"/;x=z"}},
	} {
		c, _ := parametersOf(t, "/{a}", `{name: a, in: path, required: true, schema: `+one.schema+one.style+`}`)
		for _, target := range one.fits {
			require.NoError(t, sent(c, target), "%s%s: %s", one.schema, one.style, target)
		}
		for _, target := range one.not {
			require.Error(t, sent(c, target), "%s%s: %s", one.schema, one.style, target)
		}
	}
}

func TestAdoptedParameters_ofHeadersAndCookies(t *testing.T) {
	c, _ := parametersOf(t, "/p", `{name: x-list, in: header, schema: `+numbers+`}, {name: x-point, in: header, explode: true, schema: `+point+`}, {name: x-n, in: header, required: true, schema: {type: integer}},
  {name: c, in: cookie, schema: {type: integer}}, {name: cs, in: cookie, explode: false, schema: `+numbers+`}, {name: Accept, in: header, required: true, schema: {type: integer}}`)
	require.NoError(t, sent(c, "/p", "X-N: 1", "X-List: 1, 2", "X-Point: x=1,y=2", "Cookie: c=1; cs=1,2; other=x", "X-Other: y"))
	require.NoError(t, sent(c, "/p", "X-N: 1", "X-List: 1", "X-List: 2"))
	require.Error(t, sent(c, "/p"), "a required header")
	require.Error(t, sent(c, "/p", "X-N: 1", "X-N: 2"))
	require.Error(t, sent(c, "/p", "X-N: 1", "X-List: 1,x"))
	require.Error(t, sent(c, "/p", "X-N: 1", "X-Point: y=2"))
	require.Error(t, sent(c, "/p", "X-N: 1", "Cookie: c=x"))
	require.Error(t, sent(c, "/p", "X-N: 1", "Cookie: c=1; c=2"))
	require.Error(t, sent(c, "/p", "X-N: 1", "Cookie: cs=x"))
}

// x-fountain that requires an Idempotency-Key does so, also when the document declares the header as optional. An operation that shares the parameter stays as it is.
func TestAdoptedParameters_requireTheIdempotencyKeyThatThePolicyRequires(t *testing.T) {
	c, _ := adopt(t, `{openapi: 3.0.3, info: {title: Pets, version: 1.0.0}, components: {parameters: {key: {name: idempotency-key, in: header, schema: {type: string}}}},
  paths: {/p: {parameters: [{$ref: '#/components/parameters/key'}], post: {operationId: add, x-fountain: {idempotency: required}, responses: {"200": {description: Done.}}}},
    /q: {post: {operationId: other, parameters: [{$ref: '#/components/parameters/key'}], responses: {"200": {description: Done.}}}}}}`)
	check := func(target string, heads ...string) error {
		r := httptest.NewRequest(http.MethodPost, "http://gateway.test/pets"+target, nil)
		for _, value := range heads {
			r.Header.Add("Idempotency-Key", value)
		}
		var m Match
		require.NoError(t, c.Match(r.Method, r.URL.EscapedPath(), &m))
		return m.Operation.CheckParameters(r, &m)
	}
	require.Equal(t, problem.IdempotencyMissing, problem.From(check("/p")).Code)
	require.NoError(t, check("/p", "0123456789"))
	require.NoError(t, check("/q"))
}

func TestAdoptedParameters_areNeverWhatFramesAMessageOrCarriesCredentials(t *testing.T) {
	var all []string
	for _, name := range append([]string{"Accept", "Content-Type", "Authorization", "X-Plain"}, gatewayHeaders...) {
		all = append(all, `{name: `+name+`, in: header, required: true, schema: {type: integer}}`)
	}
	c, warnings := parametersOf(t, "/p", strings.Join(all, ", "))
	require.Equal(t, []string{"X-Plain"}, c.Operation("find").RequestHeaders(), "the gateway forwards what is declared")
	require.NoError(t, sent(c, "/p", "X-Plain: 1", "Cookie: a=b"))
	require.Equal(t, len(gatewayHeaders), kinds(warnings)[WarnParameter])
}

func TestAdoptedParameters_tellWhereAndWhich(t *testing.T) {
	c, _ := parametersOf(t, "/p", `{name: a, in: query, style: deepObject, schema: `+point+`}, {name: n, in: query, schema: {type: integer}}`)
	e := problem.From(sent(c, "/p?a[x]=z&n=x"))
	require.Equal(t, problem.InvalidParameter, e.Code)
	require.Len(t, e.Fields, 2)
	require.Equal(t, "query", e.Fields[0].In)
	require.Equal(t, "a/x", e.Fields[0].Pointer)
	require.Equal(t, "type", e.Fields[0].Keyword)
	require.Equal(t, "n", e.Fields[1].Pointer)
	c, _ = parametersOf(t, "/p", `{name: 'br[]', in: query, schema: {type: array, items: {type: integer}}}, {name: 'a b', in: query, schema: {type: integer}}`)
	e = problem.From(sent(c, "/p?br[]=1&br[]=x&a+b=x"))
	require.Len(t, e.Fields, 2)
	require.Equal(t, []string{"a b", "br[]/1"}, []string{e.Fields[0].Pointer, e.Fields[1].Pointer}, "names of the document have any form")
}

func TestDeclaredQuery_dropsWhatTheServiceDidNotAskFor(t *testing.T) {
	c, _ := parametersOf(t, "/p", `{name: a, in: query, schema: {type: string}}, {name: d, in: query, style: deepObject, schema: {type: object}}, {name: o, in: query, schema: `+point+`}`)
	op := c.Operation("find")
	for raw, want := range map[string]string{
		"":                                  "",
		"a=1":                               "a=1",
		"z=1&a=1&d[x]=2&d%5By%5D=3&x=4&&=5": "a=1&d[x]=2&d%5By%5D=3&x=4",
		"a=1;b=2":                           "a=1%3Bb=2",
		"%61=1&b=%zz":                       "%61=1",
		"access_token=secret":               "",
		"o=1&x=1":                           "x=1",
	} {
		require.Equal(t, want, op.DeclaredQuery(raw), raw)
	}
	free, _ := parametersOf(t, "/p", `{name: o, in: query, schema: {type: object, additionalProperties: {type: string}}}`)
	require.Equal(t, "z=1", free.Operation("find").DeclaredQuery("z=1"), "an object that takes any name is given all")
	require.Equal(t, "z=1", sample(t).Operation("listThings").DeclaredQuery("z=1"), "of the family's contracts nothing is dropped: it was refused")
}

func TestAdoptedParameters_thatCannotBeReadCostTheirOperationAlone(t *testing.T) {
	c, warnings := adopt(t, `
openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
paths:
  /a:
    get:
      operationId: a
      parameters:
        - {name: x, in: body, schema: {type: string}}
      responses: {}
  /b:
    get: {operationId: b, responses: {}}
`)
	require.Contains(t, c.Operation("a").Unsupported, "pets.yaml:9: a parameter needs a name and a place; write name: and in: path")
	require.Empty(t, c.Operation("b").Unsupported)
	require.Contains(t, fmt.Sprint(warnings), "GET /a: requests are answered with 501")
	var m Match
	require.NoError(t, c.Match("GET", "/pets/a", &m), "its route stays, so that the caller is told")
	require.Len(t, m.Operation.Requirements, 1, "and tokens are asked for before")
}
