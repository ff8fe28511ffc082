package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// strictly reads an object with encoding/json and refuses what scanObject must refuse. It is the oracle.
func strictly(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := walk(dec, true); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the object")
	}
	return nil
}

func walk(dec *json.Decoder, top bool) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	delim, isDelim := token.(json.Delim)
	if !isDelim || top && delim != '{' {
		if top {
			return errors.New("not an object")
		}
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			key := strings.ToLower(fmt.Sprint(name))
			if seen[key] {
				return errors.New("named twice")
			}
			seen[key] = true
		}
		if err := walk(dec, false); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

func TestScanObject_refusesWhatTwoReadersCouldReadDifferently(t *testing.T) {
	for raw, good := range map[string]bool{
		`{}`: true, ` { "a" : 1 , "b" : [ {"c":null} , "x" ] } `: true, `{"a":"}\""}`: true,
		`{"a":1,"a":2}`: false, `{"a":1,"A":2}`: false, `{"b":{"a":1,"A":2}}`: false, `{"b":[{"a":1,"a":1}]}`: false,
		`{"\u0061":1}`: false, `{"a":1} x`: false, `{"a":1}{}`: false, `[]`: false, `"a"`: false, ``: false, `{`: false, `{"a"`: false,
		`{"a":}`: false, `{"a":1,}`: false, `{,}`: false, `{"a" 1}`: false, `{"a":"`: false, `{"a":[1}`: false,
		`{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`: false,
		`{` + strings.Repeat(`"x":1,`, 2) + `"y":1}`:                      false,
	} {
		err := scanObject([]byte(raw), nil)
		require.Equal(t, good, err == nil, "%s: %v", raw, err)
	}
}

// What scanObject accepts and encoding/json can read, a strict reader accepts, too.
func FuzzScanObject(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":{"c":[1,2,{"d":"x"}]}}`, `{"a":"\"","A":1}`, `{"exp":1,"exp ":2}`, `{"é":1,"É":2}`, "{\"K\":1,\"\u212a\":2}", `{"s":1,"ſ":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if scanObject(raw, func(string, []byte) error { return nil }) != nil || !json.Valid(raw) {
			return
		}
		if err := strictly(raw); err != nil {
			t.Fatalf("%q was taken: %v", raw, err)
		}
	})
}
