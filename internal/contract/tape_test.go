package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// body is a JSON body in the contracts, of a request or an answer.
type body struct {
	name      string
	direction direction
	schema    *schema
	model     *openapi3.SchemaRef
}

// jsonBodies returns the bodies of the family's contracts and of the sample.
func jsonBodies(t testing.TB) []body {
	var out []body
	for _, o := range oracles(t) {
		for _, op := range o.contract.Operations {
			model := o.doc.Paths.Value(op.template).GetOperation(op.Method)
			if op.body != nil && op.body.media["application/json"] != nil {
				out = append(out, body{op.ID, inbound, op.body.media["application/json"].schema, model.RequestBody.Value.Content["application/json"].Schema})
			}
			for status, ref := range model.Responses.Map() {
				for name, media := range ref.Value.Content {
					if kind, _ := kindOf(name); kind == mediaJSON && media.Schema != nil {
						out = append(out, body{op.ID + " " + status, outbound, op.statuses[statusKey(status)].media[name].schema, media.Schema})
					}
				}
			}
		}
	}
	return out
}

// tapeBody is treeBody with the tape.
func tapeBody(d direction, s *schema, text []byte) error {
	c := newChecker(d, "body")
	defer c.release()
	if err := c.body(&mediaContract{kind: mediaJSON, schema: s}, text, false); err != nil {
		return err
	}
	return c.problem(problem.InvalidBody, "The body does not match the contract.")
}

// differ describes how the verdicts of tape and tree on a text differ, or returns "", and the tape's verdict.
func differ(d direction, s *schema, text []byte) (string, error) {
	before, err := string(text), tapeBody(d, s, text)
	ours, theirs := problem.From(err), problem.From(treeBody(d, s, text))
	switch {
	case string(text) != before:
		return "the text was changed", err
	case (ours == nil) != (theirs == nil):
	case ours == nil:
		return "", nil
	case ours.Code == theirs.Code && ours.Truncated == theirs.Truncated && slices.Equal(ours.Fields, theirs.Fields):
		return "", err
	}
	return fmt.Sprintf("%s\ntape: %+v\ntree: %+v", text, ours, theirs), err
}

func TestTape_findsWhatTheTreeFinds(t *testing.T) {
	const texts = 120_000
	g, counts := newGenerator(1), map[string]int{}
	bodies := jsonBodies(t)
	for i := range texts {
		b := bodies[i%len(bodies)]
		text := g.text(b.model)
		how, err := differ(b.direction, b.schema, text)
		if how != "" {
			t.Fatalf("%s: %s", b.name, how)
		}
		counts[outcome(err)]++
	}
	t.Log(counts)
	for _, one := range []string{"accepted", "malformed_body", "invalid_body", "truncated"} {
		require.Greater(t, counts[one], texts/2000, "%s: %v", one, counts)
	}
}

func outcome(err error) string {
	switch e := problem.From(err); {
	case err == nil:
		return "accepted"
	case e.Truncated:
		return "truncated"
	default:
		return string(e.Code)
	}
}

func FuzzTapeAgainstTree(f *testing.F) {
	bodies := jsonBodies(f)
	g := newGenerator(2)
	for i := range 200 {
		f.Add(uint16(i), g.text(bodies[i%len(bodies)].model))
	}
	f.Fuzz(func(t *testing.T, which uint16, text []byte) {
		b := bodies[int(which)%len(bodies)]
		if how, _ := differ(b.direction, b.schema, text); how != "" {
			t.Fatalf("%s: %s", b.name, how)
		}
	})
}

func TestTape_findsRepeatedKeysAmongMany(t *testing.T) {
	var read tape
	for n := 1; n < 300; n++ {
		// An inner object, while the table of the outer one is in use, and one after it.
		require.Nil(t, read.read(fmt.Appendf(nil, `{%s,"deep":{%s},"more":{%s}}`, manyKeys(n), manyKeys(n), manyKeys(n/2+1))))
		for _, repeated := range []int{0, n / 2, n - 1} {
			fault := read.read(fmt.Appendf(nil, `{"deep":{%s},%s,"k%d":0}`, manyKeys(n), manyKeys(n), repeated))
			require.NotNil(t, fault)
			require.Equal(t, RuleJSONDuplicateKey, fault.rule)
			require.Equal(t, fmt.Sprintf("/k%d", repeated), fault.pointer())
		}
	}
}

