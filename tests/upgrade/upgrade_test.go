// Package upgrade opens the data of released versions with the code of this tree: everything in it must go on working.
package upgrade

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"context"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// recorded is what record/main.go has written down of the data.
type recorded struct {
	RecordedAt                               time.Time
	AdminPassword, EditorPassword, Seed      string
	AdminID, EditorID, DisabledID            string
	LiveKey, RotatedKey, NewKey, RevokedKey  string
	ServiceKey, SecretName, SecretValue      string
	RefreshToken, Scope, Type, FirstID, Word string
	Numbers                                  int
}

// unpack puts the data of a release into a fresh directory and returns it.
func unpack(t *testing.T, release string) (dir string, m recorded) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", release, "manifest.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &m))
	file, err := os.Open(filepath.Join("testdata", release, "data.tar.gz"))
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	root := t.TempDir()
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(root, "data"), m
		}
		require.NoError(t, err)
		path := filepath.Join(root, filepath.Clean("/"+header.Name))
		if header.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(path, os.FileMode(header.Mode).Perm()))
			continue
		}
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, os.FileMode(header.Mode).Perm()))
	}
}

// Before the first start of this release its program does not back up the data of 0.1: the archive would be no way back. It says what to do and changes
// nothing.
func TestUpgrade_theDataOfVersion01IsNotBackedUpByThisRelease(t *testing.T) {
	harness.Own(t, "it is about a program that the test starts itself")
	dir, _ := unpack(t, "v0.1")
	left := t.TempDir()
	recipient, err := exec.Command(harness.Binary(t), "backup", "key", filepath.Join(left, "key")).Output()
	require.NoError(t, err)
	before, err := os.ReadFile(filepath.Join(dir, "kms", "kms.db"))
	require.NoError(t, err)
	out, err := exec.Command(harness.Binary(t), "backup", "--data", dir, "--to", filepath.Join(left, "archive"), "--recipient", strings.TrimSpace(string(recipient))).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Contains(t, string(out), "kms: the database is of an older release, which must back it up itself; of 0.1, which can't, copy the data while it is stopped")
	entries, err := os.ReadDir(left)
	require.NoError(t, err)
	require.Len(t, entries, 1, "the key alone")
	after, err := os.ReadFile(filepath.Join(dir, "kms", "kms.db"))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// TestUpgrade_dataOfVersion01GoesOnWorking runs an hour after the recording by the family's clock, in whatever year it runs: keys and sessions
// have ends.
func TestUpgrade_dataOfVersion01GoesOnWorking(t *testing.T) {
	dir, m := unpack(t, "v0.1")
	f := harness.Open(t, dir, m.RecordedAt.Add(time.Hour))
	ctx := context.Background()
	code := func(context.Context, fountain.Challenge) (string, error) {
		f.Clock.Advance(31 * time.Second) // each code works once
		return totp.GenerateCode(m.Seed, f.Clock.Now())
	}
	admin := f.Client(fountain.WithUser("ada", m.AdminPassword), fountain.WithStepUp(code))

	users := map[string]string{}
	for u, err := range admin.KMS.Users(ctx) {
		require.NoError(t, err, "the factor works")
		users[u.ID] = string(u.Status)
	}
	require.Equal(t, map[string]string{m.AdminID: "active", m.EditorID: "active", m.DisabledID: "disabled"}, users)
	_, err := f.Client().KMS.LoginUser(ctx, kms.Login{Username: "edsger", Password: m.EditorPassword})
	require.ErrorIs(t, err, fountain.ErrUnauthenticated)
	fresh, err := f.Client().KMS.RefreshToken(ctx, kms.Refresh{RefreshToken: m.RefreshToken})
	require.NoError(t, err, "a session goes on")
	require.NotEmpty(t, fresh.AccessToken)

	for name, key := range map[string]string{"live": m.LiveKey, "rotated, in its overlap": m.RotatedKey, "the successor": m.NewKey, "of a service": m.ServiceKey} {
		page, err := f.Client(fountain.WithAPIKey(key)).Sequence.ListElements(ctx, m.Scope, m.Type, nil)
		require.NoError(t, err, name)
		require.Len(t, page.Items, m.Numbers, name)
	}
	_, err = f.Client(fountain.WithAPIKey(m.RevokedKey)).Sequence.ListElements(ctx, m.Scope, m.Type, nil)
	require.ErrorIs(t, err, fountain.ErrUnauthenticated)

	secret, err := admin.KMS.GetSecret(ctx, m.SecretName)
	require.NoError(t, err)
	require.Equal(t, m.SecretValue, secret.Value)
	require.EqualValues(t, 2, secret.Version)

	trail, err := admin.KMS.VerifyAudit(ctx, kms.AuditVerify{})
	require.NoError(t, err)
	require.True(t, trail.Intact, "%+v", trail)
	require.Positive(t, trail.Unkeyed, "events of version 0.1 are kept")
	require.Greater(t, trail.Checked, trail.Unkeyed)

	editor := f.Client(fountain.WithAPIKey(m.LiveKey)).Sequence
	element, err := editor.GetElement(ctx, m.Scope, m.Type, m.FirstID)
	require.NoError(t, err)
	require.EqualValues(t, 2, element.Version)
	next, err := editor.CreateElement(ctx, m.Scope, m.Type, sequence.ElementCreate{Data: json.RawMessage(`{"text":"after the upgrade"}`)})
	require.NoError(t, err)
	require.EqualValues(t, m.Numbers+1, next.Number, "numbers go on without a gap")
	searcher := f.Client(fountain.WithUser("grace", m.EditorPassword)).Sequence
	require.Eventually(t, func() bool {
		found, err := searcher.SearchElements(ctx, m.Scope, sequence.ElementSearch{Q: m.Word})
		return err == nil && len(found.Hits) == m.Numbers
	}, 30*time.Second, 50*time.Millisecond, "documents are found")

	// What this version says of the old keys: a lineage, and an end for it.
	for k, err := range admin.KMS.APIKeys(ctx) {
		require.NoError(t, err)
		require.NotEmpty(t, k.RootID)
		require.False(t, k.GrantedUntil.Before(k.ExpiresAt), "%s", k.ID)
	}
	id := "key_" + m.RotatedKey[len("fk_live_"):len("fk_live_")+26]
	ended, err := admin.KMS.RevokeAPIKey(ctx, id)
	require.NoError(t, err)
	require.EqualValues(t, 2, ended.Revoked, "the successor that version 0.1 made descends from it")
}
