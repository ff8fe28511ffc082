package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

const ndjson = "application/x-ndjson"

// A body that is held completely, in an operation that also accepts a stream of lines, may not be as large as the stream.
func TestHeldBody_isBoundedBesideAStream(t *testing.T) {
	c, err := Load("search")
	require.NoError(t, err)
	both, held := c.Operation("syncDocuments"), c.Operation("putDocument")
	require.True(t, both.StreamsBodyOf("application/x-ndjson"))
	require.False(t, both.StreamsBodyOf("application/json"))
	require.EqualValues(t, 64<<20, both.Policy.Body.Max)
	require.EqualValues(t, 16<<20, both.HeldBody())
	require.Equal(t, both.Policy.Stream.Idle, both.HeldPatience())
	require.Greater(t, both.MemoryBound(), 2*both.HeldBody(), "what is held counts")
	require.Equal(t, held.Policy.Body.Max, held.HeldBody())
	require.Equal(t, held.Policy.Timeout, held.HeldPatience())
}

// An answer that is not a stream is held and checked, even if the request body is a stream.
func TestStreamsAnswer_isOfTheAnswersMedia(t *testing.T) {
	c, err := Load("search")
	require.NoError(t, err)
	require.False(t, c.Operation("syncDocuments").StreamsAnswer())
	require.True(t, c.Operation("getJobFailures").StreamsAnswer())
	require.False(t, c.Operation("getJob").StreamsAnswer())
	c, err = Load("sequence")
	require.NoError(t, err)
	require.True(t, c.Operation("streamChanges").StreamsAnswer())
	require.False(t, c.Operation("listChanges").StreamsAnswer(), "a long poll ends, and is checked")
	require.False(t, c.Operation("importScope").StreamsAnswer())
}

// passed reads a body through the check, and returns what came out.
func passed(t *testing.T, op *Operation, body io.Reader) (got string, err error) {
	t.Helper()
	require.True(t, op.StreamsBodyOf(ndjson))
	checked, err := op.CheckStream(ndjson, io.NopCloser(body))
	require.NoError(t, err)
	all, err := io.ReadAll(checked)
	require.NoError(t, checked.Close())
	return string(all), err
}

// lineOperations returns both kinds of contract with a body of lines. Each line has a name of at most 16 letters.
func lineOperations(t *testing.T) map[string]*Operation {
	adopted, _ := contentOf(t, "3.1.0", `application/x-ndjson: {itemSchema: {type: object, required: [name], properties: {name: {type: string, maxLength: 16}}}}`)
	described, _ := contentOf(t, "3.0.3", `application/x-ndjson: {schema: {type: object, required: [name], properties: {name: {type: string, maxLength: 16}}}}`)
	return map[string]*Operation{"family": sample(t).Operation("sendLines"), "itemSchema": adopted, "schema": described}
}

func TestLines_thatFitPassByteForByte(t *testing.T) {
	for kind, op := range lineOperations(t) {
		for _, body := range []string{
			thing(""), thing("") + "\n", thing("") + "\n" + thing("") + "\n", thing("") + "\r\n " + thing("") + " \r\n", strings.Repeat(thing("")+"\n", 5000),
		} {
			for _, reader := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body)), iotest.DataErrReader(strings.NewReader(body))} {
				got, err := passed(t, op, reader)
				require.NoError(t, err, kind)
				require.Equal(t, body, got, kind)
			}
			require.NoError(t, op.CheckBody(ndjson, []byte(body)), kind)
		}
		_, err := passed(t, op, strings.NewReader(""))
		require.ErrorIs(t, err, errBodyRequired, kind)
	}
}

// Neither an invalid line nor anything after it is passed on; what came before it is.
func TestLines_endAtTheFirstThatDoesNotFit(t *testing.T) {
	long := `{"name":"a"` + strings.Repeat(" ", defaultLine) + `}`
	good := strings.Repeat(thing("")+"\n", 3)
	for line, code := range map[string]problem.Code{
		`{}`: problem.InvalidBody, `{"name":1}`: problem.InvalidBody, `[]`: problem.InvalidBody, `{"name":"` + strings.Repeat("a", 17) + `"}`: problem.InvalidBody,
		`{"name":"a"`: problem.MalformedBody, "": problem.MalformedBody, " ": problem.MalformedBody, "\r": problem.MalformedBody,
		`{"name":"a","name":"b"}`: problem.MalformedBody, `{"name":"a"}{"name":"a"}`: problem.MalformedBody, "{\"name\":\"\xff\"}": problem.MalformedBody,
		long: problem.BodyTooLarge,
	} {
		for kind, op := range lineOperations(t) {
			for _, end := range []string{"\n", "\n" + good} {
				body := good + line + end
				for _, reader := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body))} {
					got, err := passed(t, op, reader)
					require.Equal(t, code, problem.From(err).Code, "%s: %.40q", kind, line)
					require.Equal(t, good, got, "%s: %.40q", kind, line)
				}
				err := op.CheckBody(ndjson, []byte(body))
				require.Equal(t, code, problem.From(err).Code, "%s: %.40q", kind, line)
				if code == problem.InvalidBody {
					require.Contains(t, problem.From(err).Detail, "Line 4 ")
				}
			}
		}
	}
}

// The length of a line is bounded: of a line without an end no more than that is read and held.
func TestLines_holdNoMoreThanOne(t *testing.T) {
	for kind, op := range lineOperations(t) {
		endless := &counted{}
		_, err := passed(t, op, endless)
		require.Equal(t, problem.BodyTooLarge, problem.From(err).Code, kind)
		require.LessOrEqual(t, endless.read, int(op.lineMax())+2, kind)
		exact := `{"name":"a"` + strings.Repeat(" ", int(op.lineMax())-12) + `}`
		got, err := passed(t, op, strings.NewReader(exact+"\r\n"+exact))
		require.NoError(t, err, kind)
		require.Len(t, got, 2*int(op.lineMax())+2, kind)
	}
	require.Equal(t, int64(4<<10), lineOperations(t)["family"].lineMax(), "stream.lineMax")
}

// counted is a body without an end.
type counted struct{ read int }

func (c *counted) Read(p []byte) (int, error) {
	c.read += len(p)
	return copy(p, bytes.Repeat([]byte{' '}, len(p))), nil
}

// An interrupted body does not count as ended. The lines before the interruption were passed on, and the error is the reader's.
func TestLines_tellThatTheBodyBroke(t *testing.T) {
	broke := errors.New("broke")
	for kind, op := range lineOperations(t) {
		got, err := passed(t, op, io.MultiReader(strings.NewReader(thing("")+"\n"+`{"name"`), iotest.ErrReader(broke)))
		require.ErrorIs(t, err, broke, kind)
		require.Equal(t, thing("")+"\n", got, kind)
	}
}

// Lines without a schema are passed on unchecked, and adopt warns about that.
func TestLines_withoutASchemaOfOneArePassedOn(t *testing.T) {
	for _, content := range []string{`application/x-ndjson: {}`, `application/x-ndjson: {schema: {type: array, items: {type: object}}}`, `application/x-ndjson: {schema: {type: string}}`} {
		op, warnings := contentOf(t, "3.0.3", content)
		got, err := passed(t, op, strings.NewReader("no json\n"))
		require.NoError(t, err)
		require.Equal(t, "no json\n", got)
		if strings.Contains(content, "array") {
			require.Contains(t, fmt.Sprint(warnings), "application/x-ndjson is passed on without a check")
		}
	}
}
