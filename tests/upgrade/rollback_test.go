//go:build rollback

package upgrade

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// version01 is the last commit of release 0.1, which has no tag. The recordings in testdata were made by its program.
const version01 = "a848f0405103177c48551b7fdc483b9861783f7c"

// The way back to 0.1, with its real program, on SQLite and on PostgreSQL. This release changes the databases of 0.1; 0.1 refuses them afterwards and
// changes nothing; what was copied before the upgrade works in 0.1 again, with its data, and can be upgraded again.
func TestRollback_toTheProgramOfVersion01(t *testing.T) {
	harness.Own(t, "it is about programs that the test starts itself")
	old, present := programOf(t, version01), harness.Binary(t)
	databases := []string{"sqlite"}
	if os.Getenv("FOUNTAIN_TEST_POSTGRES_URL") != "" || strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "postgres") {
		databases = append(databases, "postgres")
	}
	for _, database := range databases {
		t.Run(database, func(t *testing.T) {
			p := recordedPlace(t, old, database)

			f := p.start(t, old)
			f.holds(t, p.m, p.m.Numbers)
			f.stop(t)
			before := p.copied(t) // as docs/operations.md says: 0.1 has no fountain backup

			f = p.start(t, present)
			f.holds(t, p.m, p.m.Numbers)
			require.Equal(t, p.m.Numbers+1, f.appended(t, p.m), "numbers go on after the upgrade")
			f.stop(t)

			p.refusedBy(t, old)

			f = before.start(t, old)
			f.holds(t, p.m, p.m.Numbers)
			require.Equal(t, p.m.Numbers+1, f.appended(t, p.m), "what the newer release has written is gone, and its number is given again")
			f.stop(t)

			f = before.start(t, present)
			f.holds(t, p.m, p.m.Numbers+1)
			f.stop(t)
		})
	}
}

// programOf builds the program of a commit of this repository.
func programOf(t *testing.T, commit string) string {
	t.Helper()
	source, program := t.TempDir(), filepath.Join(t.TempDir(), "fountain")
	archive := filepath.Join(t.TempDir(), "source.tar")
	execute(t, exec.Command("git", "-C", "../..", "archive", "--format=tar", "--output", archive, commit))
	execute(t, exec.Command("tar", "-x", "-f", archive, "-C", source))
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/fountain")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	execute(t, build)
	return program
}

func execute(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v: %s", cmd.Args, out)
}

// words are the services, the one that the others wait for first.
var words = []string{"kms", "twofactor", "search", "sequence", "gateway"}

// place is where a family stores everything: its data directory, and its databases where they are PostgreSQL's.
type place struct {
	m         recorded
	dir       string            // data/<word>, enrol, root.key
	databases map[string]string // URL of each service's; nil: SQLite in the data directory
}

// recordedPlace returns a place with the data that a program has made.
func recordedPlace(t *testing.T, program, database string) place {
	t.Helper()
	made := t.TempDir()
	args, manifest, data := []string{"run", "./record", program, made}, "manifest.json", "data.tar.gz"
	if database == "postgres" {
		server := os.Getenv("FOUNTAIN_TEST_POSTGRES_URL")
		require.NotEmpty(t, server, "FOUNTAIN_TEST_POSTGRES_URL names the server")
		args, manifest, data = append(args, server), "postgres.json", "postgres-data.tar.gz"
	}
	execute(t, exec.Command("go", args...))
	p := place{dir: t.TempDir()}
	raw, err := os.ReadFile(filepath.Join(made, manifest))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &p.m))
	execute(t, exec.Command("tar", "-x", "-z", "-f", filepath.Join(made, data), "-C", p.dir))
	if database == "postgres" {
		execute(t, exec.Command("cp", "-p", filepath.Join(made, "postgres-root.key"), filepath.Join(p.dir, "root.key")))
		p.databases = map[string]string{}
		for _, word := range words[:4] {
			execute(t, exec.Command("gunzip", filepath.Join(made, word+".sql.gz")))
			p.databases[word] = filled(t, filepath.Join(made, word+".sql"))
		}
	}
	return p
}

