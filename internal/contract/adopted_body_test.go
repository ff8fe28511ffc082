package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// contentOf adopts a document with one operation, POST /pets, whose body has the content written as YAML flow.
func contentOf(t testing.TB, version, content string) (*Operation, []Warning) {
	t.Helper()
	c, warnings := adopt(t, fmt.Sprintf(`{openapi: %s, info: {title: Pets, version: 1.0.0}, paths: {/pets: {post: {operationId: send,
  requestBody: {required: true, content: {%s}}, responses: {"204": {description: Done.}}}}}}`, version, content))
	require.Empty(t, c.Operation("send").Unsupported)
	return c.Operation("send"), warnings
}

func TestAdoptedForms_areReadByTheTypesOfTheirSchema(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", `application/x-www-form-urlencoded: {schema: {type: object, required: [name], additionalProperties: false, properties: {
    name: {type: string, maxLength: 4}, count: {type: integer}, on: {type: boolean}, tags: {type: array, items: {type: string, maxLength: 2}}, ids: {type: array, items: {type: integer}},
    home: {type: object, properties: {city: {type: string}, zip: {type: integer}}}, code: {oneOf: [{type: integer}, {type: string, pattern: "^x"}]}}},
    encoding: {ids: {style: form, explode: false}, home: {style: deepObject}}}`)
	const form = "application/x-www-form-urlencoded"
	for _, body := range []string{"name=a", "name=12&count=6", "name=a&on=true&tags=a&tags=b&ids=1,2", "name=a&tags=a", "name=a&home[city]=x&home[zip]=1", "name=a&home=%7B%22zip%22:1%7D", "name=a+b&code=xy&", "name=a&code=7"} {
		require.NoError(t, op.CheckBody(form, []byte(body)), body)
		require.NoError(t, op.CheckBody(form+"; charset=UTF-8", []byte(body)), body)
	}
	for _, body := range []string{"count=6", "name=abcde", "name=a&count=x", "name=a&name=b", "name=a&on=maybe", "name=a&tags=abc", "name=a&ids=1,x", "name=a&home[zip]=x", "name=a&home=%7B%22zip%22:%22x%22%7D", "name=a&other=1", "name=a&code=y", "name=%zz", "name=a;b", "name=a&name%3D=x"} {
		require.Error(t, op.CheckBody(form, []byte(body)), body)
	}
	require.Error(t, op.CheckBody("application/json", []byte(`{"name":"a"}`)), "a media type that is not declared")
	require.Error(t, op.CheckBody(form, nil), "it is required")
}

func TestAdoptedForms_refuseBracketsThatDecodersWouldReadOverAField(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	op, _ := contentOf(t, "3.0.3", form+`: {schema: {type: object, properties: {role: {type: string, enum: [reader]}, a: {anyOf: [{type: integer, maximum: 5}, {type: boolean}, {type: string, enum: [x]}]}, b: {anyOf: [{type: integer, maximum: 5}, {type: string, minLength: 2}]}, items: {type: array, items: {type: object, properties: {price: {type: integer}}}}}}}`)
	for body, fits := range map[string]bool{
		"role=reader": true, "a=5&b=77": true, "a=7&b=77": false, "other[x]=1": true, "items[0][price]=1&items[1][price]=2": true,
		"role=reader&role[]=admin": false, "role[x]=admin": false, "role[=admin": false, "items[0][price]=x": false,
	} {
		require.Equal(t, fits, op.CheckBody(form, []byte(body)) == nil, body)
	}
}

func TestAdoptedMedia_knowsRangesAndPassesBytes(t *testing.T) {
	op, warnings := contentOf(t, "3.0.3", `image/*: {schema: {type: string, format: binary}}, application/xml: {schema: {type: object, properties: {a: {type: integer}}}}, application/vnd.a+json: {schema: {type: integer}}, "text/plain; charset=utf-8": {schema: {type: string, maxLength: 3}}`)
	require.NoError(t, op.CheckBody("image/png", []byte{0xff, 0, 1}))
	require.NoError(t, op.CheckBody("IMAGE/webp; q=1", []byte{0xff}))
	require.NoError(t, op.CheckBody("application/xml", []byte(`<a>x</a>`)))
	require.Contains(t, fmt.Sprint(warnings), "application/xml is passed on without a check")
	require.NoError(t, op.CheckBody("application/vnd.a+json; charset=utf-8", []byte(`1`)))
	require.Error(t, op.CheckBody("application/vnd.a+json", []byte(`"x"`)))
	require.Error(t, op.CheckBody("application/vnd.a+json; charset=utf-16", []byte(`1`)))
	require.NoError(t, op.CheckBody("text/plain", []byte(`abc`)))
	require.Error(t, op.CheckBody("text/plain", []byte(`abcd`)))
	for _, other := range []string{"", "video/mp4", "application/json", "image", "text/html"} {
		require.Equal(t, problem.UnsupportedMedia, problem.From(op.CheckBody(other, []byte("x"))).Code, other)
	}
	require.True(t, op.StreamsBodyOf("image/png"))
	require.False(t, op.StreamsBodyOf("application/vnd.a+json"))
	require.False(t, op.StreamsBodyOf("video/mp4"))
	suffix, _ := contentOf(t, "3.0.3", `"application/*+json": {schema: {type: integer}}`)
	require.NoError(t, suffix.CheckBody("application/vnd.b+json", []byte("1")))
	require.Error(t, suffix.CheckBody("application/vnd.b+json", []byte(`"x"`)))
	require.Error(t, suffix.CheckBody("text/plain", []byte("1")))
	any, _ := contentOf(t, "3.0.3", `"*/*": {}`)
	require.NoError(t, any.CheckBody("", []byte("x")))
	require.NoError(t, any.CheckBody("a/b", []byte("x")))
}

