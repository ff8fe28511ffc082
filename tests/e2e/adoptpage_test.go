//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fountainai/fountain/tests/harness"
)

// Each line of docs/adopt.md is run as written, in one shell, by a simulated user who types passwords and codes at its
// terminal. The output must be what the page shows. Only the ports and the binary are those of the test.
func TestAdoptPage_isTrueLineByLine(t *testing.T) {
	harness.Own(t, "the page starts its own")
	t.Run("with the service in Go", func(t *testing.T) { runPage(t, readPage(t, "../../docs/adopt.md"), "go") })
	t.Run("with the service in Node", func(t *testing.T) {
		need(t, "node")
		runPage(t, readPage(t, "../../docs/adopt.md"), "node")
	})
}

// The first steps of the README are run in the same way: an authenticator, a screenplay, a key with the command line,
// curl and Go, and a search.
func TestReadme_isTrueLineByLine(t *testing.T) {
	harness.Own(t, "the page starts its own")
	const file = "../../README.md"
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(raw), "\n## First steps\n")
	steps, _, ends := strings.Cut(rest, "\n### What comes next\n")
	require.True(t, found && ends)
	runPage(t, slices.DeleteFunc(readPage(t, file), func(b block) bool {
		first := strings.Count(before, "\n") + 1
		return b.line <= first || b.line > first+strings.Count(steps, "\n")+1
	}), "go")
}

// The page for writers of client programs is run with curl and Go. tests/foreign runs its TypeScript.
func TestConsumersPage_isTrueLineByLine(t *testing.T) {
	harness.Own(t, "the page starts its own")
	need(t, "curl")
	runPage(t, readPage(t, "../../docs/consumers.md"), "go")
}

// block is a fenced block of a page. Comments before it describe it: file (its name), more (the file that it is
// appended to), exit (status of the shell block), with (go or node), needs (a program), setup (what the test does
// instead), shown (why it is not run).
type block struct {
	line     int
	language string
	text     string
	marks    map[string]string
}

var mark = regexp.MustCompile(`^<!-- (?:(file|more|exit|with|needs|setup)(?:: (\S+))?|(shown): (\S.+)) -->$`)

func readPage(t *testing.T, file string) []block {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var blocks []block
	marks, inside := map[string]string{}, false
	lines := strings.Split(string(raw), "\n")
	for i, line := range lines {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && inside:
			inside = false
		case fence:
			inside = true
			blocks = append(blocks, block{line: i + 1, language: language, marks: marks})
			marks = map[string]string{}
		case inside:
			blocks[len(blocks)-1].text += line + "\n"
		case strings.HasPrefix(line, "<!--"):
			m := mark.FindStringSubmatch(line)
			require.NotNil(t, m, "line %d: the test does not know this comment", i+1)
			marks[m[1]+m[3]] = m[2] + m[4]
		default:
			indented := strings.HasPrefix(line, "    ") && lines[i-1] == ""
			require.False(t, indented, "line %d: a block without fences is neither run nor shown for a reason", i+1)
		}
	}
	require.False(t, inside, "the last fence is not closed")
	return blocks
}

// step is a shell block with its expected result.
type step struct {
	block
	want []string
}

// runPage runs the page with the service in one of its languages.
func runPage(t *testing.T, page []block, language string) {
	dir := t.TempDir()
	ports := strings.NewReplacer("8002", freePort(t), "9002", freePort(t), "9000", freePort(t))
	var steps []step
	left := "" // the missing program because of which the last shell block was left out
	for _, b := range page {
		b.text = ports.Replace(b.text)
		if with := b.marks["with"]; with != "" && with != language {
			continue
		}
		_, setup := b.marks["setup"]
		switch name := b.marks["file"]; {
		case setup:
			require.Contains(t, b.text, "make build")
		case name != "":
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(b.text), 0o600))
		case b.marks["more"] != "":
			file, err := os.OpenFile(filepath.Join(dir, b.marks["more"]), os.O_APPEND|os.O_WRONLY, 0o600)
			require.NoError(t, err, "line %d goes on with a file that there is", b.line)
			_, err = file.WriteString("\n" + b.text)
			require.NoError(t, err)
			require.NoError(t, file.Close())
		case b.language == "sh":
			left = b.marks["needs"]
			if left == "" || has(t, left) {
				left = ""
				steps = append(steps, step{block: b})
			}
		case b.language == "text" && left == "":
			steps[len(steps)-1].want = strings.Split(strings.TrimSpace(b.text), "\n")
		case b.language != "text":
			t.Fatalf("line %d: the test does not know what to do with this", b.line)
		}
	}
	require.Greater(t, len(steps), 5)
	s := startShell(t, dir, ports, steps)
	for _, one := range steps {
		s.run(t, one)
	}
	s.end(t)
}

