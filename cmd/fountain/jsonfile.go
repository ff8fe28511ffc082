package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// readJSON reads a request body from a file. It refuses unknown members, because a misspelled one would be dropped
// silently. A file with the members of one of printed is accepted too, so that the output of the command line can be
// read back.
func readJSON(file string, into any, printed ...any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	err = strictly(raw, into)
	for _, p := range printed {
		if err != nil && strictly(raw, p) == nil {
			return nil
		}
	}
	if err == nil {
		return nil
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("%s: unknown member %s", file, name)
	}
	return fmt.Errorf("%s: %w", file, err)
}

func strictly(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
