package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/openapi"
	"github.com/fountainai/fountain/tests/harness"
)

// readiness asks a service whether it is ready.
func readiness(t *testing.T, f *harness.Family, word string) (status int, detail string) {
	t.Helper()
	return harness.Readiness(t, f.Info.Services[word], word)
}

// TestReadiness_saysThatAFileIsGoneOrBroken damages the file of each service in turn. It requires that only this
// service reports it and names what is missing, and that it is ready again with a valid file.
func TestReadiness_saysThatAFileIsGoneOrBroken(t *testing.T) {
	harness.Own(t, "it has no files of SQLite")
	f := harness.Start(t)
	f.Bootstrap()
	words := []string{"kms", "twofactor", "search", "sequence"}
	for _, c := range []struct {
		word, file, want string
		harm             func(path string) error
	}{
		{"kms", "kms.db", "its database file was removed or replaced", os.Remove},
		{"twofactor", "twofactor.db", "its database file is damaged", overwrite},
		{"search", "search.db", "its database file was removed or replaced", os.Remove},
		{"search", "engine/documents.db", "the search engine does not answer", os.Remove},
		{"sequence", "sequence.db", "its database file is damaged", func(path string) error { return os.Truncate(path, 0) }},
	} {
		t.Run(c.word+" "+c.file, func(t *testing.T) {
			path := filepath.Join(f.Dir, c.word, c.file)
			f.Down() // so that everything is in the database file
			good, err := os.ReadFile(path)
			require.NoError(t, err)
			f.Up()
			require.NoError(t, c.harm(path))
			began := time.Now()
			require.Eventually(t, func() bool { status, _ := readiness(t, f, c.word); return status == http.StatusServiceUnavailable }, 5*time.Second, 20*time.Millisecond)
			said := time.Since(began)
			_, detail := readiness(t, f, c.word)
			require.Equal(t, "The service is not ready: "+c.want+".", detail)
			for _, other := range words {
				if other != c.word {
					require.Eventually(t, func() bool { status, _ := readiness(t, f, other); return status == http.StatusOK }, 5*time.Second, 20*time.Millisecond,
						other) // on a busy machine the check of its own file may be late once
				}
			}
			f.Down()
			require.NoError(t, os.WriteFile(path, good, 0o600))
			for _, beside := range []string{"-wal", "-shm"} {
				require.NoError(t, os.RemoveAll(path+beside))
			}
			began = time.Now()
			f.Up()
			status, _ := readiness(t, f, c.word)
			require.Equal(t, http.StatusOK, status, "with the good file")
			t.Logf("%s: not ready after %.2f s, ready %.2f s after a restart with the good file", c.want, said.Seconds(), time.Since(began).Seconds())
		})
	}
}

func overwrite(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt([]byte(strings.Repeat("no database ", 2000)), 0); err != nil {
		return err
	}
	return file.Close()
}

// Every service of a family uses the contract that its gateway enforces.
func TestReadiness_tellsTheContractThatTheGatewayChecks(t *testing.T) {
	f := harness.Start(t)
	f.Bootstrap()
	list, err := f.Admin().Gateway.ListGatewayServices(t.Context())
	require.NoError(t, err)
	require.Len(t, list.Items, 4)
	for _, s := range list.Items {
		require.Zero(t, s.TargetsSkewed, s.Name)
		text, err := openapi.Read(s.Name)
		require.NoError(t, err)
		require.Equal(t, openapi.DigestOf(text), s.ContractDigest)
	}
}
