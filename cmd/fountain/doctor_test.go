package main

import (
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/cmd/fountain/internal/doctor"
)

// diagnosis is the result of a run of doctor.
type diagnosis struct {
	result
	Worst    doctor.Level
	Findings doctor.Report
}

// askDoctor runs doctor with --json in an environment.
func askDoctor(t *testing.T, settings []string, flags ...string) diagnosis {
	t.Helper()
	cmd := command(t, append([]string{"doctor", "--json"}, flags...)...)
	cmd.Env = append(cmd.Env, settings...)
	said := diagnosis{result: finish(t, cmd)}
	require.NoError(t, json.Unmarshal([]byte(said.stdout), &said), said.stderr)
	require.Equal(t, map[doctor.Level]int{doctor.OK: 0, doctor.Warning: exitWarned, doctor.Error: exitFailed}[said.Worst], said.code)
	for _, f := range said.Findings {
		require.Equal(t, f.Level == doctor.OK, f.Do == "", "a finding says what to do: %+v", f)
	}
	return said
}

// faults returns the findings of a check that are not ok.
func (s diagnosis) faults(check string) (out []doctor.Finding) {
	for _, f := range s.Findings {
		if f.Check == check && f.Level != doctor.OK {
			out = append(out, f)
		}
	}
	return out
}

