package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// acceptedFile, in the folder of the released contracts, names the breaks that the next release makes intentionally.
const acceptedFile = "accepted.txt"

// accepted lists the names of accepted breaks: "<file>: <METHOD path>: <id>".
type accepted []string

// readAccepted reads one name per line. It ignores empty lines and lines that start with #. If the file does not exist,
// nothing is accepted.
func readAccepted(path string) (accepted, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read accepted breaks: %w", err)
	}
	var names accepted
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.Count(line, ": ") != 2 {
			return nil, fmt.Errorf("accepted break %q: want \"<file>: <METHOD path>: <id>\"", line)
		}
		names = append(names, line)
	}
	return names, nil
}

// split returns the breaks that are not accepted, and the accepted names that match no break.
func (a accepted) split(breaks []string) (open, stale []string) {
	used := map[string]bool{}
	for _, b := range breaks {
		name := nameOf(b)
		if slices.Contains(a, name) {
			used[name] = true
			continue
		}
		open = append(open, b)
	}
	for _, name := range a {
		if !used[name] {
			stale = append(stale, name)
		}
	}
	return open, stale
}

// nameOf returns a break without its explanation.
func nameOf(b string) string {
	parts := strings.SplitN(b, ": ", 4)
	return strings.Join(parts[:min(len(parts), 3)], ": ")
}
