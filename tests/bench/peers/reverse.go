package main

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveReverse is a peer: httputil.ReverseProxy, with a transport that keeps enough connections.
func serveReverse() error {
	proxy, err := reverseProxy(*behind)
	if err != nil {
		return err
	}
	go serveMetrics()
	return (&http.Server{Addr: *listenAt, Handler: proxy, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe()
}

func reverseProxy(to string) (*httputil.ReverseProxy, error) {
	target, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext:  (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			MaxIdleConns: 1024, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
	}, nil
}

func serveMetrics() {
	server := &http.Server{Addr: *adminAt, Handler: promhttp.Handler(), ReadHeaderTimeout: 5 * time.Second}
	_ = server.ListenAndServe() // until the process ends; who asks for the metrics notices when it failed
}
