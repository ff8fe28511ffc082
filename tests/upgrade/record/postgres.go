package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver
)

// words are the services, the one that the others wait for first.
var words = []string{"kms", "twofactor", "search", "sequence", "gateway"}

// recordPostgres runs each service as a process on a database of its own, and dumps the databases, the data directories and the root key into the folder.
func recordPostgres(binary, folder, server, dir string, m *manifest) {
	addresses, databases := map[string]string{}, map[string]string{}
	for _, word := range words {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		addresses[word] = l.Addr().String()
		check(l.Close())
	}
	root := filepath.Join(dir, "root.key")
	check(exec.Command(binary, "keygen", root).Run())
	check(os.Mkdir(filepath.Join(dir, "enrol"), 0o700))
	var processes []*exec.Cmd
	for _, word := range words {
		env := settings(word, dir, addresses)
		if word != "gateway" {
			databases[word] = database(server, word)
			file := filepath.Join(dir, word+".url")
			check(os.WriteFile(file, []byte(databases[word]), 0o600))
			env["DATABASE_URL_FILE"] = file
		}
		if word == "kms" {
			env["ROOT_KEY_FILE"], env["ENROL_DIR"] = root, filepath.Join(dir, "enrol")
		}
		process := exec.Command(binary, "serve", word)
		process.Env, process.Stderr = os.Environ(), os.Stderr
		for name, value := range env {
			process.Env = append(process.Env, "FOUNTAIN_"+strings.ToUpper(word)+"_"+name+"="+value)
		}
		check(process.Start())
		processes = append(processes, process)
	}
	for _, word := range words {
		waitReady("http://" + addresses[word] + "/" + word + "/v1/ready")
	}
	record("http://"+addresses["gateway"], filepath.Join(dir, "data"), m)
	for _, process := range processes {
		check(process.Process.Signal(syscall.SIGTERM))
		check(process.Wait())
	}
	for word, address := range databases {
		dump(address, filepath.Join(folder, word+".sql.gz"))
		drop(server, address)
	}
	check(exec.Command("tar", "-C", dir, "-czf", filepath.Join(folder, "postgres-data.tar.gz"), "data").Run())
	key, err := os.ReadFile(root)
	check(err)
	check(os.WriteFile(filepath.Join(folder, "postgres-root.key"), key, 0o600))
}

func settings(word, dir string, addresses map[string]string) map[string]string {
	kms := "http://" + addresses["kms"]
	env := map[string]string{
		"ADDR": addresses[word], "ADMIN_ADDR": "127.0.0.1:0", "DATA_DIR": filepath.Join(dir, "data", word), "ISSUER": "http://fountain.test",
	}
	if word == "kms" {
		return env
	}
	env["KMS_URL"], env["JWKS_URL"] = kms, kms+"/kms/v1/.well-known/jwks.json"
	env["ENROL_TOKEN_FILE"] = filepath.Join(dir, "enrol", word, "token") // 0.1's gateway has no credential, and does not read it
	if word == "sequence" || word == "gateway" {
		env["SEARCH_URL"] = "http://" + addresses["search"]
	}
	if word == "gateway" {
		env["TWOFACTOR_URL"], env["SEQUENCE_URL"] = "http://"+addresses["twofactor"], "http://"+addresses["sequence"]
	}
	return env
}

// database makes an empty database on the server and returns its URL.
func database(server, word string) string {
	db, err := sql.Open("pgx", server)
	check(err)
	defer db.Close()
	name := fmt.Sprintf("record_%s_%d", word, time.Now().UnixNano())
	_, err = db.Exec("CREATE DATABASE " + name)
	check(err)
	u, err := url.Parse(server)
	check(err)
	u.Path = "/" + name
	return u.String()
}

// drop removes a database that database made.
func drop(server, address string) {
	db, err := sql.Open("pgx", server)
	check(err)
	defer db.Close()
	u, err := url.Parse(address)
	check(err)
	_, err = db.Exec("DROP DATABASE " + strings.TrimPrefix(u.Path, "/"))
	check(err)
}

func waitReady(address string) {
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if answer, err := http.Get(address); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Since(begin) > time.Minute {
			fatal("%s is not ready", address)
		}
	}
}

// dump writes a database as SQL that any later PostgreSQL takes.
func dump(address, path string) {
	out, err := exec.CommandContext(context.Background(), "pg_dump", "--no-owner", "--no-privileges", "--inserts", address).Output()
	check(err)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err = writer.Write(out)
	check(err)
	check(writer.Close())
	check(os.WriteFile(path, packed.Bytes(), 0o644))
}
