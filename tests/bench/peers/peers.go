package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// peer is something that stands in front of the service.
type peer struct {
	name    string
	command []string
	env     []string
	address string // host:port that it serves
	metrics string // URL of Prometheus metrics of its Go runtime; "": none
}

// upstreamName is the row of the load alone, with nothing before the service.
const upstreamName = "nothing (load and service alone)"

// peers returns all, configured in dir. Each has one core and one worker, speaks plain HTTP/1.1 with keep-alive on both sides, and writes no
// access log, but for the two that decide something.
func peers(dir string, service string, k *kms) ([]*peer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(*repository)
	if err != nil {
		return nil, err
	}
	nginx, haproxy, caddy := newPeer("nginx proxy_pass"), newPeer("haproxy"), newPeer("Caddy reverse_proxy")
	reverse, kin := newPeer("httputil.ReverseProxy"), newPeer("chi, kin, golang-jwt")
	caddyAdmin, reverseAdmin, kinAdmin := freeAddress(), freeAddress(), freeAddress()
	files := map[string]string{
		"nginx.conf":  fmt.Sprintf(nginxConfig, dir, dir, dir, service, nginx.address),
		"haproxy.cfg": fmt.Sprintf(haproxyConfig, haproxy.address, service),
		"Caddyfile":   fmt.Sprintf(caddyConfig, caddyAdmin, caddy.address, service),
		"enrolment":   "the gateway's enrolment token",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	nginx.command = []string{"nginx", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf")}
	haproxy.command = []string{"haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg")}
	caddy.command = []string{filepath.Join(root, "bin", "caddy"), "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile"}
	caddy.env, caddy.metrics = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, metricsAt(caddyAdmin)
	reverse.command, reverse.metrics = []string{program, "reverse", "-listen", reverse.address, "-admin", reverseAdmin, "-upstream", "http://" + service}, metricsAt(reverseAdmin)
	kin.command = []string{program, "kin", "-listen", kin.address, "-admin", kinAdmin, "-upstream", "http://" + service, "-repository", root, "-jwks", k.url + "/kms/v1/.well-known/jwks.json"}
	kin.metrics = metricsAt(kinAdmin)
	return []*peer{nginx, haproxy, caddy, reverse, kin, gateway(filepath.Join(root, "bin", "fountain"), dir, service, k)}, nil
}

func newPeer(name string) *peer { return &peer{name: name, address: freeAddress()} }

func metricsAt(admin string) string { return "http://" + admin + "/metrics" }

// gatewayName is the row of ours.
const gatewayName = "fountain serve gateway"

// gateway is ours, as it is in production, with everything on.
func gateway(program, dir, service string, k *kms) *peer {
	p, admin := newPeer(gatewayName), freeAddress()
	p.command, p.metrics = []string{program, "serve", "gateway"}, metricsAt(admin)
	for name, value := range map[string]string{
		"ADDR": p.address, "ADMIN_ADDR": admin, "DATA_DIR": filepath.Join(dir, "gateway"), "ISSUER": issuer, "ENROL_TOKEN_FILE": filepath.Join(dir, "enrolment"),
		"JWKS_URL": k.url + "/kms/v1/.well-known/jwks.json", "KMS_URL": k.url, "TWOFACTOR_URL": k.url, "SEARCH_URL": k.url, "SEQUENCE_URL": "http://" + service,
		"TRUSTED_PROXIES": "127.0.0.1/32", "DRAIN_DELAY": "10ms",
	} {
		p.env = append(p.env, "FOUNTAIN_GATEWAY_"+name+"="+value)
	}
	return p
}

const nginxConfig = `daemon off;
master_process off;
worker_processes 1;
error_log stderr;
pid %s/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path %s/body;
  proxy_temp_path %s/proxy;
  upstream service { server %s; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen %s;
    location / {
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`

const haproxyConfig = `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind %s
  default_backend service
backend service
  server one %s
`

const caddyConfig = `{
  admin %s
  auto_https off
  persist_config off
  log default {
    level ERROR
  }
}
http://%s {
  reverse_proxy %s
}
`

// wanted reports whether a peer was asked for by -only.
func (p *peer) wanted() bool {
	if *only == "" {
		return true
	}
	for _, name := range strings.Split(*only, ",") {
		if strings.Contains(p.name, name) {
			return true
		}
	}
	return false
}
