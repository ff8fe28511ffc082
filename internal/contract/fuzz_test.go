package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// plain converts a value of a tape into what encoding/json makes of the same text.
func plain(t *tape, v int) any {
	switch t.tokens[v].kind {
	case kindTrue, kindFalse:
		return t.tokens[v].kind == kindTrue
	case kindNumber:
		return json.Number(t.text(v))
	case kindString:
		return t.text(v)
	case kindArray:
		out, at := make([]any, t.count(v)), v+1
		for i := range out {
			out[i] = plain(t, at)
			at = t.after(at)
		}
		return out
	case kindObject:
		out, at := map[string]any{}, v+1
		for range t.count(v) {
			out[t.text(at)] = plain(t, at+1)
			at = t.after(at + 1)
		}
		return out
	}
	return nil
}

func FuzzTape(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `null`, `1`, `-0`, `1e5`, `"a"`, `{"a":[1,"x",null,true,false,{}]}`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `"\ud800"`, `"\u0000"`, "\"\xff\"",
		`01`, `1.`, `1}`, ` [ 1 , 2 ] `, "\xef\xbb\xbf1", `{"a":1,}`, `1e999`, `"\/"`, "\"\x7f\"", strings.Repeat("[", 70) + strings.Repeat("]", 70)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var read tape
		fault := read.read(text)
		_, treeFault := parseTree(text)
		if (fault == nil) != (treeFault == nil) || fault != nil && (fault.rule != treeFault.rule || fault.pointer() != treeFault.at().pointer()) {
			t.Fatalf("%q: %v by the tape, %v by the tree", text, fault, treeFault)
		}
		var ours any
		if fault == nil {
			ours = plain(&read, 0)
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var theirs any
		err := dec.Decode(&theirs)
		if err == nil {
			if _, more := dec.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("text after the value")
			}
		}
		switch {
		case fault == nil && err != nil:
			t.Fatalf("ours reads %q, encoding/json says %v", text, err)
		case fault == nil && !reflect.DeepEqual(ours, theirs):
			t.Fatalf("%q is read as %#v and as %#v", text, ours, theirs)
		case fault == nil && !utf8.Valid(text):
			t.Fatalf("%q is not UTF-8", text)
		case fault != nil && fault.rule == RuleJSONSyntax && err == nil:
			t.Fatalf("ours says %v of %q, which encoding/json reads", fault, text)
		}
	})
}

func FuzzParsePairs(f *testing.F) {
	for _, s := range []string{"", "a=1", "a=1&b=2", "a", "a=%zz", "a=1;b=2", "&&", "a=%00", "a=+1", "%61=1", "a=%ff", "=1", "a=b=c", "a=%C3%A4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var ours pairs
		rule := ours.read(raw)
		theirs, err := url.ParseQuery(raw)
		if rule != "" {
			return
		}
		if err != nil {
			t.Fatalf("ours reads %q, net/url says %v", raw, err)
		}
		for i, one := range ours {
			if values := theirs[one.name]; len(values) == 0 || values[0] != one.value {
				t.Fatalf("%q: pair %d is %q, and %s is %q", raw, i, one.value, one.name, values)
			}
			theirs[one.name] = theirs[one.name][1:]
			if !utf8.ValidString(one.name+one.value) || strings.ContainsRune(one.name+one.value, 0) {
				t.Fatalf("%q: %q came through", raw, one.name+one.value)
			}
		}
		for name, values := range theirs {
			if len(values) > 0 {
				t.Fatalf("%q: %s has %q more", raw, name, values)
			}
		}
	})
}

func FuzzCheckBody(f *testing.F) {
	c := sample(f)
	for _, s := range []string{`{"name":"a"}`, `{"name":"a","big":1e2}`, `{"shape":"circle","radius":1}`, `{"n":1,"N":2}`, `null`, `{"price":0.01}`, `{"scores":[1,1.0]}`} {
		f.Add([]byte(s))
	}
	doc, _, err := LoadModel(sampleFiles, "sample")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, id := range []string{"createThing", "sendShape", "sendAnything"} {
			op := c.Operation(id)
			if op.CheckBody("application/json", text) != nil {
				continue
			}
			ref := doc.Paths.Value(op.template).GetOperation(op.Method).RequestBody.Value.Content["application/json"].Schema
			if err := kinBody(ref, text); err != nil {
				t.Fatalf("%s: ours accepts %q, kin says %v", id, text, err)
			}
		}
	})
}

func FuzzMediaType(f *testing.F) {
	op := sample(f).Operation("sendText")
	for _, s := range []string{"text/plain", "text/plain; charset=utf-8", "TEXT/PLAIN;charset=\"UTF-8\"", "text/plain; charset=utf-16", "text/plain;;", "*/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		m, err := op.mediaType([]string{header})
		if err == nil && m.name != "text/plain" && m.name != "application/octet-stream" {
			t.Fatalf("%q became %s", header, m.name)
		}
		if err == nil && strings.Contains(strings.ToLower(header), "utf-16") {
			t.Fatalf("%q was accepted", header)
		}
		_ = accepts(header, "application/json")
	})
}
