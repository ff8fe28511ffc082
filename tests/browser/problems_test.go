//go:build browser

package browser

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever follows the type of a problem reads what it means, on a phone and in the dark too.
func TestProblems_areReadableOnAPhone(t *testing.T) {
	family := behindCaddy(t, filepath.Join(t.TempDir(), "data"))
	t.Cleanup(family.Stop)
	p := visit(t, family.browser(t), family.site+"/")
	p.browser.call(p.tab, "Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true}, nil)
	p.browser.call(p.tab, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	p.follows("Error codes")
	require.Equal(t, "/problems", p.address())
	fits := `() => document.documentElement.scrollWidth <= 390 && getComputedStyle(document.body).backgroundColor === "rgb(18, 23, 29)"`
	require.Equal(t, true, p.js(fits))
	p.isAccessible()
	p.follows("weak_password")
	p.isAccessible()
	require.Equal(t, "/problems/weak_password", p.address())
	p.reads("The password is too short or too long")
	p.reads("fewer than 12 characters")
	require.Equal(t, true, p.js(fits))
	p.follows("All problems")
	require.Equal(t, "/problems", p.address())
	require.Empty(t, p.faults())
}

// An operation is about two screens, not ten: its refusals are their codes alone, and each is whole when it is asked for, with an example of its own status.
func TestDocs_showARefusalWhenItIsAskedFor(t *testing.T) {
	family := behindCaddy(t, filepath.Join(t.TempDir(), "data"))
	t.Cleanup(family.Stop)
	p := visit(t, family.browser(t), family.site+"/docs?contract=sequence#/elements/createElement")
	require.Equal(t, true, p.js(`async () => !!await until(() => document.querySelector('[data-code="403"] button.refusal'))`))
	require.Less(t, p.js(`() => document.querySelector(".opblock.is-open").getBoundingClientRect().height`).(float64), 3500.0)
	require.Equal(t, false, p.js(`() => document.querySelector('[data-code="201"]').textContent.includes("insufficient_scope")`))
	for code, says := range map[string]string{"403": "/problems/insufficient_scope", "409": "/problems/already_exists", "429": "/problems/rate_limited"} {
		require.Equal(t, true, p.js(`async (code, says) => {
			const row = () => document.querySelector('[data-code="' + code + '"]');
			row().querySelector("button.refusal").click();
			return !!await until(() => { const text = row().textContent.replaceAll(/\s/g, ""); return text.includes('"type":"' + says + '"') && text.includes('"status":' + code) && row(); });
		}`, code, says), code)
	}
	require.Empty(t, p.faults())
}
