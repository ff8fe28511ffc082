// Package terminal has the terminal input and output of the commands: a progress bar, and prompts for passwords and
// other input.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Width is the widest line the commands print.
const Width = 80

// Is reports whether f is a terminal.
func Is(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Bar shows the progress of a long operation: on a terminal as one line that is redrawn, elsewhere as a line for every
// tenth.
type Bar struct {
	out    io.Writer
	live   bool
	label  string
	start  time.Time
	drawn  time.Time
	tenths int
}

// NewBar returns a bar on f.
func NewBar(f *os.File, label string) *Bar {
	return &Bar{out: f, live: Is(f), label: label, start: time.Now(), tenths: -1}
}

// Show draws the progress. what names the current step.
func (b *Bar) Show(what string, done, total int) {
	if total <= 0 {
		return
	}
	if b.live {
		if now := time.Now(); done == total || now.Sub(b.drawn) > 50*time.Millisecond {
			b.drawn = now
			fmt.Fprintf(b.out, "\r%s\x1b[K", b.line(what, done, total))
		}
		return
	}
	if tenths := done * 10 / total; tenths > b.tenths {
		b.tenths = tenths
		fmt.Fprintf(b.out, "%s: %d of %d (%s)\n", b.label, done, total, what)
	}
}

// Done ends the line.
func (b *Bar) Done() {
	if b.live && !b.drawn.IsZero() {
		fmt.Fprintln(b.out)
	}
}

// line returns a line of at most Width columns.
func (b *Bar) line(what string, done, total int) string {
	rate := float64(done) / max(time.Since(b.start).Seconds(), 0.001)
	tail := fmt.Sprintf(" %d/%d %s %.0f/s", done, total, what, rate)
	label := b.label
	if len(label) > 20 {
		label = label[:19] + "…"
	}
	room := max(Width-2-len(label)-len(tail)-3, 5)
	full := room * done / total
	return label + " [" + strings.Repeat("=", full) + strings.Repeat(".", room-full) + "]" + tail
}
