//go:build browser

package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// person is somebody at a page: they see headings, labels and buttons, and use the keyboard.
type person struct {
	t       *testing.T
	browser *chromium
	tab     string
	shots   int
	provoke bool // the test wants faults
}

// visit opens a page in a tab of its own, where violations of the page's policy are noted from the first moment. At the end of the test there must be none, and no fault
// of a script.
func visit(t *testing.T, browser *chromium, url string) *person {
	t.Helper()
	p := &person{t: t, browser: browser, tab: browser.open("about:blank")}
	t.Cleanup(func() {
		if !t.Failed() && !p.provoke {
			browser.call(p.tab, "Page.getFrameTree", nil, nil) // what the browser had to tell before it
			require.Empty(t, p.told(), "violations of the policy, and faults of scripts")
		}
	})
	for _, domain := range []string{"Log.enable", "Runtime.enable", "DOM.enable"} {
		browser.call(p.tab, domain, nil, nil)
	}
	browser.call(p.tab, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `addEventListener("securitypolicyviolation", (event) =>
		console.error("policy violated: " + event.violatedDirective + " " + event.blockedURI + " " + event.sample))`}, nil)
	browser.goTo(p.tab, url)
	return p
}

// js returns the value of an expression, in which $ finds what a person finds: by(selector, text) the shown element with exactly this text or name.
func (p *person) js(expression string, args ...any) any {
	p.t.Helper()
	raw, err := json.Marshal(append([]any{}, args...))
	require.NoError(p.t, err)
	return p.browser.evaluate(p.tab, `(async (...args) => {
		const shown = (one) => one.checkVisibility({visibilityProperty: true});
		const top = () => [...document.querySelectorAll("dialog[open]")].pop() ?? document;
		const name = (one) => (one.getAttribute("aria-label") ?? one.textContent).trim();
		const by = (selector, text) => [...top().querySelectorAll(selector)].find((one) => shown(one) && name(one) === text);
		const until = async (there) => { for (let i = 0; i < 1200; i++) { const found = there(); if (found) return found; await new Promise((go) => setTimeout(go, 50)); } };
		return await (`+expression+`)(...args);
	})(...`+string(raw)+`)`)
}

// sees waits until the page's step has this heading, and holds that the focus is there: a screen reader goes on at it.
func (p *person) sees(heading string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (heading) => !!await until(() => by("h1, h2", heading))`, heading), "%q is not shown, but: %s", heading, p.text())
	if p.js(`(heading) => by("h1, h2", heading).tagName`, heading) == "H1" {
		require.Equal(p.t, heading, p.js(`() => document.activeElement.textContent`), "the focus is at the new step: %s", p.text())
	}
	require.Equal(p.t, true, p.js(`() => document.documentElement.scrollWidth <= innerWidth`), "%q fits into the width of the screen", heading)
	p.shot(heading)
}

// reads waits until the page has this text.
func (p *person) reads(text string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (text) => !!await until(() => document.body.innerText.replace(/\s+/g, " ").includes(text))`, text), "%q is not to be read in: %s", text, p.text())
}

// text is all that the page shows.
func (p *person) text() string {
	p.t.Helper()
	return fmt.Sprint(p.js(`() => document.body.innerText`))
}

// fills types into the field of this label, in the place of what is there.
func (p *person) fills(label, text string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (label) => { const found = await until(() => by("label", label)); found?.control.focus(); found?.control.select(); return !!found; }`, label),
		"there is no field %q in: %s", label, p.text())
	p.browser.call(p.tab, "Input.insertText", map[string]any{"text": text}, nil)
}

// presses focuses a button and presses Enter.
func (p *person) presses(button string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (button) => { const found = await until(() => by("button, summary", button)); found?.focus(); return !!found; }`, button),
		"there is no button %q in: %s", button, p.text())
	p.key("Enter", "\r")
}

// key presses a key; text is what it types.
func (p *person) key(key, text string) {
	p.t.Helper()
	code := map[string]int{"Enter": 13, "Tab": 9, "Escape": 27, " ": 32}[key]
	for _, kind := range []string{"keyDown", "keyUp"} {
		p.browser.call(p.tab, "Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": strings.ReplaceAll(key, " ", "Space"), "text": text, "windowsVirtualKeyCode": code}, nil)
	}
}

