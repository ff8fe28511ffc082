package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// acknowledged is what a family has acknowledged as written, and the time of each response.
type acknowledged struct {
	mu        sync.Mutex
	elements  map[string]time.Time // by id
	documents map[string]time.Time // by id
}

func (a *acknowledged) note(into map[string]time.Time, id string) {
	at := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	into[id] = at
}

// before counts what was acknowledged before an instant, and requires that it is there.
func before(t *testing.T, all map[string]time.Time, instant time.Time, there map[string]bool) (n int) {
	t.Helper()
	for id, at := range all {
		if at.Before(instant) {
			require.True(t, there[id], "%s was acknowledged at %s, before the instant %s of the copy", id, at, instant)
			n++
		}
	}
	return n
}

// archived is a backup of a household, and the commands around it.
type archived struct {
	*household
	further        func(word string) []string
	file, identity string
	took           time.Duration
}

// command runs fountain in the environment of the services.
func (a *archived) command(args ...string) string {
	a.t.Helper()
	cmd := exec.Command(harness.Binary(a.t), args...)
	cmd.Env = os.Environ()
	for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
		for _, setting := range append(a.further(word), "DATA_DIR="+filepath.Join(a.data, word)) {
			cmd.Env = append(cmd.Env, "FOUNTAIN_"+strings.ToUpper(word)+"_"+setting)
		}
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	began := time.Now()
	out, err := cmd.Output()
	require.NoError(a.t, err, "%s: %s", args, stderr.String())
	a.took = time.Since(began)
	return string(out)
}

// instants returns the instants of an archive's parts.
func (a *archived) instants() map[string]time.Time {
	a.t.Helper()
	var said struct {
		Manifest struct {
			Parts []struct {
				Name    string    `json:"name"`
				Instant time.Time `json:"instant"`
			} `json:"parts"`
		} `json:"manifest"`
	}
	require.NoError(a.t, json.Unmarshal([]byte(a.command("backup", "verify", a.file, "--identity", a.identity, "--json")), &said))
	out := map[string]time.Time{}
	for _, p := range said.Manifest.Parts {
		out[p.Name] = p.Instant
	}
	return out
}

// fill adds n elements and n documents to a household.
func (h *household) fill(n int) {
	h.t.Helper()
	ctx := h.t.Context()
	_, err := h.admin.Search.CreateCollection(ctx, search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "text", Type: "string"}}})
	require.NoError(h.t, err)
	for from := 0; from < n; from += 1000 {
		var elements []sequence.ElementCreate
		var documents []search.SyncItem
		for i := from; i < min(from+1000, n); i++ {
			elements = append(elements, sequence.ElementCreate{Data: sequence.Data(fmt.Sprintf(`{"text":"a lamp in window %d"}`, i))})
			document := json.RawMessage(fmt.Sprintf(`{"text":"the ghost walks at %d"}`, i))
			documents = append(documents, search.SyncItem{Op: search.SyncItemOpUpsert, ID: fmt.Sprintf("filled-%d", i), Document: &document})
		}
		_, err := h.admin.Sequence.CreateElements(ctx, "chaos", "line", sequence.ElementBatch{Elements: elements})
		require.NoError(h.t, err)
		_, err = h.admin.Search.SyncDocuments(ctx, "plays", search.DocumentSync{Items: documents})
		require.NoError(h.t, err)
	}
}

// elements returns the ids of all elements, whose numbers must be 1..N.
func (h *household) elements(c *fountain.Client) map[string]bool {
	h.t.Helper()
	out := map[string]bool{}
	for e, err := range c.Sequence.Elements(h.t.Context(), "chaos", "line") {
		require.NoError(h.t, err)
		out[e.ID] = true
		require.EqualValues(h.t, len(out), e.Number)
	}
	return out
}

// documents returns the ids of all documents in the collection.
func (h *household) documents(c *fountain.Client) map[string]bool {
	h.t.Helper()
	out := map[string]bool{}
	for line, err := range c.Search.Documents(h.t.Context(), "plays", search.DocumentExport{}) {
		require.NoError(h.t, err)
		if line.Document == nil {
			continue // the last line has the count
		}
		var document struct{ ID string }
		require.NoError(h.t, json.Unmarshal(*line.Document, &document))
		out[document.ID] = true
	}
	return out
}

// A backup made while clients write contains every write that was acknowledged before its instants, on SQLite and on
// PostgreSQL. It restores nothing that has been revoked since.
func TestBackup_underLoadLosesNothing(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		backsUpUnderLoad(t, func() (settings map[string]string) { return nil })
	})
	t.Run("postgres", func(t *testing.T) {
		backsUpUnderLoad(t, func() map[string]string {
			settings := map[string]string{}
			for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
				settings[word] = "DATABASE_URL_FILE=" + write(t, harness.Postgres(t))
			}
			return settings
		})
	})
}