func TestCheckBody_leavesNothingOfOneRequestForAnother(t *testing.T) {
	const marker = "hunter2"
	c := newChecker(inbound, "body")
	require.NoError(t, c.body(&mediaContract{kind: mediaJSON}, []byte(`{"a":"\u0068unter2","b":["\u0068unter2"]}`), false))
	require.Contains(t, string(c.scratch), marker)
	require.True(t, c.unique(4))
	require.Empty(t, c.pairs.read("a=hunter2&b=%68unter2"))
	c.failAt(marker, "required", "is required")
	c.release()
	for _, bytes := range [][]byte{c.scratch[:cap(c.scratch)], c.forms[:cap(c.forms)]} {
		require.NotContains(t, string(bytes), marker)
	}
	require.Empty(t, c.source)
	require.Empty(t, c.name)
	require.Nil(t, c.found)
	for _, p := range c.pairs[:cap(c.pairs)] {
		require.Zero(t, p)
	}
}

func TestCheckBody_needsNoMemoryForWhatFits(t *testing.T) {
	c, err := Load("sequence")
	require.NoError(t, err)
	op, text := c.Operation("createElement"), []byte(`{"data":{"text":"Who's there?","scene":"ACT I"},"comment":"as it was"}`)
	require.NoError(t, op.CheckBody("application/json", text))
	require.LessOrEqual(t, testing.AllocsPerRun(200, func() { _ = op.CheckBody("application/json", text) }), 4.0)
}

func TestCheckParameters_findsWhatItFoundBefore(t *testing.T) {
	const requests = 40_000
	g, all, counts := newGenerator(3), targets(t), map[string]int{}
	for i := range requests {
		to := all[i%len(all)]
		r, _ := g.request(to)
		if g.once(12) && len(to.op.parameters) > 0 {
			r.Header.Add(pick(g, to.op.parameters).name, pick(g, []string{"\x01", "\xff", "1", " a , b "}))
		}
		m, err := match(to.contract, r.Method, r.URL.RawPath)
		if m.Operation != to.op {
			require.True(t, err != nil || m.Operation != nil)
			continue
		}
		err = to.op.CheckParameters(r, m)
		ours, theirs := problem.From(err), problem.From(treeParameters(to.op, r, m))
		counts[outcome(err)]++
		same := (ours == nil) == (theirs == nil)
		if same && ours != nil {
			same = ours.Code == theirs.Code && ours.Truncated == theirs.Truncated && slices.Equal(ours.Fields, theirs.Fields)
		}
		require.True(t, same, "%s?%s %v\nnow:    %+v\nbefore: %+v", r.URL.RawPath, r.URL.RawQuery, r.Header, ours, theirs)
	}
	t.Log(counts)
	for _, one := range []string{"accepted", "malformed_query", "invalid_parameter"} {
		require.Greater(t, counts[one], requests/200, "%s: %v", one, counts)
	}
}

func TestTape_countsMoreRequiredMembersThanAMaskHolds(t *testing.T) {
	const required = 70
	var names, properties []string
	for i := range required {
		names = append(names, fmt.Sprintf("k%d", i))
		properties = append(properties, fmt.Sprintf("k%d: {type: integer}", i))
	}
	text := fmt.Sprintf("openapi: 3.0.3\ninfo: {title: Wide, version: 1.0.0}\nservers: [{url: /wide}]\npaths:\n  /things:\n    post:\n      operationId: sendThing\n      security: []\n"+
		"      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [%s], properties: {%s}}}}}\n      responses: {'204': {description: Done.}}\n",
		strings.Join(names, ", "), strings.Join(properties, ", "))
	c, err := LoadFS(fstest.MapFS{"wide.yaml": {Data: []byte(text)}}, "wide")
	require.NoError(t, err)
	op := c.Operation("sendThing")
	require.NoError(t, op.CheckBody("application/json", []byte("{"+manyKeys(required)+"}")))
	for i := range required {
		without := strings.Replace("{"+manyKeys(required)+"}", fmt.Sprintf(`"k%d":`, i), fmt.Sprintf(`"other%d":`, i), 1)
		fields := problem.From(op.CheckBody("application/json", []byte(without))).Fields
		require.Len(t, fields, 1)
		require.Equal(t, fmt.Sprintf("/k%d", i), fields[0].Pointer)
	}
}
