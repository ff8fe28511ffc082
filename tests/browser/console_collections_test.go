//go:build browser

package browser

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
)

// An administrator follows a job, takes out which of its items failed, cancels one that stands, lets a role read the collection, has synonyms hold for it, and makes a key for
// browsers; whoever has the role finds by the synonym.
func TestConsole_aCollectionHasJobsGrantsAndSets(t *testing.T) {
	h := opens(t, newMailbox(t))
	folder := h.downloads()
	_, err := h.admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "rita", Password: password, Roles: []string{"reader"}})
	require.NoError(t, err)
	h.goesTo("Search")
	h.sees("Search")
	h.goesTo("plays")
	h.sees("plays")
	h.reads("administrators")
	h.reads("No jobs.")
	h.reads("Only the owner has access.")
	h.isAccessible()
	job, err := h.admin.Search.StartSync(t.Context(), "plays", strings.NewReader(`{"op":"upsert","id":"othello","document":{"title":"Othello, a play"}}`+"\n"+`{"op":"upsert","id":"nameless","document":{"year":1606}}`+"\n"))
	require.NoError(t, err)
	_, err = h.admin.Search.AwaitJob(t.Context(), "plays", job.ID, nil)
	require.NoError(t, err)
	h.presses("Refresh jobs")
	h.reads("2 of 2")
	h.isAccessible()
	h.presses("Export failures of " + job.ID)
	h.reads("1 failures exported.")
	_, content := h.downloaded(folder)
	lines := strings.Split(strings.TrimSpace(content), "\n")
	require.Len(t, lines, 2)
	var failed search.JobFailureLine
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &failed))
	require.Equal(t, "nameless", *failed.ID)

	jobStands(h)
	h.presses("Refresh jobs")
	h.reads("0 of 1")
	h.js(`async () => { (await until(() => [...document.querySelectorAll("#views button")].find((one) => name(one).startsWith("Cancel job ")))).click(); }`)
	h.reads("What was written remains.")
	h.presses("Keep it running")
	h.js(`async () => { (await until(() => [...document.querySelectorAll("#views button")].find((one) => name(one).startsWith("Cancel job ")))).click(); }`)
	h.presses("Cancel job")
	h.reads("Job of plays: cancelled.")
	h.engine.letsPass()

	h.presses("Grant access")
	h.isAccessible()
	h.fills("Name or ID", "reader")
	h.presses("Grant access")
	h.reads("role:reader may read plays.")
	rita, err := fountain.New(h.gateway, fountain.WithUser("rita", password))
	require.NoError(t, err)
	finds := func() int64 {
		found, err := rita.Search.SearchDocuments(t.Context(), "plays", search.DocumentSearch{Q: "drama", QueryBy: []string{"title"}})
		require.NoError(t, err)
		return found.Found
	}
	require.Zero(t, finds())
	h.goesTo("Search sets")
	h.sees("Search sets")
	h.isAccessible()
	h.presses("Create synonyms")
	h.isAccessible()
	h.fills("Name", "theatre")
	h.presses("Create set")
	h.sees("theatre")
	h.reads(`"drama"`)
	h.isAccessible()
	h.goesTo("Search")
	h.goesTo("plays")
	h.presses("Update sets")
	h.ticks("theatre")
	h.presses("Update")
	h.reads("Sets of plays updated.")
	require.Eventually(t, func() bool { return finds() == 1 }, patience, 50*time.Millisecond)
	h.presses("Create search key")
	h.isAccessible()
	h.fills("Filter", `{"field":"title","op":"eq","texts":["Hamlet"]}`)
	h.presses("Create key")
	require.NotEmpty(t, h.keeps("Save this search key"))
	h.presses("Delete the grant of role:reader")
	h.presses("Delete")
	h.reads("Grant of role:reader deleted.")
	h.prefers("dark", 390)
	h.turnsTo("search/plays")
	h.sees("plays")
	h.isAccessible()
	h.ends()
}

// An administrator says how a type's numbers are written: the next element has such a number in the list and on its page, and once it has, the format stays.
func TestConsole_numbersAreFormatted(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.turnsTo("sequence/books/invoice")
	h.reads("Its elements have no formatted number, only their number in the order.")
	h.presses("Set number format")
	h.isAccessible()
	h.fills("Prefix", "INV-")
	h.chooses("Restarts at 1", "never")
	h.fills("Time zone", "UTC")
	h.presses("Set format")
	h.proves()
	h.reads("Number format set; the next number is INV-00001.")
	_, err := h.admin.Sequence.CreateElement(t.Context(), "books", "invoice", sequence.ElementCreate{ID: fountain.Ptr("first"), Data: json.RawMessage(`{"sum":1}`)})
	require.NoError(t, err)
	h.turnsTo("sequence/books/invoice")
	h.reads("1 INV-00001 first")
	h.reads("INV-00002")
	h.isAccessible()
	h.presses("Update number format")
	h.fills("Prefix", "BILL-")
	h.presses("Set format")
	h.isRefused("state_conflict")
	h.presses("Cancel")
	h.goesTo("1")
	h.sees("books: invoice first")
	h.reads("INV-00001")
	h.isAccessible()
	h.ends()
}

// looksUntil has the page look again, until it says this of a service.
func (h *theatre) looksUntil(service, text string) {
	h.t.Helper()
	require.Equal(h.t, true, h.js(`async (service, text) => {
		for (let i = 0; i < 120; i++) {
			if (document.querySelector("tr[data-id='" + service + "']")?.innerText.includes(text)) return true;
			by("button", "Refresh").click();
			await new Promise((go) => setTimeout(go, 500));
		}
	}`, service, text), h.text())
}

// Who looks after a family sees which services are ready, in which version, what one that is not lacks, and what search has refused.
func TestConsole_healthIsWhatTheServicesTell(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.goesTo("Health")
	h.sees("Health")
	h.reads("1 of 1 ready")
	h.reads("Typesense 29")
	h.reads("None: every element can be found, or is waiting to be indexed.")
	h.isAccessible()
	h.engine.leaves()
	h.looksUntil("search", "0 of 1 ready")
	h.isAccessible()
	h.engine.comesBack()
	h.looksUntil("search", "1 of 1 ready")
	h.prefers("dark", 390)
	h.turnsTo("health")
	h.reads("1 of 1 ready")
	h.isAccessible()
	h.ends()
}
