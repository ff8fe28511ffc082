//go:build browser

package browser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// downloads has the browser put downloads into a folder, which it returns.
func (p *person) downloads() (folder string) {
	p.t.Helper()
	folder = p.t.TempDir()
	p.browser.call("", "Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": folder}, nil)
	return folder
}

// downloaded waits for the only file of a folder to be there whole, and returns where it is and what is in it.
func (p *person) downloaded(folder string) (path, content string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		found, err := filepath.Glob(filepath.Join(folder, "*.ndjson"))
		require.NoError(p.t, err)
		if len(found) != 1 {
			return false
		}
		raw, err := os.ReadFile(found[0])
		require.NoError(p.t, err)
		path, content = found[0], string(raw)
		return strings.HasSuffix(content, "\n") // the browser renames a file once it is whole
	}, time.Minute, 20*time.Millisecond)
	return path, content
}

// value is what a secret has now, for those who read it.
func (h *theatre) value(name string) string {
	h.t.Helper()
	secret, err := h.admin.KMS.GetSecret(h.t.Context(), name)
	require.NoError(h.t, err)
	return secret.Value
}

// An administrator sees a secret's versions without their values, shows one, which is hidden again by itself, has a new version wait and makes it current, goes back, and has
// the kms rotate it and go back again; readers get what the page says.
func TestConsole_aSecretIsShownOnRequestAndTurnsOver(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.goesTo("Secrets")
	h.proves()
	h.sees("Secrets")
	h.reads("reports.mailbox 1")
	h.goesTo("reports.mailbox")
	h.sees("reports.mailbox")
	h.reads("The kms does not rotate this secret.")
	h.isAccessible()
	require.NotContains(t, h.text(), "heron")
	require.Equal(t, false, h.js(`() => document.documentElement.outerHTML.includes("heron")`))
	h.js(`() => { const real = setTimeout; globalThis.setTimeout = (act, ms) => real(act, ms >= 60_000 ? 500 : ms); }`) // a minute is over soon
	h.presses("Show")
	h.sees("Show reports.mailbox?")
	h.isAccessible()
	h.presses("Show value")
	require.Equal(t, true, h.js(`async () => !!await until(() => document.querySelector("dialog .secret")?.textContent === "heron")`), "it is shown: %s", h.text())
	require.Equal(t, true, h.js(`async () => !!await until(() => !document.documentElement.outerHTML.includes("heron"))`), "it is gone by itself")
	require.Equal(t, "Show", h.js(`async () => await until(() => document.activeElement?.textContent)`), "the focus is where it was")

	h.presses("Replace")
	h.fills("Value", "tern")
	h.chooses("Readers get it", "once it is made current")
	h.presses("Replace")
	h.reads("reports.mailbox has a pending version: 2.")
	require.Equal(t, "heron", h.value("reports.mailbox"))
	h.reads("2 pending")
	h.presses("Make current: version 2")
	h.presses("Make current")
	h.reads("Version 2 is current now.")
	require.Equal(t, "tern", h.value("reports.mailbox"))
	h.reads("1 previous")
	require.Nil(t, h.js(`() => by("button", "Delete version 2") ?? null`), "the current version is not offered for deletion")
	h.presses("Make current: version 1")
	h.presses("Make current")
	h.reads("Version 1 is current now.")
	require.Equal(t, "heron", h.value("reports.mailbox"))

	h.presses("Set up rotation")
	h.isAccessible()
	h.fills("Days between rotations", "30")
	h.fills("Characters", "32")
	h.presses("Set rotation")
	h.reads("Rotation of reports.mailbox set.")
	h.reads("every 30 days, next ")
	h.presses("Rotate now")
	h.presses("Rotate")
	h.reads("Rotation of reports.mailbox started.")
	rotationIsOver(h)
	require.Len(t, h.value("reports.mailbox"), 32)
	h.presses("Refresh")
	h.reads("done: version 3")
	h.isAccessible()
	h.presses("Roll back")
	h.presses("Roll back")
	h.reads("Rollback of reports.mailbox started.")
	rotationIsOver(h)
	require.Equal(t, "heron", h.value("reports.mailbox"))
	h.presses("Refresh")
	h.reads("3 previous")

	h.presses("Destroy version 2")
	h.reads("This can't be undone.")
	h.presses("Destroy")
	h.reads("Version 2 destroyed. Sealed copies may remain in older backups, until they expire")
	_, err := h.admin.KMS.GetSecretVersion(t.Context(), "reports.mailbox", "2")
	require.ErrorContains(t, err, "410")
	h.prefers("dark", 390)
	h.turnsTo("secrets/reports.mailbox")
	h.sees("reports.mailbox")
	h.reads("2 destroyed")
	h.isAccessible()
	h.ends()
}