func TestAdoptedMedia_checksHeadsBeforeTheBodyIsRead(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", `application/json: {schema: {type: integer}}`)
	head := func(body, contentType, accept string) error {
		r := httptest.NewRequest(http.MethodPost, "/pets/pets", strings.NewReader(body))
		r.Header.Set("Accept", accept)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return op.CheckMedia(r)
	}
	require.NoError(t, head("1", "application/json; charset=utf-8; version=2", "text/html"))
	require.Error(t, head("1", "", "*/*"))
	require.Error(t, head("1", "text/plain", "*/*"))
	require.Error(t, head("", "application/json", "*/*"), "it is required")
}

// multipartBody writes parts, each as name, file name, content type and content.
func multipartBody(t testing.TB, parts ...[4]string) (contentType string, body []byte) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for _, p := range parts {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q`, p[0])}}
		if p[1] != "" {
			h.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q; filename=%q`, p[0], p[1]))
		}
		if p[2] != "" {
			h.Set("Content-Type", p[2])
		}
		part, err := w.CreatePart(h)
		require.NoError(t, err)
		_, err = io.WriteString(part, p[3])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), out.Bytes()
}

const uploadContent = `multipart/form-data: {schema: {type: object, required: [file, meta], additionalProperties: false, properties: {
  file: {type: string, format: binary}, meta: {type: object, required: [name], properties: {name: {type: string, maxLength: 8}, at: {type: string, format: date-time}}},
  count: {type: integer, maximum: 9}, tags: {type: array, items: {type: string, maxLength: 3}}, images: {type: array, maxItems: 2, items: {type: string, format: binary}}, note: {type: string, maxLength: 5}}},
  encoding: {file: {contentType: "image/png, image/*"}}}`

var (
	goodFile = [4]string{"file", "a.png", "image/png", "\x89PNG\x00\xff"}
	goodMeta = [4]string{"meta", "", "application/json", `{"name":"a"}`}
)