// filled returns the URL of a new database with the content of a dump of pg_dump.
func filled(t *testing.T, dump string) string {
	t.Helper()
	address := newDatabase(t)
	execute(t, exec.Command("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, address))
	return address
}

func newDatabase(t *testing.T) string {
	t.Helper()
	server := os.Getenv("FOUNTAIN_TEST_POSTGRES_URL")
	db, err := sql.Open("pgx", server)
	require.NoError(t, err)
	name := "rollback_" + strings.ToLower(rand.Text())
	_, err = db.Exec("CREATE DATABASE " + name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		require.NoError(t, errors.Join(err, db.Close()))
	})
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// copied returns another place with the same content, made by the tools that operators have.
func (p place) copied(t *testing.T) place {
	t.Helper()
	to := place{m: p.m, dir: t.TempDir()}
	execute(t, exec.Command("cp", "-a", p.dir+"/.", to.dir))
	if p.databases != nil {
		to.databases = map[string]string{}
	}
	for word, address := range p.databases {
		dump := filepath.Join(t.TempDir(), word+".sql")
		execute(t, exec.Command("pg_dump", "--no-owner", "--no-privileges", "-f", dump, address))
		to.databases[word] = filled(t, dump)
	}
	return to
}

// settings returns the environment in which a service is started on this place, at the given addresses.
func (p place) settings(t *testing.T, word string, addresses map[string]string) []string {
	kms := "http://" + addresses["kms"]
	env := map[string]string{
		"ADDR": addresses[word], "ADMIN_ADDR": "127.0.0.1:0", "DATA_DIR": filepath.Join(p.dir, "data", word), "ISSUER": "http://fountain.test",
		"KMS_URL": kms, "JWKS_URL": kms + "/kms/v1/.well-known/jwks.json", "ENROL_TOKEN_FILE": filepath.Join(p.dir, "enrol", word, "token"),
	}
	switch word {
	case "kms":
		for _, name := range []string{"KMS_URL", "JWKS_URL", "ENROL_TOKEN_FILE"} {
			delete(env, name)
		}
		env["ROOT_KEY_FILE"], env["ENROL_DIR"] = filepath.Join(p.dir, "root.key"), filepath.Join(p.dir, "enrol")
	case "sequence":
		env["SEARCH_URL"] = "http://" + addresses["search"]
	case "gateway":
		env["TWOFACTOR_URL"], env["SEARCH_URL"], env["SEQUENCE_URL"] = "http://"+addresses["twofactor"], "http://"+addresses["search"], "http://"+addresses["sequence"]
	}
	if address := p.databases[word]; address != "" {
		env["DATABASE_URL_FILE"] = filepath.Join(t.TempDir(), word+".url")
		require.NoError(t, os.WriteFile(env["DATABASE_URL_FILE"], []byte(address), 0o600))
	}
	out := os.Environ()
	for name, value := range env {
		out = append(out, "FOUNTAIN_"+strings.ToUpper(word)+"_"+name+"="+value)
	}
	return out
}

// running is a family that runs.
type running struct {
	processes []*exec.Cmd
	base      string // of the gateway
}

// start runs a program on the place: one process on SQLite, one for each service on PostgreSQL.
func (p place) start(t *testing.T, program string) *running {
	t.Helper()
	f := &running{}
	addresses := map[string]string{}
	for _, word := range words {
		addresses[word] = harness.FreeAddress(t)
	}
	f.base = "http://" + addresses["gateway"]
	commands := map[string]*exec.Cmd{}
	if p.databases == nil {
		commands["up"] = exec.Command(program, "up", "--data", filepath.Join(p.dir, "data"), "--addr", addresses["gateway"], "--admin-addr", "127.0.0.1:0")
	} else {
		for _, word := range words {
			commands[word] = exec.Command(program, "serve", word)
			commands[word].Env = p.settings(t, word, addresses)
		}
	}
	for _, name := range append([]string{"up"}, words...) {
		cmd := commands[name]
		if cmd == nil {
			continue
		}
		log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
		require.NoError(t, err)
		cmd.Stdout, cmd.Stderr = log, log
		require.NoError(t, cmd.Start())
		require.NoError(t, log.Close())
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it has ended already, usually
			if t.Failed() {
				text, _ := os.ReadFile(log.Name())
				t.Logf("%v\n%s", cmd.Args, text[max(0, len(text)-4096):])
			}
		})
		f.processes = append(f.processes, cmd)
	}
	ready := map[string]string{"gateway": f.base}
	if p.databases != nil {
		for _, word := range words {
			ready[word] = "http://" + addresses[word]
		}
	}
	for word, base := range ready {
		require.Eventually(t, func() bool {
			answer, err := http.Get(base + "/" + word + "/v1/ready")
			return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
		}, 2*time.Minute, 50*time.Millisecond, word)
	}
	return f
}