// shell runs the steps one after the other, each on a signal.
type shell struct {
	cmd      *exec.Cmd
	said     transcript
	terminal *os.File
	done     chan string   // the status of each step
	next     *os.File      // a line starts the next step
	ended    chan struct{} // closed when the shell has ended
	silent   chan struct{} // closed when no process is left that could write
	seen     int           // bytes of the transcript from earlier steps
}

type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// script returns the page as one shell script. Each step reports its status and waits for a line.
func script(steps []step) string {
	var text strings.Builder
	text.WriteString("set -e\n")
	for _, one := range steps {
		if one.marks["exit"] == "" {
			fmt.Fprintf(&text, "%sprintf '0\\n' >&3; read -r _ <&4\n", one.text)
		} else {
			fmt.Fprintf(&text, "set +e\n%sstatus=$?\nset -e\nprintf '%%s\\n' $status >&3; read -r _ <&4\n", one.text)
		}
	}
	return text.String()
}

// startShell starts the shell with a terminal of its own.
func startShell(t *testing.T, dir string, ports *strings.Replacer, steps []step) *shell {
	t.Helper()
	harness.Own(t, "the page starts its own")
	file := filepath.Join(t.TempDir(), "page.sh")
	require.NoError(t, os.WriteFile(file, []byte(script(steps)), 0o600))
	s := &shell{done: make(chan string, 1), ended: make(chan struct{}), silent: make(chan struct{})}
	tty := s.openTerminal(t)
	out, outside := pipe(t)
	done, doneOutside := pipe(t)
	nextInside, next := pipe(t)
	s.next = next
	s.cmd = exec.Command("sh", file)
	s.cmd.Dir, s.cmd.Env = dir, environment(t, ports)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, outside, outside
	s.cmd.ExtraFiles = []*os.File{doneOutside, nextInside}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, s.cmd.Start())
	for _, f := range []*os.File{tty, outside, doneOutside, nextInside} {
		require.NoError(t, f.Close())
	}
	go func() { _, _ = io.Copy(&s.said, out); close(s.silent) }()
	go func() {
		for lines := bufio.NewScanner(done); lines.Scan(); {
			s.done <- lines.Text()
		}
	}()
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	go s.attend()
	t.Cleanup(func() {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // kills what is left if the test has failed
		<-s.ended
		if t.Failed() {
			t.Log(s.said.String())
		}
	})
	return s
}

// environment returns the environment of a new user, plus Go's downloaded modules and the ports.
func environment(t *testing.T, ports *strings.Replacer) []string {
	t.Helper()
	bin := t.TempDir()
	require.NoError(t, os.Symlink(harness.Binary(t), filepath.Join(bin, "fountain")))
	source, err := filepath.Abs("../..")
	require.NoError(t, err)
	kept, err := exec.CommandContext(t.Context(), "go", "env", "GOPATH", "GOMODCACHE", "GOCACHE", "GOPROXY").Output()
	require.NoError(t, err)
	of := strings.Split(strings.TrimSpace(string(kept)), "\n")
	return []string{
		"HOME=" + t.TempDir(), "PATH=" + bin + ":" + os.Getenv("PATH"), "FOUNTAIN_SOURCE=" + source,
		"GOPATH=" + of[0], "GOMODCACHE=" + of[1], "GOCACHE=" + of[2], "GOPROXY=file://" + of[1] + "/cache/download," + of[3], "GONOSUMDB=*", "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0",
		"FOUNTAIN_ADDR=" + ports.Replace("127.0.0.1:8002"), "FOUNTAIN_ADMIN_ADDR=" + ports.Replace("127.0.0.1:9002"), "FOUNTAIN_URL=" + ports.Replace("http://localhost:8002"),
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() }) // one of them is already closed
	return r, w
}

// openTerminal opens a pseudo-terminal (pty(7)) and returns the side for the programs.
func (s *shell) openTerminal(t *testing.T) (tty *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, terminal) }() // the echo of the typed text
	s.terminal = terminal
	return tty
}

