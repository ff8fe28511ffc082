//go:build compose

package compose

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// checkPublishedPorts checks that the container engine has opened only Caddy's two ports on this machine, on the loopback address.
func (s *stack) checkPublishedPorts() {
	s.t.Helper()
	inside := map[string]bool{}
	for _, c := range s.containers() {
		for _, on := range c.NetworkSettings.Networks {
			inside[on.IPAddress] = on.IPAddress != ""
		}
		for port, published := range c.NetworkSettings.Ports {
			for _, p := range published {
				require.True(s.t, c.Name == "/"+s.project+"-caddy-1" && p.HostIP == "127.0.0.1", "%s publishes %s at %s:%s", c.Name, port, p.HostIP, p.HostPort)
			}
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(s.t, err)
	var open []string
	for _, file := range commands {
		raw, err := os.ReadFile(file)
		if err != nil { // it has ended
			continue
		}
		args := strings.Split(string(raw), "\x00")
		value := func(flag string) string {
			if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
				return args[i+1]
			}
			return ""
		}
		if filepath.Base(args[0]) == "docker-proxy" && inside[value("-container-ip")] {
			open = append(open, value("-host-ip")+":"+value("-host-port"))
		}
	}
	slices.Sort(open)
	want := []string{"127.0.0.1:" + s.https, "127.0.0.1:" + s.http}
	slices.Sort(want)
	require.Equal(s.t, want, slices.Compact(open), "ports that the engine holds open for the stack")
	for _, port := range []string{s.https, s.http} {
		connection, err := net.DialTimeout("tcp", net.JoinHostPort(outboundAddress(s.t), port), 3*time.Second)
		if err == nil {
			connection.Close()
		}
		require.Error(s.t, err, "port %s is open to other machines", port)
	}
}

// outboundAddress returns the address of this machine that other machines see.
func outboundAddress(t require.TestingT) string {
	connection, err := net.Dial("udp", "192.0.2.1:9") // sends nothing
	require.NoError(t, err, "this machine has a route to other machines")
	defer connection.Close()
	host, _, err := net.SplitHostPort(connection.LocalAddr().String())
	require.NoError(t, err)
	return host
}

// reaches returns the addresses to which a container on the network can connect. All are tried concurrently, since an unreachable one takes three seconds.
func (s *stack) reaches(network string, addresses []string) (reached []string) {
	s.t.Helper()
	const try = `for at in "$@"; do { busybox nc -w 3 "${at%:*}" "${at##*:}" </dev/null >/dev/null 2>&1 && echo "$at"; } & done; wait; echo tried`
	args := []string{"run", "--rm", "--pull", "never", "--network", s.project + "_" + network, "--entrypoint", "busybox", "caddy:2", "sh", "-c", try, "sh"}
	lines := strings.Fields(s.docker(append(args, addresses...)...))
	require.NotEmpty(s.t, lines)
	require.Equal(s.t, "tried", lines[len(lines)-1], "the container runs, and ends")
	return lines[:len(lines)-1]
}

// startExternalServer starts a server that containers see as another machine, in its own network namespace, and returns its address.
func (s *stack) startExternalServer() string {
	s.t.Helper()
	name := "fp" + s.project[len(s.project)-8:]
	s.out("ip", "netns", "add", name)
	s.t.Cleanup(func() { s.out("ip", "netns", "del", name) })
	s.out("ip", "link", "add", name, "type", "veth", "peer", "name", name+"o", "netns", name) // ends with the namespace
	s.out("ip", "addr", "add", "198.51.100.1/30", "dev", name)
	s.out("ip", "link", "set", name, "up")
	for _, args := range [][]string{{"addr", "add", "198.51.100.2/30", "dev", name + "o"}, {"link", "set", name + "o", "up"}, {"route", "add", "default", "via", "198.51.100.1"}} {
		s.out("ip", append([]string{"-n", name}, args...)...)
	}
	const address = "198.51.100.2:8080"
	server := s.command("ip", "netns", "exec", name, "busybox", "httpd", "-f", "-p", address, "-h", s.t.TempDir())
	require.NoError(s.t, server.Start())
	s.t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(s.t, func() bool {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		return connection.Close() == nil
	}, 30*time.Second, 50*time.Millisecond, "the other machine answers")
	return address
}

// checkNetworkIsolation tries to connect from a container on each network to every address. Only the allowed ones must be reachable; they also show that the
// check works.
func (s *stack) checkNetworkIsolation() {
	s.t.Helper()
	external := s.startExternalServer()
	data, backend, edge := s.address("kms", "data")+":8003", s.address("kms", "backend")+":8003", s.address("gateway", "edge")+":8002"
	metrics := s.address("kms", "admin") + ":9003"
	tried := 0
	for network, mayReach := range map[string][]string{"edge": {edge, external}, "backend": {backend}, "data": {data}, "admin": {metrics}} {
		all := []string{edge, backend, data, metrics, external}
		require.ElementsMatch(s.t, mayReach, s.reaches(network, all), "from the network %s", network)
		tried += len(all)
	}
	s.t.Logf("%d connections between networks tried: exactly those that the compose file allows succeeded", tried)
}

// checkRequestLimits sends requests to Caddy's port that must be refused: too large ones, and one for another host.
func (s *stack) checkRequestLimits() {
	s.t.Helper()
	for request, status := range map[string]int{
		"POST /kms/v1/auth/login HTTP/1.1\r\nHost: " + s.site + "\r\nContent-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n{": 413,
		"GET / HTTP/1.1\r\nHost: " + s.site + "\r\nX-Filler: " + strings.Repeat("a", 80<<10) + "\r\n\r\n":                                      431,
		"GET /gateway/v1/health HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n":                                                                   421,
		"GET /gateway/v1/health HTTP/1.1\r\nHost: " + s.site + "\r\n\r\n":                                                                      200,
	} {
		connection, err := tls.Dial("tcp", "127.0.0.1:"+s.https, &tls.Config{RootCAs: s.roots, ServerName: "localhost"})
		require.NoError(s.t, err)
		require.NoError(s.t, connection.SetDeadline(time.Now().Add(30*time.Second)))
		_, err = connection.Write([]byte(request))
		require.NoError(s.t, err)
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		require.NoError(s.t, err, "%.60s", request)
		require.Equal(s.t, status, answer.StatusCode, "%.60s", request)
		answer.Body.Close()
		connection.Close()
	}
}

// collectSecrets adds the secrets that the services have created to known.
func (s *stack) collectSecrets(services ...string) {
	s.t.Helper()
	root := s.file("kms", "/root-key/root.key")
	s.known["root key"], s.known["root key in hex"], s.known["root key in base64"] = root, hex.EncodeToString([]byte(root)), base64.StdEncoding.EncodeToString([]byte(root))
	for _, service := range services {
		var credential struct{ Key string }
		require.NoError(s.t, json.Unmarshal([]byte(s.file(service, "/data/credential.json")), &credential))
		s.known["key of "+service] = credential.Key
	}
}

// secretPatterns match texts that must not be in any log: keys, tokens and passwords by their format.
var secretPatterns = regexp.MustCompile(`fk_(live|test)_[A-Za-z0-9]{20,}|et_[A-Za-z0-9_-]{40,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ|postgres://[a-z]+:[^@ ]+@|PRIVATE KEY`)

// checkNoSecrets checks that no known secret is in the logs of the containers, their inspection by the engine, the resolved compose file or the image.
func (s *stack) checkNoSecrets() {
	s.t.Helper()
	logs := s.try("logs", "--no-color")
	for _, word := range []string{`"service":"kms"`, `"service":"twofactor"`, `"status":201`, "handled request"} {
		require.Contains(s.t, logs, word, "these are the logs")
	}
	var ids []string
	for _, c := range s.containers() {
		ids = append(ids, strings.TrimPrefix(c.Name, "/"))
	}
	texts := map[string]string{"the logs": logs, "the inspection of the containers": s.docker(append([]string{"inspect"}, ids...)...), "the resolved compose file": s.run("config")}
	require.Contains(s.t, texts["the inspection of the containers"], "FOUNTAIN_KMS_ROOT_KEY_FILE=/root-key/root.key", "these are the environments")
	image := s.docker("save", s.inspect("kms").Config.Image) // its layers are not compressed
	require.Contains(s.t, image, "BEGIN CERTIFICATE", "the files of the image can be read in it")
	for what, secret := range s.known {
		require.False(s.t, strings.Contains(image, secret), "the image: %s", what)
	}
	for where, text := range texts {
		for what, secret := range s.known {
			require.GreaterOrEqual(s.t, len(secret), 16, what)
			require.False(s.t, strings.Contains(text, secret), "%s: %s", where, what)
		}
		if at := secretPatterns.FindStringIndex(text); at != nil {
			require.Fail(s.t, "a text with the format of a secret", "%s: %.6s... after %q", where, text[at[0]:at[1]], text[max(0, at[0]-80):at[0]])
		}
	}
	s.t.Logf("%d secrets are not in %d bytes of logs, %d of the engine's inspection, %d of the compose file, %d of the image", len(s.known), len(logs),
		len(texts["the inspection of the containers"]), len(texts["the resolved compose file"]), len(image))
}
