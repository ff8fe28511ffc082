package story

import (
	"fmt"
	"strings"

	"github.com/fountainai/fountain/internal/screenplay"
)

// width is the widest line that is printed.
const width = 80

func parse() (*screenplay.Script, error) {
	return screenplay.Parse(strings.NewReader(screenplay.Demo()))
}

func (t *teller) title() {
	name := screenplay.PlainText(t.script.TitleValue("Title"))
	t.print("FountainAI tells its story on a short play:", "")
	t.print(name, "")
	t.print(strings.Repeat("=", len([]rune(name))), "")
}

// head starts a step.
func (t *teller) head(name string) {
	t.step++
	fmt.Fprintln(t.Out)
	t.print(fmt.Sprintf("%d. %s", t.step, name), "")
}

// say prints a sentence, wrapped and indented.
func (t *teller) say(format string, args ...any) { t.print(fmt.Sprintf(format, args...), "   ") }

// call prints a request and its result.
func (t *teller) call(request, answer string) {
	line := "   > " + request
	if len([]rune(line))+len([]rune(answer))+4 <= width {
		fmt.Fprintf(t.Out, "%s -> %s\n", line, answer)
		return
	}
	t.print(request, "   > ")
	t.print("-> "+answer, "     ")
}

// row prints a line of a table, cut to the width.
func (t *teller) row(format string, args ...any) {
	line := []rune("     " + fmt.Sprintf(format, args...))
	if len(line) > width {
		line = append(line[:width-1], '…')
	}
	fmt.Fprintln(t.Out, string(line))
}

// print wraps text at the width; a word that is longer than a line is broken.
func (t *teller) print(text, indent string) {
	room := width - len(indent)
	line := []rune{}
	flush := func() {
		fmt.Fprintln(t.Out, indent+string(line))
		line = line[:0]
	}
	for _, field := range strings.Fields(text) {
		word := []rune(field)
		if len(line) > 0 && len(line)+1+len(word) > room {
			flush()
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for len(word) > room {
			line = append(line, word[:room]...)
			word = word[room:]
			flush()
		}
		line = append(line, word...)
	}
	if len(line) > 0 {
		flush()
	}
}

// oneLine returns a text on one line, without emphasis marks.
func oneLine(text string) string {
	return strings.Join(strings.Fields(screenplay.PlainText(text)), " ")
}
