package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDocuments_goInAndOutOfACollectionFromTheCommandLine(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	u.bootstrap(t, pass)
	ada := &home{t: t, dir: t.TempDir()}
	good := func(args ...string) string {
		t.Helper()
		got := ada.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got.stdout
	}
	good("login", "--url", u.url, "--username", "ada", "--password-file", file)
	require.Contains(t, good("collections", "create", write(t, `{"name":"plays","fields":[{"name":"text","type":"string"},{"name":"n","type":"int64","optional":true}]}`)), "plays")
	require.Equal(t, 1, ada.run("collections", "create", write(t, `{"name":"plays","fields":[{"name":"text","type":"string"}]}`)).code)

	var text strings.Builder
	for i := range 250 {
		fmt.Fprintf(&text, "{\"id\":\"d%d\",\"text\":\"word %d\",\"n\":9007199254740993}\n", i, i)
	}
	text.WriteString("{\"id\":\"wrong\",\"text\":7}\nno json\n")
	path := filepath.Join(t.TempDir(), "plays.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	got := ada.run("documents", "import", "plays", path, "--batch", "100")
	require.Equal(t, 1, got.code, "lines that are not imported are an error")
	require.Contains(t, got.stdout, "imported 250 documents into plays")
	require.Contains(t, got.stderr, "2 lines not imported")
	failed, err := os.ReadFile(path + ".failed")
	require.NoError(t, err)
	require.Contains(t, string(failed), `"line":251,"code":"validation_failed"`)
	require.Contains(t, string(failed), `"line":252,"code":"malformed_body"`)
	require.NoFileExists(t, path+".progress")

	info, err := os.Stat(path)
	require.NoError(t, err)
	lines := strings.SplitAfterN(text.String(), "\n", 201)
	at := len(text.String()) - len(lines[200])
	progress, err := json.Marshal(begun{Collection: "plays", Size: info.Size(), Modified: info.ModTime().UTC(), Failed: path + ".failed"})
	require.NoError(t, err)
	interrupted := strings.Replace(string(progress), `"offset":0,"lines":0,"stored":0`, fmt.Sprintf(`"offset":%d,"lines":200,"stored":200`, at), 1)
	require.NoError(t, os.WriteFile(path+".progress", []byte(interrupted), 0o600))
	got = ada.run("documents", "import", "plays", path)
	require.Contains(t, got.stderr, "going on after line 200")
	require.Contains(t, got.stdout, "imported 250 documents into plays", "those before are counted")
	again, err := os.ReadFile(path + ".failed")
	require.NoError(t, err)
	require.Equal(t, string(failed), string(again), "failures of what is repeated are there once")

	require.NoError(t, os.WriteFile(path+".progress", []byte(strings.Replace(interrupted, "plays", "books", 1)), 0o600))
	got = ada.run("documents", "import", "plays", path)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "--restart")
	require.Contains(t, ada.run("documents", "import", "plays", path, "--restart").stdout, "imported 250 documents")

	out := filepath.Join(t.TempDir(), "out.ndjson")
	good("documents", "export", "plays", "--out", out)
	exported, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, 250, strings.Count(string(exported), "\n"))
	require.Contains(t, string(exported), "9007199254740993", "no digit is lost")
	require.NotContains(t, good("documents", "export", "plays", "--field", "text"), "9007199254740993")
	require.Equal(t, 1, ada.run("documents", "export", "nothing", "--out", out+".other").code)
	require.NoFileExists(t, out+".other")
	require.NoFileExists(t, out+".other.part")
	require.Contains(t, good("documents", "import", "plays", out), "imported 250 documents", "an export can be imported")
	require.NoFileExists(t, out+".failed")

	require.Regexp(t, `(?m)^d17 +word 17$`, good("search", "plays", "word", "17", "--by", "text", "--per-page", "1"))
	require.Contains(t, good("search", "plays", "--by", "text", "--output", "json"), `"found": 250`)
	require.Equal(t, 2, ada.run("search", "plays").code)
	require.Regexp(t, `(?m)^plays +administrators +own +250 `, good("collections", "list"))
	require.Contains(t, good("collections", "get", "plays"), "administrators")
	require.Contains(t, good("collections", "grant", "plays", "role:reader", "--write"), "write")
	require.Contains(t, good("collections", "grants", "plays"), "role:reader")
	good("collections", "revoke", "plays", "role:reader")
	require.NotContains(t, good("collections", "grants", "plays"), "role:reader")
	for kind, content := range map[string]string{
		"synonyms": `{"synonyms":[{"words":["word","term"]}]}`, "curations": `{"curations":[{"query":"none","match":"exact","hidden":["d1"]}]}`,
		"stopwords": `{"stopwords":["the"]}`, "presets": `{"preset":{"queryBy":["text"]}}`,
	} {
		file := write(t, content)
		require.Contains(t, good(kind, "put", "small", file, "--new"), "small")
		require.Equal(t, 1, ada.run(kind, "put", "small", file, "--new").code)
		require.Equal(t, 2, ada.run(kind, "put", "small", file, "--new", "--over", "1").code)
		require.Contains(t, good(kind, "put", "small", file, "--over", "1"), " 2 ")
		require.Contains(t, good(kind, "list"), "administrators")
		require.Contains(t, good(kind, "get", "small", "--output", "json"), `"version": 2`)
		require.Equal(t, 2, ada.run(kind, "put", "small").code)
		require.Equal(t, 1, ada.run(kind, "get", "large").code)
	}
	require.Contains(t, good("collections", "sets", "plays", "--synonyms", "small"), "small")
	require.Regexp(t, `(?m)^d17 +word 17$`, good("search", "plays", "term", "17", "--by", "text", "--per-page", "1"))
	require.Regexp(t, `plays +small +small +3`, good("collections", "sets", "plays", "--curations", "small"))
	for _, kind := range []string{"synonyms", "curations", "stopwords", "presets"} {
		good(kind, "delete", "small")
	}
	require.NotContains(t, good("collections", "sets", "plays"), "small")
	require.Contains(t, ada.run("search-keys", "create", "plays", "--filter", write(t, `{"field":"n","op":"gt","integers":[1]}`), "--exclude", "n").stderr, "no address", "the engine is a part of the service")
	require.Equal(t, 2, ada.run("search-keys", "create", "plays", "--life", "25h").code)
	require.Contains(t, good("collections", "schema", "plays"), "none")
	faceted := write(t, `{"fields":[{"name":"text","type":"string","facet":true},{"name":"n","type":"int64","optional":true}]}`)
	require.Regexp(t, `reindex +text +different`, good("collections", "schema", "plays", "--set", faceted, "--dry-run"))
	require.Equal(t, 1, ada.run("collections", "schema", "plays", "--set", faceted, "--mode", "alter").code)
	require.Equal(t, 2, ada.run("collections", "schema", "plays", "--set", faceted, "--mode", "other").code)
	id := regexp.MustCompile(`rix_[0-9A-Z]{26}`).FindString(good("collections", "schema", "plays", "--set", faceted, "--follow"))
	require.Contains(t, good("collections", "reindex", "get", "plays", id), "done")
	require.Equal(t, 1, ada.run("collections", "reindex", "abort", "plays", id).code)
	require.Contains(t, good("collections", "reindex", "rollback", "plays", id), "rollingBack")
	require.Eventually(t, func() bool { return strings.Contains(good("collections", "reindex", "get", "plays", id), "rolledBack") }, time.Minute, 50*time.Millisecond)
	require.Regexp(t, ` done `, good("collections", "reindex", "start", "plays", "--follow"))
	require.Equal(t, 2, strings.Count(good("collections", "reindex", "list", "plays"), "rix_"))
	require.Equal(t, 2, ada.run("collections", "reindex", "get", "plays").code)
	require.Equal(t, 2, ada.run("collections", "delete", "plays").code, "it asks")
	good("collections", "delete", "plays", "--yes")
	require.Equal(t, 1, ada.run("collections", "get", "plays").code)
	require.Zero(t, u.term(t))
}

// A document must not control the terminal.
func TestSearch_printsNoControlCharacters(t *testing.T) {
	require.Equal(t, "a [31m b", plainText(json.RawMessage(`"a\u001b[31m\u009bb"`)))
	require.Equal(t, "12", plainText(json.RawMessage(`12`)))
}