const (
	patience   = 5 * time.Minute // for one step, on a busy machine
	adas       = "a lantern over the river"
	graces     = "a quiet harbour at dawn"
	codePeriod = 30 // seconds (RFC 6238)
)

var (
	seed    = regexp.MustCompile(`type the seed: (\S+)`)
	prompts = regexp.MustCompile(`a password for ada, of 12 characters at least: |once more: |password of ada: |password of grace: |password of grace, of 12 characters at least: |` +
		`first code of the authenticator: |needs a code of your authenticator: |code of your authenticator, or a recovery code: |that code was not accepted; the next one: `)
)

// attend types what is asked for, until the shell has ended.
func (s *shell) attend() {
	answered, used, typed, known := 0, int64(0), "", ""
	for look := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-s.ended:
			look.Stop()
			return
		case <-look.C:
		}
		text := s.said.String()
		at := prompts.FindStringIndex(text[answered:])
		if at == nil {
			continue
		}
		prompt := text[answered+at[0] : answered+at[1]]
		answered += at[1]
		switch {
		case prompt == "once more: ": // the same as before
		case strings.Contains(prompt, "grace"):
			typed = graces
		case strings.Contains(prompt, "code"):
			if now := newestSeed(text[:answered]); now != known { // an authenticator that was not used before
				known, used = now, 0
			}
			typed, used = nextCode(known, used)
		default:
			typed = adas
		}
		_, _ = fmt.Fprintln(s.terminal, typed) // if the shell has ended, run notices it
	}
}

// newestSeed returns the seed of the authenticator that was enrolled last, or "".
func newestSeed(text string) string {
	all := seed.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// nextCode returns the earliest unused code that is accepted now, as the app shows it. It waits for one as a user must.
// The previous code is accepted too until the current period ends, and is skipped if that is soon.
func nextCode(seed string, used int64) (string, int64) {
	if seed == "" {
		return "no seed was shown", used
	}
	now := time.Now().Unix()
	earliest := now / codePeriod
	if now%codePeriod < codePeriod/2 {
		earliest--
	}
	of := max(used+1, earliest)
	if ahead := time.Until(time.Unix(of*codePeriod, 0)); ahead > 0 {
		<-time.After(ahead)
	}
	code, err := totp.GenerateCode(seed, time.Unix(of*codePeriod, 0))
	if err != nil {
		return err.Error(), used
	}
	return code, of
}

// run runs a step in the shell. It requires the expected status, and the output that the page shows.
func (s *shell) run(t *testing.T, one step) {
	t.Helper()
	want := one.marks["exit"]
	if want == "" {
		want = "0"
	}
	select {
	case status := <-s.done:
		require.Equal(t, want, status, "line %d: %s", one.line, one.text)
	case <-s.ended:
		t.Fatalf("line %d: a command failed: %s", one.line, one.text)
	case <-time.After(patience):
		t.Fatalf("line %d: it does not end: %s", one.line, one.text)
	}
	late := time.After(patience)
	for missing := lacks(s.said.String()[s.seen:], one.want); missing != ""; missing = lacks(s.said.String()[s.seen:], one.want) {
		select {
		case <-late:
			t.Fatalf("line %d: what the page shows does not come: %s", one.line, missing)
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.seen = len(s.said.String())
	_, err := fmt.Fprintln(s.next)
	require.NoError(t, err)
}

// lacks returns the first of the lines that the text does not contain in this order. "..." in a line matches anything,
// and a space matches any white space.
func lacks(text string, lines []string) string {
	said := strings.Split(text, "\n")
	for _, line := range lines {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(words(line)), `\.\.\.`, `.*`)
		fits := regexp.MustCompile(pattern)
		found := slices.IndexFunc(said, func(l string) bool { return fits.MatchString(words(l)) })
		if found < 0 {
			return line
		}
		said = said[found+1:]
	}
	return ""
}

func words(line string) string { return strings.Join(strings.Fields(line), " ") }

// end stops what the page has left running, as a reader would.
func (s *shell) end(t *testing.T) {
	t.Helper()
	<-s.ended
	require.NoError(t, syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM))
	select {
	case <-s.silent:
	case <-time.After(patience):
		t.Fatal("what runs in the background does not end")
	}
	log, err := os.ReadFile(filepath.Join(s.cmd.Dir, "up.log"))
	require.NoError(t, err)
	require.NotContains(t, string(log), "answer violates the contract", "the gateway holds every answer against the contract")
}
