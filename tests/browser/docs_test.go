//go:build browser

package browser

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Somebody who knows the gateway's address alone finds the services and their contracts, chooses one, opens an operation, and reloads the page: the address
// still says what was shown.
func TestDocs_areFoundAndReloaded(t *testing.T) {
	family := behindCaddy(t, filepath.Join(t.TempDir(), "data"))
	t.Cleanup(family.Stop)
	p := visit(t, family.browser(t), family.site+"/")
	p.reads("sequence Numbered elements and their versions ready")
	p.isAccessible()
	p.prefers("dark", 390)
	p.isAccessible()
	require.Equal(t, true, p.js(`() => document.documentElement.scrollWidth <= innerWidth`))
	p.follows("Sign in")
	p.sees("Sign in")
	p.browser.goTo(p.tab, family.site+"/")
	p.follows("twofactor")
	require.Equal(t, "/docs?contract=twofactor", p.address())
	p.reads("FountainAI Two-Factor Service")
	p.js(`() => { const chooser = document.querySelector("#contract"); chooser.value = "sequence"; setTimeout(() => chooser.dispatchEvent(new Event("change")), 100); }`)
	p.browser.loaded(p.tab)
	require.Equal(t, "/docs?contract=sequence", p.address())
	p.reads("FountainAI Sequence Service")

	require.Equal(t, true, p.js(`async () => { const one = await until(() => document.querySelector("#operations-elements-createElement button")); one?.click(); return !!one; }`))
	require.Equal(t, true, p.js(`async () => !!await until(() => location.hash.endsWith("createElement"))`))
	whole := p.address()
	p.browser.goTo(p.tab, "about:blank")
	p.browser.goTo(p.tab, family.site+whole) // as a reload does, and a link in a mail
	p.reads("FountainAI Sequence Service")
	require.Equal(t, true, p.js(`async () => !!await until(() => document.querySelector("#operations-elements-createElement .opblock-body"))`), "the operation is open")
	require.Equal(t, whole, p.address())

	p.browser.goTo(p.tab, family.site+"/docs/")
	p.reads("FountainAI Key Management Service")
	require.Equal(t, "/docs", p.address())
	p.browser.goTo(p.tab, family.site+"/docs?contract=unknown")
	p.reads("There is no contract with this name")
	p.isAccessible("#swagger-ui")
	require.Equal(t, true, p.js(`() => document.documentElement.scrollWidth <= innerWidth`))
	p.browser.goTo(p.tab, family.site+"/nowhere")
	p.reads("Page not found")
	p.isAccessible()
	require.Equal(t, true, p.js(`async () => (await fetch("/favicon.ico")).headers.get("Content-Type") === "image/x-icon" && (await (await fetch("/nowhere")).json()).code === "not_found"`))
	p.follows("Console")
	p.sees("Sign in")
	require.Empty(t, p.faults())
}

// follows goes where the link of this text leads.
func (p *person) follows(text string) {
	p.t.Helper()
	p.browser.goTo(p.tab, p.js(`async (text) => (await until(() => by("a", text))).href`, text).(string))
}

// comesTo waits until the browser, which leaves one page for another by itself, shows this text.
func (p *person) comesTo(text string) {
	p.t.Helper()
	asked, err := json.Marshal(text)
	require.NoError(p.t, err)
	question := map[string]any{"expression": "document.body?.innerText.includes(" + string(asked) + ")", "returnByValue": true}
	require.Eventually(p.t, func() bool {
		// Between two pages there is no answer.
		return strings.Contains(string(p.browser.exchange(p.tab, "Runtime.evaluate", question).Result), `"value":true`)
	}, 30*time.Second, 50*time.Millisecond, text)
	p.shot(text)
}

// address is where the page is, without its origin.
func (p *person) address() string {
	p.t.Helper()
	return p.js(`() => location.pathname + location.search + location.hash`).(string)
}