func backsUpUnderLoad(t *testing.T, databases func() map[string]string) {
	filled := 2000
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		filled = 100_000
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root.key")
	on := func(databases map[string]string) func(word string) []string {
		return func(word string) (out []string) {
			if word == "kms" {
				out = append(out, "ROOT_KEY_FILE="+root)
			}
			if databases[word] != "" {
				out = append(out, databases[word])
			}
			return out
		}
	}
	a := &archived{file: filepath.Join(dir, "family.backup"), identity: filepath.Join(dir, "backup.key"), household: &household{t: t, data: dir}, further: on(nil)}
	a.command("keygen", root)
	recipient := strings.TrimSpace(a.command("backup", "key", a.identity))
	a.further = on(databases())
	a.household = newHouseholdWith(t, a.further)
	editors := a.editors(4)
	a.fill(filled)
	key, err := a.admin.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "script", Scopes: []string{"elements:read"}})
	require.NoError(t, err)

	said := &acknowledged{elements: map[string]time.Time{}, documents: map[string]time.Time{}}
	traffic := harness.StartCalls(t, len(editors)*2, 0, func(worker, round int, one func(call func() error)) {
		id := fmt.Sprintf("w%d-%d", worker, round)
		if worker%2 == 0 {
			one(func() error {
				made, err := editors[worker/2].Sequence.CreateElement(context.Background(), "chaos", "line", sequence.ElementCreate{Data: sequence.Data(`{"text":"under load"}`)})
				if err == nil {
					said.note(said.elements, made.ID)
				}
				return err
			})
			return
		}
		one(func() error {
			document := json.RawMessage(`{"text":"under load"}`)
			done, err := a.admin.Search.SyncDocuments(context.Background(), "plays", search.DocumentSync{Items: []search.SyncItem{{Op: search.SyncItemOpUpsert, ID: id, Document: &document}}})
			if err == nil && done.Failed > 0 {
				err = fmt.Errorf("%s was not written", id)
			}
			if err == nil {
				said.note(said.documents, id)
			}
			return err
		})
	})
	traffic.AwaitMore(100)
	a.command("backup", "--to", a.file, "--recipient", recipient)
	backedUp := a.took
	traffic.AwaitMore(100)
	done, slowest := traffic.Stop()
	_, err = a.admin.KMS.RevokeAPIKey(t.Context(), key.APIKey.ID)
	require.NoError(t, err)
	a.stop()

	instants := a.instants()
	a.data = filepath.Join(dir, "restored")
	a.further = on(databases())
	a.command("restore", a.file, "--identity", a.identity, "--administrator", "ada")
	restored := a.took
	a.open(a.further)
	ada := a.client(fountain.WithUser("ada", password))
	elements, documents := a.elements(ada), a.documents(ada)
	require.GreaterOrEqual(t, len(elements), filled)
	kept, found := before(t, said.elements, instants["sequence"], elements), before(t, said.documents, instants["search-documents"], documents)
	require.Positive(t, kept)
	require.Positive(t, found)
	_, err = a.client(fountain.WithAPIKey(key.Key)).Sequence.ListElements(t.Context(), "chaos", "line", nil)
	require.ErrorIs(t, err, fountain.CodeInvalidClient, "what was revoked after the backup stays revoked")
	_, err = a.client(fountain.WithUser("grace0", password)).Sequence.ListElements(t.Context(), "chaos", "line", nil)
	require.ErrorIs(t, err, fountain.CodeInvalidCredentials, "nobody but the named administrator is let in")
	a.stop()
	a.requireSound()
	info, err := os.Stat(a.file)
	require.NoError(t, err)
	t.Logf("%d requests under the backup, the slowest took %s; %d elements and %d documents restored, %d and %d of the load acknowledged before the instants; archive of %.1f MB written in %s, restored in %s",
		done, slowest.Round(time.Millisecond), len(elements), len(documents), kept, found, float64(info.Size())/1e6, backedUp.Round(10*time.Millisecond), restored.Round(10*time.Millisecond))
}

// requireSound runs the doctor on the databases and the audit trails.
func (a *archived) requireSound() {
	a.t.Helper()
	cmd := exec.Command(harness.Binary(a.t), "doctor", "--json")
	cmd.Env = os.Environ()
	for _, part := range a.parts {
		cmd.Env = append(cmd.Env, part.env...)
	}
	out, _ := cmd.Output() // the services are not running, which it reports
	var said struct {
		Findings []struct{ Service, Check, Level, What string } `json:"findings"`
	}
	require.NoError(a.t, json.Unmarshal(out, &said), string(out))
	looked := 0
	for _, f := range said.Findings {
		if f.Check == "audit" || f.Check == "database" || f.Check == "restore" {
			require.Equal(a.t, "ok", f.Level, "%s: %s", f.Service, f.What)
			looked++
		}
	}
	require.GreaterOrEqual(a.t, looked, 8, string(out))
}
