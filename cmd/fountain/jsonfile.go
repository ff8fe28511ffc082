package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// readJSON reads what a request says from a file. A member that means nothing is refused, for a misspelled one would be left out unseen;
// what the command line prints of the same (printed) is taken with all of its members.
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
		return fmt.Errorf("%s: the member %s means nothing here", file, name)
	}
	return fmt.Errorf("%s: %w", file, err)
}

func strictly(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
