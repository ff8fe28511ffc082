package contract

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	position "go.yaml.in/yaml/v4"
)

// yamlHints say what to write instead, keyed by the parser's message about invalid YAML.
var yamlHints = []struct{ said, hint string }{
	{"cannot start any token", "indent with spaces instead of tabs, and put a text that begins with @, % or a backtick into quotes"},
	{"mapping values are not allowed", `put a text that has ": " in it into quotes, and a colon with a space behind the key here and in the line before`},
	{"did not find expected key", "give all keys of an object the same indentation, put texts that begin with { or [ into quotes, and close each quote"},
	{"did not find expected '-' indicator", "begin each item of the list with - at the same indentation"},
	{"did not find expected ','", `close the bracket, put a comma between its parts, and put texts that have ": ", commas or brackets in them into quotes`},
	{"did not find expected node", "put a value here, and close each bracket"},
	{"could not find expected ':'", "put a colon and a space behind the key"},
	{"found unknown escape", `put the text into single quotes, where \ is literal`},
	{"unknown anchor", "put a text that begins with * into quotes"},
	{"while scanning an alias", "put a text that begins with * into quotes"},
	{"while scanning an anchor", "put a text that begins with & into quotes"},
	{"unexpected end of stream", "close the quote"},
	{"found unexpected document indicator", "close the quote"},
	{"control characters", "save the file as text in UTF-8"},
	{"UTF-", "save the file as text in UTF-8"},
}

// notYAML returns the error for a text that is not YAML: where, why, and what to write instead. The parser used for elements reports the line at
// which the broken object or list begins; a newer version of it, which only parses the text once more here, reports the line of the fault.
func notYAML(name string, text []byte, err error) error {
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	line, lines := 1, 1+bytes.Count(bytes.TrimSpace(text), []byte("\n"))
	if found := lineOf.FindStringSubmatch(said); found != nil {
		line, _ = strconv.Atoi(found[1])
		_, said, _ = strings.Cut(said, found[0]+": ")
		if strings.HasPrefix(said, "did not find expected") {
			line = min(line+1, lines) // the reader counts these from zero
		}
	}
	var document position.Node
	var exact *position.LoadError
	if errors.As(position.Unmarshal(text, &document), &exact) && exact.Mark.Line > 0 {
		said = exact.Message
		if exact.Mark.Line <= lines {
			line = exact.Mark.Line
		} else if exact.ContextMark.Line > 0 && exact.ContextMark.Line <= lines { // something is still open at the end: report where it begins
			line = exact.ContextMark.Line
		}
	}
	for _, h := range yamlHints {
		if strings.Contains(said, h.said) {
			said += "; " + h.hint
			break
		}
	}
	return fmt.Errorf("%s:%d: the file is not valid YAML: %s", name, line, said)
}