// An administrator rotates the key that signs tokens and revokes the one that signs, in an emergency: a token that it has signed is refused at once, and the page goes on. A
// keyring is rotated and its older key given up; and the root key is rotated, after an operator has replaced it in its file.
func TestConsole_keysTurnOver(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.goesTo("Signing keys")
	h.proves()
	h.sees("Signing keys")
	h.reads("active EdDSA")
	h.isAccessible()
	tokens, err := h.own.KMS.LoginUser(t.Context(), kms.Login{Username: "grace", Password: password}, fountain.WithoutAuth())
	require.NoError(t, err)
	stolen := fountain.WithBearer(tokens.AccessToken)
	_, err = h.own.KMS.ListScopes(t.Context(), nil, stolen)
	require.NoError(t, err)
	kid := h.js(`async () => (await until(() => [...document.querySelectorAll("button")].map(name).find((one) => one.startsWith("Revoke the active key ")))).split(" ").pop()`).(string)
	h.presses("Revoke the active key " + kid)
	h.reads("It signs now: the next key takes its place at once.")
	h.isAccessible()
	h.presses("Keep it")
	h.presses("Revoke the active key " + kid)
	h.presses("Revoke key")
	h.reads("... revoked.")
	h.proves() // the page's own tokens were refused, too: it has got others
	require.Equal(t, true, h.js(`async (kid) => !!await until(() => document.querySelector("tr[data-id='" + kid + "']")?.innerText.includes("gone"))`, kid), h.text())
	require.Eventually(t, func() bool {
		_, err := h.own.KMS.ListScopes(t.Context(), nil, stolen)
		return err != nil && strings.Contains(err.Error(), "401")
	}, time.Minute, 20*time.Millisecond, "what the key has signed is refused")
	h.presses("Rotate")
	h.chooses("Algorithm", "ES256")
	h.presses("Rotate")
	h.reads(" signs from ")
	h.reads("next ES256")

	h.goesTo("Keyrings")
	h.sees("Keyrings")
	h.isAccessible()
	h.goesTo("receipts")
	h.sees("receipts")
	h.isAccessible()
	sealed, err := h.admin.KMS.EncryptData(t.Context(), "receipts", kms.KeyringPlaintext{Plaintext: []byte("one pound")})
	require.NoError(t, err)
	h.presses("Rotate")
	h.presses("Rotate")
	h.reads("receipts rotated: key 2.")
	h.reads("decrypts and verifies")
	opened, err := h.admin.KMS.DecryptData(t.Context(), "receipts", kms.KeyringCiphertextInContext{Ciphertext: sealed.Ciphertext})
	require.NoError(t, err)
	require.Equal(t, "one pound", string(opened.Plaintext))
	h.presses("Give up older keys")
	h.isAccessible()
	h.presses("Give up keys")
	h.reads("Keys of receipts before 2 are given up.")
	_, err = h.admin.KMS.DecryptData(t.Context(), "receipts", kms.KeyringCiphertextInContext{Ciphertext: sealed.Ciphertext})
	require.Error(t, err)
	h.reads("given up")

	h.goesTo("Root key")
	h.sees("Root key")
	h.reads("fountain keygen --replace FILE")
	h.isAccessible()
	h.presses("Rotate")
	h.presses("Rotate")
	h.isRefused("state_conflict")
	h.presses("Cancel")
	before, err := h.admin.KMS.GetRootKey(t.Context())
	require.NoError(t, err)
	replacesRootKey(h)
	h.presses("Rotate")
	h.presses("Rotate")
	h.reads(" is the active root key now.")
	require.Eventually(t, func() bool {
		now, err := h.admin.KMS.GetRootKey(t.Context())
		return err == nil && now.Active != before.Active && now.State == kms.RootKeyStateIdle
	}, time.Minute, 50*time.Millisecond)
	h.presses("Refresh")
	h.reads("everything is sealed with the active key")
	h.prefers("dark", 390)
	h.turnsTo("root-key")
	h.reads(before.Active)
	h.isAccessible()
	h.ends()
}

// archives takes the first events out of the kms's trail and has them removed; it returns the checkpoint that they end with.
func (h *theatre) archives(t *testing.T, events int64) kms.AuditCheckpoint {
	t.Helper()
	part, err := h.admin.KMS.ExportAudit(t.Context(), &kms.ExportAuditParams{Limit: &events})
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(part)), "\n")
	var last kms.AuditLine
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	require.NotNil(t, last.Checkpoint, "it is whole")
	_, err = h.admin.KMS.ArchiveAudit(t.Context(), kms.AuditArchive{Checkpoint: *last.Checkpoint})
	require.NoError(t, err)
	return *last.Checkpoint
}

