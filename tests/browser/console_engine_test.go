//go:build browser

package browser

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

// refreshesUntil has the page look again, until it says this.
func (h *theatre) refreshesUntil(text string) {
	h.t.Helper()
	require.Equal(h.t, true, h.js(`async (text) => {
		for (let i = 0; i < 240; i++) {
			if (document.body.innerText.replace(/\s+/g, " ").includes(text)) return true;
			by("button", "Refresh")?.click();
			await new Promise((go) => setTimeout(go, 500));
		}
	}`, text), "%q is not to be read in: %s", text, h.text())
}

// Whoever looks after search sees which node of the engine is away, and since when, and which set the engine did not take, and why.
func TestConsole_theEngineIsShownAsTheServiceFindsIt(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.turnsTo("health")
	h.reads("Typesense 29")
	h.looksUntil(h.engine.second, "healthy")
	h.isAccessible()
	h.engine.half.Store(true)
	h.looksUntil(h.engine.second, "unreachable")
	h.isAccessible()
	h.reads("1 of 1 ready")
	h.engine.half.Store(false)
	h.looksUntil(h.engine.second, "healthy")

	h.turnsTo("sets/stopwords/articles")
	h.refreshesUntil("has this version")
	h.engine.picky.Store(true)
	_, err := h.admin.Search.PutSearchSet(t.Context(), search.SetKindStopwords, "articles", search.SearchSetPut{Stopwords: &[]string{"the", "a"}}, fountain.WithIfMatch(fountain.IfMatch(1)))
	require.NoError(t, err)
	h.refreshesUntil("has refused this version")
	h.reads("Not these.")
	h.isAccessible()
	h.turnsTo("sets")
	h.reads("has refused this version")
	h.isAccessible()
	h.engine.picky.Store(false)
	h.refreshesUntil("has this version")
	h.prefers("dark", 390)
	h.turnsTo("health")
	h.reads(h.engine.second)
	h.isAccessible()
	h.ends()
}

// A document is found, shown with every digit and its version, and replaced only while nobody else has replaced it.
func TestConsole_aDocumentIsReplacedInTheVersionThatWasRead(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.goesTo("Search")
	h.presses("Create collection")
	h.fills("Name", "notes")
	h.ticks("have versions, so that a change can require one")
	h.isAccessible()
	h.presses("Create collection")
	h.sees("notes")
	made, err := h.admin.Search.GetCollection(t.Context(), "notes")
	require.NoError(t, err)
	require.True(t, *made.Versioned)
	require.False(t, made.TenantScoped)

	h.turnsTo("search/verses")
	h.reads("kept")
	h.fills("Query", "compare")
	h.presses("Search")
	h.reads(`"number": 9007199254740993`)
	h.goesTo("sync")
	h.sees("sync")
	h.reads(`"number": 9007199254740993`)
	h.isAccessible()
	version := func() string {
		return h.js(`() => [...document.querySelectorAll("dt")].find((one) => one.textContent === "Version").nextSibling.textContent`).(string)
	}
	read := version()
	h.presses("Replace")
	h.reads("only if it still has the version that you see")
	h.isAccessible()
	require.NoError(t, h.admin.Search.PutDocument(t.Context(), "verses", "sync", nil, json.RawMessage(`{"line":"to a summer's day?","number":9007199254740995}`)))
	h.presses("Replace")
	h.isRefused("precondition_failed")
	h.presses("Cancel")
	h.presses("Refresh")
	h.reads("9007199254740995")
	require.NotEqual(t, read, version())
	h.presses("Replace")
	h.fills("Document", "no JSON")
	h.presses("Replace")
	h.reads("This is not valid JSON.")
	h.fills("Document", `{"line":"Thou art more lovely","number":9007199254740997}`)
	h.presses("Replace")
	h.reads("Document sync replaced.")
	h.reads("9007199254740997")
	stored, err := h.admin.Search.GetDocument(t.Context(), "verses", "sync", nil)
	require.NoError(t, err)
	require.Contains(t, string(*stored), "9007199254740997")
	h.prefers("dark", 390)
	h.turnsTo("search/verses/sync")
	h.isAccessible()
	h.presses("Delete")
	h.reads("Searches no longer find it.")
	h.presses("Delete")
	h.reads("Document sync deleted.")
	h.sees("verses")
	h.ends()
}
