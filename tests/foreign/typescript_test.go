package foreign

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

const typescript = "../../clients/typescript"

// run runs a program of Node's in a folder, and returns what it has printed.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		require.NoError(t, err, "%s\n%s", out, failed.Stderr)
	}
	require.NoError(t, err)
	return string(out)
}

// installed is a project of somebody's, with the packed client.
func installed(t *testing.T) (user string) {
	t.Helper()
	packed := t.TempDir()
	var packs []struct {
		Filename string
		Files    []struct{ Path string }
	}
	listing := run(t, typescript, nil, "npm", "pack", "--json", "--silent", "--ignore-scripts", "--pack-destination", packed)
	require.NoError(t, json.Unmarshal([]byte(listing), &packs))
	require.Len(t, packs, 1)
	for _, file := range packs[0].Files {
		require.Regexp(t, `^(package\.json|README\.md|dist/[a-z.]+\.(js|d\.ts))$`, file.Path)
	}

	user = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(user, "package.json"), []byte(`{"private": true, "type": "module"}`), 0o600))
	run(t, user, nil, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--silent", filepath.Join(packed, packs[0].Filename))
	return user
}

// The TypeScript client can be packed and installed by npm, holds only what its users need, and works as installed: it signs in, lists, writes, and tells
// refusals by their codes.
func TestTypeScript_thePackedClientWorks(t *testing.T) {
	user := installed(t)
	live, err := os.ReadFile(filepath.Join(typescript, "build", "live.js"))
	require.NoError(t, err, "make foreign compiles it")
	require.NoError(t, os.WriteFile(filepath.Join(user, "live.test.js"), live, 0o600))

	dir := filepath.Join(t.TempDir(), "data")
	f := harness.StartProcess(t, dir)
	t.Cleanup(f.Stop)
	_, seed := f.Administrator(dir, "ada", password)
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	told := run(t, user, []string{"FOUNTAIN_URL=" + f.URL, "FOUNTAIN_USER=ada", "FOUNTAIN_PASSWORD=" + password, "FOUNTAIN_CODE=" + code}, "node", "--test", "live.test.js")
	require.Contains(t, told, "# pass 4")
}

// The TypeScript of docs/consumers.md compiles strictly against the packed client, and prints what the page's Go prints.
func TestTypeScript_thePageForConsumersIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/consumers.md")
	require.NoError(t, err)
	var program strings.Builder
	for _, part := range strings.Split(string(page), "```ts\n")[1:] {
		code, _, closed := strings.Cut(part, "```")
		require.True(t, closed)
		program.WriteString(code)
	}
	user := installed(t)
	file := filepath.Join(user, "consumer.ts")
	require.NoError(t, os.WriteFile(file, []byte(program.String()), 0o600))
	modules, err := filepath.Abs(filepath.Join(typescript, "node_modules"))
	require.NoError(t, err)
	run(t, user, nil, "node", filepath.Join(modules, "typescript", "bin", "tsc"), "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--module", "nodenext",
		"--target", "es2023", "--types", "node", "--typeRoots", filepath.Join(modules, "@types"), file)

	dir := filepath.Join(t.TempDir(), "data")
	f := harness.StartProcess(t, dir)
	t.Cleanup(f.Stop)
	c := f.Bootstrap(dir, "ada", password)
	key, err := c.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "program", Scopes: []string{"elements:read", "elements:write"}})
	require.NoError(t, err)
	told := run(t, user, []string{"FOUNTAIN_URL=" + f.URL, "FOUNTAIN_API_KEY=" + key.Key}, "node", "consumer.js")
	require.Equal(t, "first created 1\nagain created 1\nlisted 1\nmine 201\nlate 412\nrefused 404 not_found true\nlimited true\n", told)
}
