package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
)

const notes = "../../examples/notes"

// The service of examples/notes is adopted by a running family, first in Go and then in Node as the upstream of the
// same name. Its own conformance test calls both through the gateway: as an author with and without a second factor, as
// another user, and as one with read access only.
func TestNotes_conformBehindTheGateway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	built := t.TempDir()
	for _, args := range [][]string{{"build", "-o", filepath.Join(built, "notes"), "."}, {"test", "-c", "-o", filepath.Join(built, "driver"), "."}} {
		build := exec.CommandContext(t.Context(), "go", args...)
		build.Dir = notes
		out, err := build.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", "correct horse battery staple")
	scopes := []string{"notes:read", "notes:write", "notes:delete"}
	_, err := admin.KMS.RegisterService(t.Context(), kms.ServiceCreate{Name: "notes", Scopes: []string{}, DeclaredScopes: &scopes})
	require.NoError(t, err)
	tokens := callers(t, p.URL, admin)

	adoptNotes := func(t *testing.T, service *exec.Cmd, port string) {
		service.Dir, service.Stdout, service.Stderr = notes, os.Stderr, os.Stderr
		require.NoError(t, service.Start())
		t.Cleanup(func() {
			require.NoError(t, service.Process.Signal(syscall.SIGTERM))
			require.NoError(t, service.Wait(), "it ends by itself when it is told to")
		})
		document, err := os.ReadFile(notes + "/notes.yaml")
		require.NoError(t, err)
		_, err = admin.KMS.PutContract(t.Context(), "notes", kms.ContractPut{
			File: "notes.yaml", Files: []kms.ContractFile{{Name: "notes.yaml", Text: string(document)}}, Upstreams: &[]string{"http://127.0.0.1:" + port},
		})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			return call(t, "GET", p.URL+"/notes/v1/notes", tokens["NOTES_TOKEN"], "") == http.StatusOK
		}, time.Minute, 50*time.Millisecond)
		driver := exec.CommandContext(t.Context(), filepath.Join(built, "driver"), "-test.run", "^TestConformance$/^given$", "-test.v")
		driver.Dir, driver.Env = notes, append(os.Environ(), "NOTES_URL="+p.URL+"/notes/v1")
		for name, token := range tokens {
			driver.Env = append(driver.Env, name+"="+token)
		}
		out, err := driver.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: TestConformance/given")
	}
	t.Run("in Go", func(t *testing.T) {
		port := freePort(t)
		adoptNotes(t, exec.Command(filepath.Join(built, "notes"), "-addr", "127.0.0.1:"+port, "-issuer", p.URL, "-data", filepath.Join(t.TempDir(), "notes.db")), port)
	})
	t.Run("in Node", func(t *testing.T) {
		need(t, "node")
		port := freePort(t)
		adoptNotes(t, exec.Command("node", "node/server.mjs", port), port)
	})
	p.Stop()
}

// callers creates the users of the conformance test. It returns their tokens for notes by the test's variable names.
func callers(t *testing.T, url string, admin *fountain.Client) map[string]string {
	t.Helper()
	ctx := context.Background()
	for role, scopes := range map[string][]string{"author": {"notes:read", "notes:write", "notes:delete"}, "browser": {"notes:read"}} {
		_, err := admin.KMS.PutRole(ctx, role, kms.RolePut{Scopes: scopes})
		require.NoError(t, err)
	}
	user := func(name, role string) *fountain.Client {
		_, err := admin.KMS.CreateUser(ctx, kms.UserCreate{Username: name, Password: "a quiet harbour at dawn", Roles: []string{role}})
		require.NoError(t, err)
		c, err := fountain.New(url, fountain.WithUser(name, "a quiet harbour at dawn"))
		require.NoError(t, err)
		return c
	}
	tokenOf := func(c *fountain.Client) string {
		token, err := c.Token(ctx, "notes")
		require.NoError(t, err)
		return token
	}
	author := user("author", "author")
	code, err := totp.GenerateCode(harness.Enrol(t, author, nil), time.Now())
	require.NoError(t, err)
	proof, err := author.Twofactor.VerifyOtp(ctx, twofactor.OtpVerify{Code: code})
	require.NoError(t, err)
	raised, err := author.KMS.CompleteStepUp(ctx, kms.StepUp{Proof: proof.Proof, Resource: "notes"})
	require.NoError(t, err)
	return map[string]string{
		"NOTES_TOKEN": tokenOf(author), "NOTES_RAISED_TOKEN": raised.AccessToken, "NOTES_OTHER_TOKEN": tokenOf(user("other", "author")), "NOTES_READER_TOKEN": tokenOf(user("browser", "browser")),
	}
}

// need skips a test whose program is not installed. If FOUNTAIN_TEST_REQUIRE contains its name, the test fails.
func need(t *testing.T, program string) {
	t.Helper()
	if !has(t, program) {
		t.Skipf("there is no %s", program)
	}
}

func has(t *testing.T, program string) bool {
	t.Helper()
	_, err := exec.LookPath(program)
	if err != nil && strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), program) {
		t.Fatalf("%s is required: %v", program, err)
	}
	return err == nil
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(harness.FreeAddress(t))
	require.NoError(t, err)
	return port
}