// ticks checks the box of this label.
func (p *person) ticks(label string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (label) => { const found = await until(() => by("label", label)); found?.control.focus(); return !!found; }`, label), label)
	p.key(" ", " ")
}

// signsIn signs in with a password.
func (p *person) signsIn(username, password string) {
	p.t.Helper()
	p.sees("Sign in")
	p.signsInAgain(username, password)
}

// signsInAgain does so after a failure, when the focus is where it happened.
func (p *person) signsInAgain(username, password string) {
	p.t.Helper()
	p.fills("User name", username)
	p.fills("Password", password)
	p.key("Enter", "\r")
}

// keepsCodes copies the recovery codes from the page.
func (p *person) keepsCodes() (codes []string) {
	p.t.Helper()
	p.sees("Save these recovery codes")
	leaving := `() => dispatchEvent(new Event("beforeunload", {cancelable: true}))`
	require.Equal(p.t, false, p.js(leaving), "the browser asks before the codes are lost")
	p.presses("Continue")
	p.reads("Save the codes first and confirm it: they are not shown again. Continue")
	for _, one := range p.js(`() => [...document.querySelectorAll("ol code")].map((one) => one.textContent)`).([]any) {
		codes = append(codes, one.(string))
	}
	require.Len(p.t, codes, 10)
	p.ticks("I have saved these codes where I can find them without my device.")
	p.presses("Continue")
	p.js(`() => until(() => !by("h1", "Save these recovery codes"))`)
	require.Equal(p.t, true, p.js(leaving))
	return codes
}

// hasPasskeys gives the person's device an authenticator with user verification, for passkeys.
func (p *person) hasPasskeys() (id string) {
	p.t.Helper()
	var made struct{ AuthenticatorID string }
	p.browser.call(p.tab, "WebAuthn.enable", nil, nil)
	p.browser.call(p.tab, "WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{"protocol": "ctap2", "transport": "internal",
		"hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true}}, &made)
	return made.AuthenticatorID
}

// shot keeps a picture of the page in the folder that SCREENSHOTS names.
func (p *person) shot(name string) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	p.shots++
	p.browser.call(p.tab, "Page.bringToFront", nil, nil) // a tab behind another one is not drawn
	file := fmt.Sprintf("%s-%02d-%s.png", strings.ReplaceAll(p.t.Name(), "/", "-"), p.shots, strings.ReplaceAll(strings.ToLower(strings.Trim(name, "?")), " ", "-"))
	require.NoError(p.t, os.WriteFile(filepath.Join(folder, file), p.browser.screenshot(p.tab), 0o600))
}

// Violations of a page's policy and faults of its scripts, as the browser told them. Answers that are refusals are no faults, and advice is none.
func (p *person) faults() (out []string) {
	p.t.Helper()
	p.js(`() => 1`) // what the browser had to tell before it
	return p.told()
}

func (p *person) told() (out []string) {
	p.t.Helper()
	for _, m := range p.browser.events {
		raw, err := json.Marshal(m.Params)
		require.NoError(p.t, err)
		network := m.Method == "Log.entryAdded" && strings.Contains(string(raw), `"source":"network"`)
		advice := strings.Contains(string(raw), `"level":"verbose"`)
		if m.SessionID == p.tab && !network && !advice {
			out = append(out, string(raw))
		}
	}
	return out
}

// isAt has pages take the person for one in another country, whose browser writes numbers and times in its way.
func (p *person) isAt(locale, timezone string) {
	p.t.Helper()
	p.browser.call(p.tab, "Emulation.setLocaleOverride", map[string]any{"locale": locale}, nil)
	p.browser.call(p.tab, "Emulation.setTimezoneOverride", map[string]any{"timezoneId": timezone}, nil)
}

// prefers has the browser show pages as on a screen of this width, light or dark.
func (p *person) prefers(scheme string, width int) {
	p.t.Helper()
	p.browser.call(p.tab, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	p.browser.call(p.tab, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false}, nil)
}