// An administrator finds in the audit trail who has read a secret, verifies the trail against a checkpoint, is told of one that it does not hold, and takes the trail out whole:
// the file is verified by the command line, with the public key alone.
func TestConsole_theAuditTrailIsReadVerifiedAndTakenOut(t *testing.T) {
	h := opens(t, newMailbox(t))
	folder := h.downloads()
	h.value("reports.mailbox")
	checkpoint, err := h.admin.KMS.GetAuditCheckpoint(t.Context())
	require.NoError(t, err)
	public := base64.StdEncoding.EncodeToString(checkpoint.PublicKey)
	h.goesTo("Audit trail")
	h.proves()
	h.sees("Audit trail")
	h.reads("getSecret")
	h.isAccessible()
	h.presses("Filter")
	h.fills("Action", "getSecret")
	h.fills("Target", "reports.mailbox")
	h.chooses("Outcome", "ok")
	h.presses("Filter events")
	require.Equal(t, true, h.js(`async () => !!await until(() => { const rows = [...document.querySelectorAll("tbody tr")].map((one) => one.innerText); return rows.length === 1 && rows[0].includes("getSecret"); })`), h.text())
	h.isAccessible()
	seq := h.js(`() => document.querySelector("tbody tr").dataset.id`).(string)
	h.presses("Details of event " + seq)
	h.sees("Event " + seq)
	h.reads("getSecret: ok")
	h.isAccessible()
	h.presses("Close")
	h.chooses("Outcome", "denied")
	h.presses("Filter events")
	h.reads("No matching events.")

	signed, err := json.Marshal(checkpoint)
	require.NoError(t, err)
	h.presses("Verify")
	h.isAccessible()
	h.fills("Checkpoint", string(signed))
	h.ticks("only what follows the checkpoint")
	h.presses("Verify")
	h.reads("The audit trail is intact: ")
	h.reads(" events after ")
	checkpoint.Seq += 1_000_000
	signed, err = json.Marshal(checkpoint)
	require.NoError(t, err)
	h.presses("Verify")
	h.fills("Checkpoint", string(signed))
	h.presses("Verify")
	h.isRefused("validation_failed")
	h.reads("The checkpoint is not signed by this audit trail.")
	h.isAccessible()
	h.fills("Checkpoint", "")
	h.browser.refuses(h.tab, &refusal{method: "POST", status: http.StatusOK, body: `{"intact":false,"after":0,"checked":6,"unkeyed":0,"firstBreak":7,"reason":"event"}`}) // that the kms finds it is shown elsewhere
	h.presses("Verify")
	h.reads("The audit trail is not intact. After 6 events that are intact, event 7 is not: it was changed, moved, added or removed.")
	h.browser.refuses(h.tab, nil)
	h.isAccessible()
	h.presses("Sign checkpoint")
	h.reads(`"publicKey": `)

	h.presses("Export")
	h.isAccessible()
	h.presses("Export")
	h.reads(" events exported.")
	path, content := h.downloaded(folder)
	require.Contains(t, content, `"getSecret"`)
	out, err := exec.Command(harness.Binary(t), "audit", "verify", "--file", path, "--public-key", public).CombinedOutput()
	require.NoError(t, err, string(out))

	h.goesTo("Audit archives")
	h.sees("Audit archives")
	h.reads("Nothing was archived.")
	h.isAccessible()
	end := h.archives(t, 3)
	h.goesTo("Audit trail")
	h.sees("Audit trail")
	h.goesTo("Audit archives")
	h.sees("Audit archives")
	h.reads("1 to 3")
	h.reads(base64.StdEncoding.EncodeToString(end.Hash))
	h.reads("fountain audit verify --archives DIRECTORY")
	h.isAccessible()
	h.ends()
}

// Who was never at the machine sees which backups there are, whether they were tried, and what the doctor found last, worst first.
func TestConsole_tellsBackupsAndWhatTheDoctorFound(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.goesTo("Backups and doctor")
	h.proves()
	h.sees("Backups and doctor")
	h.reads("No backup was made from this data directory of the kms.")
	h.reads("No report is stored.")
	h.isAccessible()
	left := func(name, text string) { // by a command
		require.NoError(t, os.WriteFile(filepath.Join(h.dir, "kms", name), []byte(text), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(h.dir, "kms", "backups"), 0o700))
	const file, backup = "backups/20261130T030000.000000000Z-bak_00.json", `{"id":"bak_00","version":"0.1.0","madeAt":"2026-11-30T03:00:00Z","file":"/backups/monday","bytes":2500000,
		"parts":[{"name":"kms","database":"sqlite","instant":"2026-11-30T03:00:00Z","rows":42,"bytes":9}]%s}`
	left(file, fmt.Sprintf(backup, ""))
	left("doctor.json", `{"at":"2026-11-30T03:00:00Z","version":"0.1.0","quick":true,"worst":"error","findings":[{"service":"","check":"clock","level":"ok","what":"the clocks agree"},
		{"service":"kms","check":"disk","level":"error","what":"the disk is full","do":"free some room"}]}`)
	h.presses("Refresh")
	h.reads("/backups/monday bak_00 2.5 MB kms (sqlite):")
	h.reads("never")
	h.reads("Something is wrong.")
	h.reads("version 0.1.0, without reading whole databases")
	h.reads("error kms disk the disk is full To do: free some room ok all clock the clocks agree")
	left(file, fmt.Sprintf(backup, `,"check":"drill","checkedAt":"2026-11-30T04:00:00Z"`))
	h.presses("Refresh")
	h.reads("restored and checked")
	h.isAccessible()
}
