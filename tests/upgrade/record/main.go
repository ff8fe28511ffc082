// Command record makes the data of a release, so that every later one can be held against it:
//
//	go run ./tests/upgrade/record PATH-OF-THE-RELEASES-BINARY OUTPUT-FOLDER
//	go run ./tests/upgrade/record PATH-OF-THE-RELEASES-BINARY OUTPUT-FOLDER POSTGRES-URL
//
// The second form records the services as processes of their own on PostgreSQL, as a dump of each database (needs pg_dump).
//
// It speaks plain HTTP, because this tree's SDK need not understand an older release. What it writes is made up: the root key in it seals
// nothing real.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pquerna/otp/totp"
)

const (
	adminPassword  = "correct horse battery staple"
	editorPassword = "a quiet harbour at dawn"
)

// manifest is what the test must know of the data; tests/upgrade reads it.
type manifest struct {
	RecordedAt                               time.Time
	AdminPassword, EditorPassword, Seed      string
	AdminID, EditorID, DisabledID            string
	LiveKey, RotatedKey, NewKey, RevokedKey  string
	ServiceKey, SecretName, SecretValue      string
	RefreshToken, Scope, Type, FirstID, Word string
	Numbers                                  int
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fatal("usage: record BINARY FOLDER [POSTGRES-URL]")
	}
	m := manifest{RecordedAt: time.Now().UTC(), AdminPassword: adminPassword, EditorPassword: editorPassword}
	dir, err := os.MkdirTemp("", "fountain-record-")
	check(err)
	defer os.RemoveAll(dir)
	check(os.MkdirAll(os.Args[2], 0o755))
	name := "manifest.json"
	if len(os.Args) == 4 {
		name = "postgres.json"
		recordPostgres(os.Args[1], os.Args[2], os.Args[3], dir, &m)
	} else {
		recordSQLite(os.Args[1], os.Args[2], dir, &m)
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	check(err)
	check(os.WriteFile(filepath.Join(os.Args[2], name), append(raw, '\n'), 0o644))
}

func recordSQLite(binary, folder, dir string, m *manifest) {
	data := filepath.Join(dir, "data")
	command := exec.Command(binary, "up", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--issuer", "http://fountain.test")
	out, err := command.StdoutPipe()
	check(err)
	check(command.Start())
	var base string
	_, err = fmt.Fscanf(out, "ready %s\n", &base)
	check(err)
	record(base, data, m)
	check(command.Process.Signal(syscall.SIGTERM))
	check(command.Wait())
	check(exec.Command("tar", "-C", dir, "-czf", filepath.Join(folder, "data.tar.gz"), "data").Run())
}

func record(base, data string, m *manifest) {
	c := client{base: base}
	token, err := os.ReadFile(filepath.Join(data, "kms", "bootstrap.token"))
	check(err)
	m.AdminID = c.do("POST", "/kms/v1/bootstrap/admin", object{"token": strings.TrimSpace(string(token)), "username": "ada", "password": adminPassword})["id"].(string)
	admin := c.login("ada", adminPassword)
	factor := admin.do("POST", "/twofactor/v1/factors/totp", object{"label": "phone"})
	m.Seed = factor["secret"].(string)
	admin.do("POST", "/twofactor/v1/factors/totp/"+factor["factorId"].(string)+"/confirm", object{"code": m.code(-30 * time.Second)})
	proof := admin.do("POST", "/twofactor/v1/verify", object{"code": m.code(0)})["proof"]
	raised := client{base: base, token: admin.do("POST", "/kms/v1/auth/step-up", object{"proof": proof, "resource": "kms"})["access_token"].(string)}

	m.EditorID = raised.do("POST", "/kms/v1/users", object{"username": "grace", "password": editorPassword, "roles": []string{"editor"}})["id"].(string)
	disabled := raised.do("POST", "/kms/v1/users", object{"username": "edsger", "password": editorPassword, "roles": []string{"reader"}})
	m.DisabledID = disabled["id"].(string)
	raised.do("PATCH", "/kms/v1/users/"+m.DisabledID, object{"status": "disabled"}, "If-Match", `"1"`)
	grace := c.login("grace", editorPassword)
	m.RefreshToken = grace.refresh
	key := func() (id, text string) {
		k := grace.do("POST", "/kms/v1/keys", object{"name": "recorded", "ownerKind": "user", "ownerId": m.EditorID, "scopes": []string{"elements:read", "elements:write"}})
		return k["apiKey"].(object)["id"].(string), k["key"].(string)
	}
	_, m.LiveKey = key()
	id, text := key()
	m.RotatedKey = text
	m.NewKey = grace.do("POST", "/kms/v1/keys/"+id+"/rotate", object{"overlapSeconds": 604800})["key"].(string)
	id, m.RevokedKey = key()
	grace.do("DELETE", "/kms/v1/keys/"+id, nil)
	registered := raised.do("POST", "/kms/v1/services", object{"name": "reports", "scopes": []string{"elements:read"}})
	m.ServiceKey = c.do("POST", "/kms/v1/services/enrol", object{"token": registered["enrolment"].(object)["token"]})["key"].(string)
	m.SecretName, m.SecretValue = "reports.database", "the second value"
	for _, value := range []string{"the first value", m.SecretValue} {
		raised.do("PUT", "/kms/v1/secrets/"+m.SecretName, object{"value": value})
	}
	m.Scope, m.Type, m.Word, m.Numbers = "recorded", "line", "lighthouse", 5
	place := "/sequence/v1/scopes/" + m.Scope + "/" + m.Type + "/elements"
	for n := range m.Numbers {
		e := grace.do("POST", place, object{"data": object{"text": fmt.Sprintf("the %s number %d", m.Word, n+1)}})
		if n == 0 {
			m.FirstID = e["id"].(string)
		}
	}
	grace.do("POST", place+"/"+m.FirstID+"/versions", object{"data": object{"text": "the " + m.Word + " again"}}, "If-Match", `"1"`)
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		found := grace.do("POST", "/sequence/v1/scopes/"+m.Scope+"/search", object{"q": m.Word})
		if hits, _ := found["hits"].([]any); len(hits) == m.Numbers {
			return
		}
		if time.Since(begin) > 30*time.Second {
			fatal("search finds not all elements: %v", found)
		}
	}
}

func (m *manifest) code(offset time.Duration) string {
	code, err := totp.GenerateCode(m.Seed, time.Now().Add(offset))
	check(err)
	return code
}

type object = map[string]any

type client struct{ base, token, refresh string }

func (c client) login(username, password string) client {
	got := c.do("POST", "/kms/v1/auth/login", object{"username": username, "password": password})
	return client{c.base, got["access_token"].(string), got["refresh_token"].(string)}
}

// do calls an operation that must succeed.
func (c client) do(method, path string, body any, header ...string) object {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		check(err)
		content = bytes.NewReader(raw)
	}
	u, err := url.Parse(c.base + path)
	check(err)
	req, err := http.NewRequest(method, u.String(), content)
	check(err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(req)
	check(err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	check(err)
	if answer.StatusCode >= 300 {
		fatal("%s %s: %d %s", method, path, answer.StatusCode, raw)
	}
	out := object{}
	if len(raw) > 0 {
		check(json.Unmarshal(raw, &out))
	}
	return out
}

func check(err error) {
	if err != nil {
		fatal("%v", err)
	}
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "record: "+format+"\n", args...)
	os.Exit(1)
}
