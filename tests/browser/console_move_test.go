//go:build browser

package browser

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

// mouse does something with the mouse at a place of the window.
func (p *person) mouse(kind string, at [2]float64) {
	p.t.Helper()
	p.browser.call(p.tab, "Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "buttons": 1, "clickCount": 1}, nil)
}

// carries takes a button with the mouse, and carries it into the upper or the lower half of an element's row. It returns where the mouse is then.
func (p *person) carries(button, id string, lower bool) (at [2]float64) {
	p.t.Helper()
	places, ok := p.js(`async (button, id, lower) => {
		const handle = await until(() => by("button", button)), row = document.querySelector("tr[data-id='" + CSS.escape(id) + "']");
		row.scrollIntoView({block: "center"});
		const from = handle.getBoundingClientRect(), to = row.getBoundingClientRect();
		return [from.x + from.width / 2, from.y + from.height / 2, to.x + to.width / 2, to.y + to.height * (lower ? 0.8 : 0.2)];
	}`, button, id, lower).([]any)
	require.True(p.t, ok)
	from := [2]float64{places[0].(float64), places[1].(float64)}
	at = [2]float64{places[2].(float64), places[3].(float64)}
	p.mouse("mouseMoved", from)
	p.mouse("mousePressed", from)
	for step := 1.0; step <= 4; step++ {
		p.mouse("mouseMoved", [2]float64{from[0] + (at[0]-from[0])*step/4, from[1] + (at[1]-from[1])*step/4})
	}
	half := map[bool]string{false: "before", true: "after"}[lower]
	require.Equal(p.t, true, p.js(`async (id, half) => !!await until(() => document.querySelector("tr." + half)?.dataset.id === id)`, id, half), "the page shows where it would come")
	return at
}

// order are the ids of the scenes in the order of their numbers.
func (h *theatre) order() (ids []string) {
	h.t.Helper()
	list, err := h.admin.Sequence.ListElements(h.t.Context(), "play", "scene", nil)
	require.NoError(h.t, err)
	for _, one := range list.Items {
		if one.ID != h.ids["scene"] { // the first one
			ids = append(ids, one.ID)
		}
	}
	return ids
}

// hasFocusAt holds that the focus is at this button.
func (p *person) hasFocusAt(button string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (button) => !!await until(() => name(document.activeElement) === button)`, button), "the focus is at %v", p.js(`() => name(document.activeElement)`))
}

// An element is carried to another place by the mouse, by one place with the keyboard, and beside one that is named. Before each the page shows which numbers change, and nothing has
// changed by then; an order that has changed meanwhile is shown before it is done.
func TestConsole_anElementIsMovedAfterItsChangesWereShown(t *testing.T) {
	h := opens(t, newMailbox(t))
	for _, id := range []string{"two", "three", "four"} {
		_, err := h.admin.Sequence.CreateElement(t.Context(), "play", "scene", sequence.ElementCreate{ID: &id, Data: json.RawMessage(`{"title":"` + id + `"}`)})
		require.NoError(t, err)
	}
	h.prefers("light", 1000)
	dialogs := `() => document.querySelectorAll("dialog[open]").length`
	h.js(`() => { location.hash = "#/sequence/play/scene"; }`)
	h.sees("play: scene")
	h.isAccessible()
	at := h.carries("Move scene 4", "two", false)
	h.key("Escape", "")
	h.mouse("mouseReleased", at)
	require.Equal(t, 0.0, h.js(dialogs), "what was being dragged is left where it is")
	at = h.carries("Move scene 4", "two", false)
	h.mouse("mouseMoved", [2]float64{5, 5})
	h.mouse("mouseReleased", [2]float64{5, 5})
	require.Equal(t, 0.0, h.js(dialogs), "it was dropped nowhere")
	h.carries("Move scene 4", "two", false)
	h.mouse("mouseReleased", at)
	h.sees("Move scene 4?")
	h.reads("four 4 2 two 2 3 three 3 4")
	h.isAccessible()
	require.Equal(t, []string{"two", "three", "four"}, h.order(), "nothing has changed by what is shown")
	_, err := h.admin.Sequence.MoveElement(t.Context(), "play", "scene", "three", sequence.Move{Before: fountain.Ptr("two")})
	require.NoError(t, err)
	h.presses("Move")
	h.reads("The order has changed since the preview. Nothing was moved.")
	h.reads("four 4 3 two 3 4")
	require.Equal(t, []string{"three", "two", "four"}, h.order())
	h.presses("Move")
	h.proves()
	h.reads("four now has the number 3.")
	h.reads("3 four 1 active") // the row is new: a button of the old one goes with it
	require.Equal(t, []string{"three", "four", "two"}, h.order())
	h.hasFocusAt("Move scene 3")

	h.tabsTo("Move scene 3 up")
	h.key("Enter", "\r")
	h.sees("Move scene 3?")
	h.reads("four 3 2 three 2 3")
	h.tabsTo("Move")
	h.key("Enter", "\r")
	h.reads("four now has the number 2.")
	h.reads("2 four 1 active") // the row is new: a button of the old one goes with it
	h.presses("Move scene 2 down")
	h.sees("Move scene 2?")
	h.presses("Move")
	h.reads("four now has the number 3.")
	h.reads("3 four 1 active") // the row is new: a button of the old one goes with it
	require.Equal(t, []string{"three", "four", "two"}, h.order())

	h.prefers("dark", 390)
	h.presses("Move scene 3")
	h.sees("Move scene 3")
	h.isAccessible()
	h.presses("Preview")
	h.reads("Fill in one of the two: before or after which element.")
	h.fills("Before", "four")
	h.presses("Preview")
	h.isRefused("validation_failed")
	h.reads("This is the element itself.")
	h.fills("Before", "two")
	h.presses("Preview")
	h.reads("four is already in this place.")
	require.Equal(t, 0.0, h.js(dialogs))
	at = h.carries("Move scene 3", "two", true)
	h.mouse("mouseReleased", at)
	h.sees("Move scene 3?")
	h.isAccessible()
	h.presses("Move")
	h.reads("four now has the number 4.")
	require.Equal(t, []string{"three", "two", "four"}, h.order())
	h.ends()
}

// The history of an element tells who made which version, what changed between two, and makes an old one the newest.
func TestConsole_anElementHasItsHistory(t *testing.T) {
	a := administers(t, nil)
	a.js(`() => { location.hash = "#/sequence/play/scene"; }`)
	a.sees("play: scene")
	a.goesTo("1")
	a.reads(`"title": "here"`)
	require.NotContains(t, a.text(), "Compare versions", "there is one alone")
	a.presses("Create version")
	a.fills("Data", `{"title":"elsewhere","act":1}`)
	a.fills("Comment", "it moved")
	a.presses("Create version")
	a.reads("Version 2 created.")
	a.reads("it moved")
	a.presses("Compare")
	a.reads("Changes from version 1 to 2: 2.")
	a.reads("/title \"elsewhere\"")
	a.reads("add /act 1")
	a.isAccessible()
	a.fills("From version", "7")
	a.presses("Compare")
	a.isRefused("not_found")
	a.fills("From version", "2")
	a.presses("Compare")
	a.reads("Versions 2 and 2 have the same data.")
	a.prefers("dark", 390)
	a.presses("Restore version 1")
	a.sees("Restore version 1 of scene 1?")
	a.isAccessible()
	a.presses("Restore")
	a.reads("Version 1 restored as version 3.")
	a.reads(`"title": "here"`)
	a.isAccessible()
	a.ends()
}
