//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// The operations page is run block by block, in the order of the page and as written. A block is run, or a comment
// above it says why not.
func TestOperationsPage_isRunBlockByBlock(t *testing.T) {
	harness.Own(t, "the page starts its own")
	const file = "../../docs/operations.md"
	dir, etc := t.TempDir(), t.TempDir()
	postgres := databases(t, etc)
	ports := []string{"8002", freePort(t), "9002", freePort(t)}
	page := strings.NewReplacer(append(ports, placeholders(t, dir, etc)...)...)
	steps := []step{{block: block{line: 1, text: prelude(dir, page), marks: map[string]string{}}}}
	run, shown := 0, 0
	for _, b := range readPage(t, file) {
		if b.language == "text" { // output of the previous block
			steps[len(steps)-1].want = strings.Split(strings.TrimSpace(page.Replace(b.text)), "\n")
			continue
		}
		if reason := b.marks["shown"]; reason != "" {
			shown++
			continue
		}
		require.Contains(t, []string{"sh", "console"}, b.language, "line %d: the block is neither run nor shown for a reason", b.line)
		if needs := b.marks["needs"]; needs == "postgres" && !postgres || needs != "" && needs != "postgres" && !has(t, needs) {
			t.Logf("line %d: not run, for want of %s", b.line, needs)
			continue
		}
		run++
		steps = append(steps, pageStep(b, page))
	}
	require.Greater(t, run, 15, "blocks that are run")
	require.Less(t, shown, run, "more is shown than run")
	t.Logf("%d blocks are run, %d are shown", run, shown)
	s := startShell(t, dir, strings.NewReplacer(ports...), steps)
	for _, one := range steps {
		s.run(t, one)
	}
	s.end(t)
}

// pageStep returns a block as a step. A console block has commands, each after a dollar sign, and their output.
func pageStep(b block, page *strings.Replacer) step {
	b.text = page.Replace(b.text)
	if b.language != "console" {
		return step{block: b}
	}
	var commands, said []string
	for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands = append(commands, command+"\n")
		} else if line != "..." {
			said = append(said, line)
		}
	}
	b.text = strings.Join(commands, "")
	return step{block: b, want: said}
}

// placeholders maps the page's placeholders to paths on the test machine.
func placeholders(t *testing.T, dir, etc string) []string {
	source, err := filepath.Abs("../..")
	require.NoError(t, err)
	return []string{
		"fountain up --data ./data --addr 127.0.0.1:8002 --admin-addr 127.0.0.1:9002", "systemctl start fountain", // the same, in the background
		"/var/lib/fountain", filepath.Join(dir, "data"),
		"/var/backups/fountain", filepath.Join(dir, "backups"),
		"/usr/local/bin/", filepath.Join(dir, "installed"),
		"bin/fountain", harness.Binary(t),
		"/etc/fountain", etc,
		"/media/", filepath.Join(dir, "media") + "/",
		"deploy/prometheus", filepath.Join(source, "deploy/prometheus"),
	}
}

// prelude sets up what an operator's machine has before the page is read: directories, and a systemctl that starts and
// stops the family that the page starts.
func prelude(dir string, page *strings.Replacer) string {
	return page.Replace(`mkdir -p ` + filepath.Join(dir, "backups") + ` ` + filepath.Join(dir, "media") + `
systemctl() {
  case "$1 $2" in
  "start fountain")
    : >ready
    fountain up --data ` + filepath.Join(dir, "data") + ` >ready 2>>up.log &
    family=$!
    until grep -q '^ready ' ready; do kill -0 $family || return 1; sleep 0.1; done ;;
  "stop fountain")
    if kill -0 $family 2>/dev/null; then kill $family; wait $family; fi ;;
  *) echo "no such call of systemctl: $*" >&2; return 1 ;;
  esac
}
`)
}

// databases creates an empty database for each service and writes their URLs to files. It returns false if there is no
// PostgreSQL.
func databases(t *testing.T, etc string) bool {
	if os.Getenv("FOUNTAIN_TEST_POSTGRES_URL") == "" && !strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "postgres") {
		return false
	}
	for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
		require.NoError(t, os.WriteFile(filepath.Join(etc, word+"-url"), []byte(harness.Postgres(t)), 0o600))
	}
	return true
}

// A comment without a reason does not exclude a block.
func TestOperationsPage_marksNeedAReason(t *testing.T) {
	harness.Own(t, "it asks no family")
	for line, ok := range map[string]bool{
		"<!-- shown: it needs a cluster -->": true, "<!-- shown -->": false, "<!-- shown: -->": false, "<!-- exit: 1 -->": true, "<!-- exit: 1 or 2 -->": false, "<!-- setup -->": true,
	} {
		require.Equal(t, ok, mark.MatchString(line), line)
	}
}

// checklistRow is a row of the checklist: what to do, a command, and a link to a section of the page.
var checklistRow = regexp.MustCompile("^\\| .+ \\| `(.+)` \\| \\[.+\\]\\(#(.+)\\) \\|$")

// Each command of the checklist is a line of a block in the section that the checklist names beside it, where it is run
// or shown for a reason.
func TestOperationsPage_checklistIsOfItsSections(t *testing.T) {
	harness.Own(t, "it asks no family")
	raw, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(raw), "\n## Checklist\n")
	require.True(t, found)
	list, _, found := strings.Cut(rest, "\n## ")
	require.True(t, found)
	sections := commandsOf(string(raw))
	rows := 0
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| do |") || strings.HasPrefix(line, "|---") {
			continue
		}
		row := checklistRow.FindStringSubmatch(line)
		require.NotNil(t, row, "a row has a command and a section: %s", line)
		rows++
		require.Contains(t, sections[row[2]], strings.ReplaceAll(row[1], `\|`, "|"), "the section #%s has the command", row[2])
	}
	require.Greater(t, rows, 20)
}

// commandsOf returns the lines of a page's blocks by the anchor of their section, without comments and without what
// follows a failure.
func commandsOf(page string) map[string][]string {
	of, section, inside := map[string][]string{}, "", false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		title := strings.TrimLeft(line, "#")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case inside:
			line, _, _ = strings.Cut(line, " #")
			line, _, _ = strings.Cut(line, " || ")
			of[section] = append(of[section], strings.TrimSpace(line))
		case title != line && strings.HasPrefix(title, " "):
			section = strings.Join(strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return r == ' ' || slices.Contains([]rune("'?,."), r) }), "-")
		}
	}
	return of
}