// changeDatabase runs statements on the database of a stopped service.
func changeDatabase(word string, statements ...string) func(t *testing.T, data string) {
	return func(t *testing.T, data string) {
		db, err := sql.Open("sqlite", filepath.Join(data, word, word+".db"))
		require.NoError(t, err)
		for _, statement := range statements {
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		require.NoError(t, db.Close())
	}
}

func overwrite(name, text string, mode os.FileMode) func(t *testing.T, data string) {
	return func(t *testing.T, data string) {
		path := filepath.Join(data, name)
		if text != "" {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
		require.NoError(t, os.Chmod(path, mode))
	}
}

func remove(names ...string) func(t *testing.T, data string) {
	return func(t *testing.T, data string) {
		for _, name := range names {
			require.NoError(t, os.Remove(filepath.Join(data, name)))
		}
	}
}

// damage overwrites the middle of a database.
func damage(word string) func(t *testing.T, data string) {
	return func(t *testing.T, data string) {
		file, err := os.OpenFile(filepath.Join(data, word, word+".db"), os.O_RDWR, 0)
		require.NoError(t, err)
		info, err := file.Stat()
		require.NoError(t, err)
		for at := int64(4096 * 2); at < info.Size(); at += 4096 {
			_, err = file.WriteAt([]byte(strings.Repeat("x", 64)), at)
			require.NoError(t, err)
		}
		require.NoError(t, file.Close())
	}
}

// Each fault is found, by its check and its service, and a healthy installation has no findings.
func TestDoctor_findsWhatIsBroken(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	_, pass := password(t)
	u.bootstrap(t, pass)
	require.NoError(t, os.Truncate(filepath.Join(u.data, "family.lock"), 0)) // as an earlier release left it, without an address
	healthy := askDoctor(t, []string{"FOUNTAIN_ADDR=" + strings.Replace(strings.TrimPrefix(u.url, "http://"), "127.0.0.1", "0.0.0.0", 1)}, "--data", u.data)
	require.Equal(t, doctor.Warning, healthy.Worst, healthy.stdout)
	require.Len(t, healthy.faults(doctor.Backup), 1, "there is none yet")
	key := run(t, "backup", "key", filepath.Join(t.TempDir(), "key"))
	made := run(t, "backup", "--data", u.data, "--to", filepath.Join(t.TempDir(), "archive"), "--recipient", strings.TrimSpace(key.stdout))
	require.Zero(t, made.code, made.stderr)
	healthy = askDoctor(t, nil, "--data", u.data, "--url", u.url)
	require.Zero(t, healthy.code, healthy.stdout)
	for _, check := range []string{doctor.Running, doctor.Clock, doctor.Keys, doctor.Database, doctor.Audit, doctor.Disk, doctor.Modes, doctor.Issuer, doctor.Backup} {
		require.Contains(t, healthy.stdout, `"check": "`+check+`"`)
	}
	require.Zero(t, u.term(t))

	for name, tt := range map[string]struct {
		change        func(t *testing.T, data string)
		check         string
		service, what string
	}{
		"no root key":           {remove("kms/root.key"), doctor.Keys, "kms", "is missing"},
		"another root key":      {overwrite("kms/root.key", "0123456789abcdef\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0b\x0c\x0e\x0f\x10\x11\x12", 0o600), doctor.Keys, "kms", "is not the one"},
		"a short root key":      {overwrite("kms/root.key", "hunter2", 0o600), doctor.Keys, "kms", "refused"},
		"a key others can read": {overwrite("sequence/credential.json", "", 0o644), doctor.Modes, "sequence", "others can read"},
		"an ended key":          {overwrite("sequence/credential.json", `{"key":"hunter2","expiresAt":"2020-01-01T00:00:00Z"}`, 0o600), doctor.Keys, "sequence", "has expired"},
		"no key but text":       {overwrite("search/credential.json", "hunter2", 0o600), doctor.Keys, "search", "is not the credential of a service"},
		"a directory for all":   {overwrite("twofactor", "", 0o777), doctor.Modes, "twofactor", "others can write"},
		"a damaged database":    {damage("sequence"), doctor.Database, "sequence", "damaged"},
		"no database at all":    {overwrite("search/search.db", "hunter2, and no database", 0o600), doctor.Database, "search", "damaged"},
		"a database that went":  {remove("twofactor/twofactor.db"), doctor.Database, "twofactor", "is missing"},
		"documents that went": {func(t *testing.T, data string) {
			require.NoError(t, os.RemoveAll(filepath.Join(data, "search", "engine")))
		}, doctor.Database, "search", "FOUNTAIN_SEARCH_ENGINE_URL"},
		"a newer release":  {changeDatabase("kms", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (88888, 1)"), doctor.Version, "kms", "newer release"},
		"an older release": {changeDatabase("sequence", "DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)"), doctor.Version, "sequence", "older release"},
		"an unfinished restore": {func(t *testing.T, data string) {
			require.NoError(t, os.Mkdir(filepath.Join(data, "kms", ".restore"), 0o700))
		}, doctor.Restore, "kms", "not ended"},
		"a changed trail":        {changeDatabase("kms", "UPDATE audit_events SET body = '{}' WHERE seq = 2"), doctor.Audit, "kms", "at event 2"},
		"a trail that was cut":   {changeDatabase("kms", "DELETE FROM audit_events WHERE seq > 1", "UPDATE audit_head SET seq = 1, hash = (SELECT hash FROM audit_events WHERE seq = 1)"), doctor.Audit, "kms", "(checkpoint)"},
		"a checkpoint of nobody": {overwrite("kms/kms.checkpoint", "hunter2", 0o600), doctor.Audit, "kms", "is not a checkpoint"},
		"a clock that was ahead": {changeDatabase("kms", "UPDATE audit_events SET at = at + 3600000000"), doctor.Clock, "kms", "ahead of this machine"},
		"another issuer":         {overwrite("issuer", "https://other.example\n", 0o600), doctor.Issuer, "kms", "issuer move https://other.example"},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			require.NoError(t, os.CopyFS(data, os.DirFS(u.data)))
			require.NoError(t, filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error { // CopyFS widens the modes
				require.NoError(t, err)
				if d.IsDir() {
					return os.Chmod(path, 0o700)
				}
				return os.Chmod(path, 0o600)
			}))
			require.Zero(t, askDoctor(t, nil, "--data", data).code, "the copy is healthy")
			tt.change(t, data)
			said := askDoctor(t, nil, "--data", data)
			found := said.faults(tt.check)
			require.NotEmpty(t, found, said.stdout)
			require.Equal(t, tt.service, found[0].Service)
			require.Contains(t, found[0].What+found[0].Do, tt.what)
			require.NotContains(t, said.stdout+said.stderr, "hunter2")
		})
	}

	// If search uses a Typesense, there are no documents. doctor and backup expect none if the environment says so.
	require.NoError(t, os.RemoveAll(filepath.Join(u.data, "search", "engine")))
	outside := []string{"FOUNTAIN_SEARCH_ENGINE_URL=http://127.0.0.1:1", "FOUNTAIN_SEARCH_ENGINE_KEY_FILE=" + filepath.Join(u.data, "none")}
	require.Zero(t, askDoctor(t, outside, "--data", u.data).code)
	require.NotEmpty(t, askDoctor(t, []string{"FOUNTAIN_SEARCH_ENGINE_ADDRESS=hunter2"}, "--data", u.data).faults(doctor.Settings))
	archive := filepath.Join(t.TempDir(), "outside")
	backup := []string{"backup", "--data", u.data, "--to", archive, "--recipient", strings.TrimSpace(key.stdout)}
	require.Contains(t, run(t, backup...).sentenceOf(t), "FOUNTAIN_SEARCH_ENGINE_URL")
	cmd := command(t, backup...)
	cmd.Env = append(cmd.Env, outside...)
	made = finish(t, cmd)
	require.Zero(t, made.code, made.stderr)
	require.NotContains(t, made.stdout, "search-documents")
}

// In the environment of fountain serve, doctor checks the services that it configures, and prints no value.
func TestDoctor_looksAtTheServicesOfTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "url")
	require.NoError(t, os.WriteFile(file, []byte("postgres://fountain:hunter2@127.0.0.1:1/kms?sslmode=disable\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	settings := []string{"FOUNTAIN_KMS_DATA_DIR=" + filepath.Join(dir, "data"), "FOUNTAIN_KMS_ISSUER=http://127.0.0.1:8002", "FOUNTAIN_KMS_DATABASE_URL_FILE=" + file, "FOUNTAIN_KMS_ADDR=127.0.0.1:1"}
	said := askDoctor(t, settings)
	require.Len(t, said.faults(doctor.Database), 1, said.stdout)
	require.Len(t, said.faults(doctor.Running), 1)
	for _, f := range said.Findings {
		require.Equal(t, "kms", f.Service)
	}
	require.NotContains(t, said.stdout+said.stderr, "hunter2")

	said = askDoctor(t, append(settings, "FOUNTAIN_KMS_ISUER=hunter2", "FOUNTAIN_KMS_GRACE=hunter2"))
	require.Len(t, said.faults(doctor.Settings), 1)
	require.Contains(t, said.faults(doctor.Settings)[0].What, "did you mean FOUNTAIN_KMS_ISSUER?")
	require.NotContains(t, said.stdout+said.stderr, "hunter2")

	cmd := command(t, "doctor")
	cmd.Env = append(cmd.Env, settings...)
	people := finish(t, cmd)
	require.Equal(t, exitFailed, people.code)
	require.Contains(t, people.stdout, "ERROR")
	require.Contains(t, people.stdout, "-> check that the server runs")
	require.Contains(t, people.stdout, "something is wrong")
	require.Equal(t, exitFailed, run(t, "doctor", "--data", filepath.Join(dir, "none")).code)
	require.Equal(t, exitUsage, run(t, "doctor", "--ca-file", file).code)
	for _, address := range []string{"ftp://localhost", "http://", "https://ada:hunter2@localhost", "https://localhost?key=hunter2", "://hunter2"} {
		refused := run(t, "doctor", "--url", address)
		require.Equal(t, exitUsage, refused.code, address)
		require.NotContains(t, refused.stdout+refused.stderr, "hunter2")
	}
}

// A remote installation is checked from outside, at the address that the environment or --url names, as for every other
// command. Its data is not seen.
func TestDoctor_looksAtAFamilyElsewhereByItsDoor(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	elsewhere := []string{"FOUNTAIN_DATA=" + filepath.Join(t.TempDir(), "none")}
	for name, said := range map[string]diagnosis{
		"by the environment": askDoctor(t, append(elsewhere, "FOUNTAIN_URL="+u.url+"/")),
		"by the flag":        askDoctor(t, append(elsewhere, "FOUNTAIN_URL=http://127.0.0.1:1"), "--url", u.url),
	} {
		require.Zero(t, said.code, "%s: %s", name, said.stdout)
		ready := map[string]bool{}
		for _, f := range said.Findings {
			require.Contains(t, []string{doctor.Running, doctor.Clock, doctor.Version, doctor.Contract}, f.Check)
			if f.Check == doctor.Running {
				ready[f.Service] = true
			}
		}
		require.Len(t, ready, 5, name)
	}
	require.Empty(t, askDoctor(t, []string{"FOUNTAIN_URL=http://127.0.0.1:1"}, "--data", u.data, "--url", u.url).faults(doctor.Running))
	require.NotEmpty(t, askDoctor(t, nil, "--data", u.data, "--url", "http://127.0.0.1:1").faults(doctor.Running), "it is looked for where the flag says")
	for _, setting := range []string{"FOUNTAIN_URL=http://127.0.0.1:1", "FOUNTAIN_ADDR=127.0.0.1:1", "FOUNTAIN_URL="} {
		require.Empty(t, askDoctor(t, []string{setting}, "--data", u.data).faults(doctor.Running), "the data directory says where its family runs: %s", setting)
	}
	require.Zero(t, u.term(t))

	away := askDoctor(t, append(elsewhere, "FOUNTAIN_URL="+u.url))
	require.Equal(t, doctor.Error, away.Worst, away.stdout)
	require.Len(t, away.faults(doctor.Running), 5)
	nowhere := command(t, "doctor")
	nowhere.Env = append(nowhere.Env, elsewhere...)
	require.Contains(t, finish(t, nowhere).sentenceOf(t), "--url")
	wrong := command(t, "doctor")
	wrong.Env = append(wrong.Env, append(elsewhere, "FOUNTAIN_URL=https://ada:hunter2@localhost")...)
	refused := finish(t, wrong)
	require.Equal(t, exitUsage, refused.code)
	require.NotContains(t, refused.stdout+refused.stderr, "hunter2")
}

// From outside, the certificate of the front is checked once, with the CA that FOUNTAIN_CA_FILE names, and its expiry
// is reported.
func TestDoctor_looksAtTheCertificateOfAFamilyElsewhere(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	family, err := url.Parse(u.url)
	require.NoError(t, err)
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(family))
	t.Cleanup(front.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	settings := []string{"FOUNTAIN_DATA=" + filepath.Join(t.TempDir(), "none"), "FOUNTAIN_URL=" + front.URL}
	require.Len(t, askDoctor(t, settings).faults(doctor.Certificate), 5, "its authority is not known")
	said := askDoctor(t, append(settings, "FOUNTAIN_CA_FILE="+file))
	require.Zero(t, said.code, said.stdout)
	told := 0
	for _, f := range said.Findings {
		if f.Check == doctor.Certificate {
			told++
			require.Equal(t, "gateway", f.Service)
		}
	}
	require.Equal(t, 1, told)
	require.Zero(t, u.term(t))
}