func without(env []string, name string) (out []string) {
	for _, one := range env {
		if !strings.HasPrefix(one, name+"=") {
			out = append(out, one)
		}
	}
	return out
}

// stop ends the processes as an operator does; each must end well.
func (f *running) stop(t *testing.T) {
	t.Helper()
	for i := len(f.processes) - 1; i >= 0; i-- {
		require.NoError(t, f.processes[i].Process.Signal(syscall.SIGTERM))
		require.NoError(t, f.processes[i].Wait(), f.processes[i].Args)
	}
}

// call sends a request and returns its status and answer. It speaks plain HTTP, since the SDK of this tree need not understand an older release.
func (f *running) call(t *testing.T, method, path, token string, body any) (int, map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, f.base+path, bytes.NewReader(raw))
	require.NoError(t, err)
	if body == nil {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return f.send(t, req)
}

func (f *running) send(t *testing.T, req *http.Request) (int, map[string]any) {
	t.Helper()
	answer, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	out := map[string]any{}
	if len(text) > 0 {
		require.NoError(t, json.Unmarshal(text, &out), string(text))
	}
	return answer.StatusCode, out
}

func (f *running) login(t *testing.T, username, password string) string {
	t.Helper()
	status, answer := f.call(t, http.MethodPost, "/kms/v1/auth/login", "", map[string]any{"username": username, "password": password})
	require.Equal(t, http.StatusOK, status, answer)
	return answer["access_token"].(string)
}

// exchange asks for a token for an API key.
func (f *running) exchange(t *testing.T, key string) (int, string) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {"sequence"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.base+"/kms/v1/oauth2/token", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("key_"+key[len("fk_live_"):len("fk_live_")+26], key)
	status, answer := f.send(t, req)
	token, _ := answer["access_token"].(string)
	return status, token
}

// holds requires what was recorded: people with their passwords, keys that work and a key that does not, a secret behind a second factor, elements
// with their numbers, and their search.
func (f *running) holds(t *testing.T, m recorded, elements int) {
	t.Helper()
	scope := "/sequence/v1/scopes/" + m.Scope
	grace := f.login(t, "grace", m.EditorPassword)
	for _, key := range []string{m.LiveKey, m.RotatedKey, m.NewKey, m.ServiceKey} {
		status, token := f.exchange(t, key)
		require.Equal(t, http.StatusOK, status)
		status, list := f.call(t, http.MethodGet, scope+"/"+m.Type+"/elements", token, nil)
		require.Equal(t, http.StatusOK, status, list)
		require.Len(t, list["items"], elements)
	}
	status, _ := f.exchange(t, m.RevokedKey)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = f.call(t, http.MethodPost, "/kms/v1/auth/login", "", map[string]any{"username": "edsger", "password": m.EditorPassword})
	require.Equal(t, http.StatusUnauthorized, status, "a disabled user stays out")
	require.Eventually(t, func() bool {
		status, found := f.call(t, http.MethodPost, scope+"/search", grace, map[string]any{"q": m.Word})
		hits, _ := found["hits"].([]any)
		return status == http.StatusOK && len(hits) == elements
	}, time.Minute, 200*time.Millisecond, "search finds what sequence has")
	status, secret := f.call(t, http.MethodGet, "/kms/v1/secrets/"+m.SecretName, f.raised(t, m), nil)
	require.Equal(t, http.StatusOK, status, secret)
	require.Equal(t, m.SecretValue, secret["value"])
}