func uploads() (fits, not map[string][][4]string) {
	with := func(more ...[4]string) [][4]string { return append([][4]string{goodFile, goodMeta}, more...) }
	return map[string][][4]string{
			"what is required":      with(),
			"in another order":      {goodMeta, goodFile},
			"JSON without its type": {goodFile, {"meta", "", "", `{"name":"a"}`}},
			"an integer":            with([4]string{"count", "", "", "7"}),
			"a list of one":         with([4]string{"tags", "", "", "a"}),
			"a list by brackets":    with([4]string{"tags[]", "", "", "a"}, [4]string{"tags[]", "", "", "b"}),
			"a list of one digit":   with([4]string{"tags", "", "", "7"}),
			"a list":                with([4]string{"tags", "", "", "a"}, [4]string{"tags", "", "text/plain", "b"}),
			"a list as JSON":        with([4]string{"tags", "", "application/json", `["a","b"]`}),
			"several files":         with([4]string{"images", "1.png", "image/png", "x"}, [4]string{"images", "2.png", "", "y"}),
			"a text sent as JSON":   with([4]string{"note", "", "application/json", "abc"}),
			"digits as a text":      with([4]string{"note", "", "", "12"}),
			"an empty file":         {{"file", "a.png", "image/gif", ""}, goodMeta},
		}, map[string][][4]string{
			"no file":                  {goodMeta},
			"no meta":                  {goodFile},
			"meta without its name":    {goodFile, {"meta", "", "application/json", `{}`}},
			"meta that is no JSON":     {goodFile, {"meta", "", "application/json", `{"name":"a"`}},
			"meta that is text":        {goodFile, {"meta", "", "", `name`}},
			"JSON and more":            {goodFile, {"meta", "", "application/json", `{"name":"a"}}`}},
			"a date that is none":      {goodFile, {"meta", "", "application/json", `{"name":"a","at":"now"}`}},
			"a file of another type":   {{"file", "a.txt", "text/html", "x"}, goodMeta},
			"a number that is none":    with([4]string{"count", "", "", "x"}),
			"a number out of bounds":   with([4]string{"count", "", "", "10"}),
			"one part twice":           with([4]string{"count", "", "", "1"}, [4]string{"count", "", "", "2"}),
			"an item that is too long": with([4]string{"tags", "", "", "a"}, [4]string{"tags", "", "", "abcd"}),
			"too many files":           with([4]string{"images", "1", "", "x"}, [4]string{"images", "2", "", "y"}, [4]string{"images", "3", "", "z"}),
			"a part nobody declared":   with([4]string{"other", "", "", "x"}),
			"a text that is too long":  with([4]string{"note", "", "", "abcdef"}),
			"brackets at a text":       with([4]string{"note[]", "", "", "a"}),
			"brackets with a key":      with([4]string{"tags[a]", "", "", "a"}),
			"a text sent as a file":    with([4]string{"note", "a.png", "image/png", "abcdef"}),
			"a number sent as bytes":   with([4]string{"count", "", "application/octet-stream", "x"}),
			"text that is not UTF-8":   with([4]string{"note", "", "", "\xff"}),
		}
}

func TestMultipart_checksEachPart(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", uploadContent)
	fits, not := uploads()
	for name, parts := range fits {
		contentType, body := multipartBody(t, parts...)
		require.NoError(t, op.CheckBody(contentType, body), name)
	}
	for name, parts := range not {
		contentType, body := multipartBody(t, parts...)
		require.Error(t, op.CheckBody(contentType, body), name)
	}
	contentType, body := multipartBody(t, goodFile, goodMeta)
	require.Error(t, op.CheckBody("multipart/form-data", body), "no boundary")
	require.Error(t, op.CheckBody(contentType, body[:len(body)-8]), "cut off")
	require.Error(t, op.CheckBody(contentType, []byte("nothing")))
	for name, replacement := range map[string]string{
		"a part without a name": `x="meta"`, "two names": `name="meta"; name="other"`, "a name in another form": `name="meta"; name*=utf-8''other`,
		"two dispositions": "name=\"meta\"\r\nContent-Disposition: form-data; name=\"other\"", "a coding": "name=\"meta\"\r\nContent-Transfer-Encoding: base64",
	} {
		require.Error(t, op.CheckBody(contentType, bytes.Replace(body, []byte(`name="meta"`), []byte(replacement), 1)), name)
	}
	require.NoError(t, op.CheckBody(contentType, bytes.Replace(body, []byte(`name="meta"`), []byte("name=\"meta\"\r\nContent-Transfer-Encoding: 8bit"), 1)))
}

func TestMultipart_tellsWhere(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", uploadContent)
	contentType, body := multipartBody(t, goodFile, [4]string{"meta", "", "application/json", `{"name":"123456789"}`})
	e := problem.From(op.CheckBody(contentType, body))
	require.Equal(t, problem.InvalidBody, e.Code)
	require.Equal(t, "/meta/name", e.Fields[0].Pointer)
	require.Equal(t, "maxLength", e.Fields[0].Keyword)
}

func TestMultipart_boundsWhatItHolds(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", `multipart/form-data: {schema: {type: object}}`)
	contentType, body := multipartBody(t, [4]string{"a", "", "", strings.Repeat("x", maxPartsText+1)})
	require.Equal(t, problem.MalformedBody, problem.From(op.CheckBody(contentType, body)).Code)
	contentType, body = multipartBody(t, [4]string{"a", "big.bin", "", strings.Repeat("x", 4*maxPartsText)})
	require.NoError(t, op.CheckBody(contentType, body), "a file is not held")
	many := make([][4]string, maxParts+1)
	for i := range many {
		many[i] = [4]string{fmt.Sprint("p", i), "", "", "x"}
	}
	contentType, body = multipartBody(t, many...)
	require.Error(t, op.CheckBody(contentType, body))
}

