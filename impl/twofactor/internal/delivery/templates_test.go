package delivery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
)

func TestTemplates_areReplacedFileByFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sms.txt.tmpl"), []byte("{{.Code}} für {{.Purpose}}"), 0o600))
	templates, err := delivery.LoadTemplates(dir, "Acme")
	require.NoError(t, err)
	text, err := templates.Render(message(delivery.SMS, "+4915112345678"))
	require.NoError(t, err)
	require.Equal(t, "012345 für sign-in", text.Plain)
	text, err = templates.Render(message(delivery.Email, "a@b.org"))
	require.NoError(t, err)
	require.Equal(t, "Acme: your code for sign-in", text.Subject)
}

// A faulty template is found at the start, and not when a person waits for a code.
func TestLoadTemplates_findsFaults(t *testing.T) {
	for name, source := range map[string]string{
		"sms.txt.tmpl": "{{.Kode}}", "email.html.tmpl": "{{if}}", "email.txt.tmpl": "no code in it", "email.subject.tmpl": "a\nb", "sms.tmpl": "{{.Code}}",
		"email.subject.tmpl ": "", "email.html.tmpl.tmpl": "x",
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600))
		_, err := delivery.LoadTemplates(dir, "Acme")
		if !strings.HasSuffix(name, ".tmpl") {
			require.NoError(t, err, "it is no template")
			continue
		}
		require.Error(t, err, name)
	}
	_, err := delivery.LoadTemplates(filepath.Join(t.TempDir(), "none"), "Acme")
	require.Error(t, err)
}

func TestPreview_showsEveryTemplate(t *testing.T) {
	templates, err := delivery.LoadTemplates("", "Acme")
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, templates.Preview(&out))
	for _, want := range []string{"email.subject.tmpl", "email.txt.tmpl", "email.html.tmpl", "sms.txt.tmpl", "email.notice.subject.tmpl", "email.notice.txt.tmpl", "email.notice.html.tmpl", "sms.notice.txt.tmpl",
		"An administrator has ended all second factors", "&lt;Example &amp; Sons&gt;", "Do not share it", "012345"} {
		require.Contains(t, out.String(), want)
	}
}