// raised returns a token of the administrator with a second factor. It waits for a code that was not used, as a person does.
func (f *running) raised(t *testing.T, m recorded) string {
	t.Helper()
	admin := f.login(t, "ada", m.AdminPassword)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		code, err := totp.GenerateCode(m.Seed, time.Now())
		require.NoError(t, err)
		status, verified := f.call(t, http.MethodPost, "/twofactor/v1/verify", admin, map[string]any{"code": code})
		if status != http.StatusOK {
			require.True(t, time.Now().Before(deadline), verified)
			<-time.After(time.Until(time.Now().Truncate(30 * time.Second).Add(30 * time.Second)))
			continue
		}
		status, raised := f.call(t, http.MethodPost, "/kms/v1/auth/step-up", admin, map[string]any{"proof": verified["proof"], "resource": "kms"})
		require.Equal(t, http.StatusOK, status, raised)
		return raised["access_token"].(string)
	}
}

// appended creates an element and returns its number.
func (f *running) appended(t *testing.T, m recorded) int {
	t.Helper()
	status, made := f.call(t, http.MethodPost, "/sequence/v1/scopes/"+m.Scope+"/"+m.Type+"/elements", f.login(t, "grace", m.EditorPassword),
		map[string]any{"data": map[string]any{"text": "one more " + m.Word}})
	require.Equal(t, http.StatusCreated, status, made)
	return int(made["number"].(float64))
}

// refusedBy requires that an older program starts no service on the place, says why, and changes nothing there.
func (p place) refusedBy(t *testing.T, program string) {
	t.Helper()
	addresses := map[string]string{}
	for _, word := range words {
		addresses[word] = harness.FreeAddress(t)
	}
	var commands []*exec.Cmd
	for _, word := range words[:4] {
		for _, name := range []string{"serve", "migrate"} {
			cmd := exec.Command(program, name, word)
			cmd.Env = p.settings(t, word, addresses)
			if p.databases == nil && word == "kms" {
				cmd.Env = append(without(cmd.Env, "FOUNTAIN_KMS_ROOT_KEY_FILE"), "FOUNTAIN_KMS_ROOT_KEY_FILE="+filepath.Join(p.dir, "data", "kms", "root.key"))
			}
			commands = append(commands, cmd)
		}
	}
	if p.databases == nil {
		commands = append(commands, exec.Command(program, "up", "--data", filepath.Join(p.dir, "data"), "--addr", addresses["gateway"], "--admin-addr", "127.0.0.1:0"))
	}
	before := p.content(t)
	for _, cmd := range commands {
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%v: %s", cmd.Args, out)
		require.Equal(t, 1, exit.ExitCode(), "%v: %s", cmd.Args, out)
		require.Contains(t, string(out), "database was migrated by a newer release", cmd.Args)
		require.Equal(t, before, p.content(t), cmd.Args)
		t.Logf("%v: %s", cmd.Args[1:], lastLine(out))
	}
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// content returns what the place holds: the hash of each file, and of a dump of each database.
func (p place) content(t *testing.T) map[string]string {
	t.Helper()
	of := map[string]string{}
	require.NoError(t, filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		of[strings.TrimPrefix(path, p.dir)] = hashOf(text)
		return err
	}))
	for word, address := range p.databases {
		dump, err := exec.Command("pg_dump", "--no-owner", address).Output()
		require.NoError(t, err)
		var same []string
		for line := range strings.Lines(string(dump)) {
			if !strings.HasPrefix(line, `\`) { // newer ones of pg_dump write a random word
				same = append(same, line)
			}
		}
		of["database "+word] = hashOf([]byte(strings.Join(same, "")))
	}
	require.NotEmpty(t, of)
	return of
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%d bytes, %s", len(text), hex.EncodeToString(sum[:8]))
}