func TestCheckStream_givesOutWhatFitsAndNeverTheEndOfWhatDoesNot(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", uploadContent)
	fits, not := uploads()
	slow := func(b []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) }
	fast := func(b []byte) io.Reader { return bytes.NewReader(b) }
	for _, reader := range []func([]byte) io.Reader{slow, fast} {
		for name, parts := range fits {
			contentType, body := multipartBody(t, parts...)
			require.True(t, op.StreamsBodyOf(contentType))
			checked, err := op.CheckStream(contentType, io.NopCloser(reader(body)))
			require.NoError(t, err)
			got, err := io.ReadAll(checked)
			require.NoError(t, err, name)
			require.Equal(t, body, got, name)
			require.NoError(t, checked.Close())
		}
		for name, parts := range not {
			contentType, body := multipartBody(t, parts...)
			checked, err := op.CheckStream(contentType, io.NopCloser(reader(body)))
			require.NoError(t, err)
			got, err := io.ReadAll(checked)
			require.Error(t, err, name)
			require.Contains(t, []problem.Code{problem.InvalidBody, problem.MalformedBody}, problem.From(err).Code, name)
			require.Less(t, len(got), len(body), name)
			_, boundary, _ := strings.Cut(contentType, "boundary=")
			require.NotContains(t, string(got), "--"+boundary+"--", name)
			require.NoError(t, checked.Close())
		}
	}
}

func TestCheckStream_keepsTheLastBoundaryBackWhateverComesAfterIt(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", uploadContent)
	contentType, body := multipartBody(t, goodFile, [4]string{"images", "a", "", strings.Repeat("x", 1<<20)})
	_, boundary, _ := strings.Cut(contentType, "boundary=")
	for _, epilogue := range []int{1, 100, 3000, 5000, 20_000, 1 << 20} {
		sent := append(bytes.Clone(body), strings.Repeat("y", epilogue)...)
		checked, err := op.CheckStream(contentType, io.NopCloser(bytes.NewReader(sent)))
		require.NoError(t, err)
		got, err := io.ReadAll(checked)
		require.Equal(t, problem.InvalidBody, problem.From(err).Code)
		require.NotEmpty(t, got, "it was on its way")
		require.NotContains(t, string(got), "--"+boundary+"--", epilogue)
	}
}

func TestCheckStream_endsWhenItIsClosedOrTheClientFails(t *testing.T) {
	op, _ := contentOf(t, "3.0.3", uploadContent)
	contentType, body := multipartBody(t, goodFile, [4]string{"images", "a", "", strings.Repeat("x", 1<<20)}, goodMeta)
	checked, err := op.CheckStream(contentType, io.NopCloser(bytes.NewReader(body)))
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, checked, 100)
	require.NoError(t, err)
	require.NoError(t, checked.Close())
	require.Error(t, <-checked.(*checkedStream).verdict, "the check has ended")
	gone := errors.New("the client has gone")
	checked, err = op.CheckStream(contentType, io.NopCloser(io.MultiReader(bytes.NewReader(body[:2000]), iotest.ErrReader(gone))))
	require.NoError(t, err)
	_, err = io.ReadAll(checked)
	require.ErrorIs(t, err, gone)
	bytesOnly, _ := contentOf(t, "3.0.3", `application/octet-stream: {}`)
	passed, err := bytesOnly.CheckStream("application/octet-stream", io.NopCloser(strings.NewReader("abc")))
	require.NoError(t, err)
	got, err := io.ReadAll(passed)
	require.NoError(t, err)
	require.Equal(t, "abc", string(got))
}

// A body is not required by default (OpenAPI), and adopt warns about that. If the document states it, there is no warning.
func TestAdoptedBody_thatMayBeMissingIsTold(t *testing.T) {
	for required, told := range map[string]bool{"": true, "required: false, ": false, "required: true, ": false} {
		c, warnings := adopt(t, `{openapi: 3.0.3, info: {title: Pets, version: 1.0.0}, paths: {/pets: {post: {operationId: send,
  requestBody: {`+required+`content: {application/json: {schema: {type: object}}}}, responses: {"204": {description: Done.}}}}}}`)
		require.Equal(t, told, kinds(warnings)[WarnBody] == 1, "%s%v", required, warnings)
		require.Equal(t, required == "required: true, ", c.Operation("send").CheckBody("application/json", nil) != nil, required)
	}
}
