package main

import (
	"fmt"
	"strconv"
	"strings"
)

// callers is how many users send the requests, each from an address of their own (X-Forwarded-For, which the gateway is told to believe of
// this machine): the contract lets one user and one address send 1,000 requests a second, and a load test shall not be what meets that.
const callers = 64

// kind is what is sent: a GET with two parameters, or a POST with a body of 300 bytes.
type kind string

const (
	get  kind = "GET"
	post kind = "POST"
)

var kinds = []kind{get, post}

const elementsPath = "/sequence/v1/scopes/hamlet/spokenWord/elements"

// body is 300 bytes long.
var body = func() string {
	head, tail := `{"data":{"character":"BERNARDO","act":1,"scene":1,"tags":["night","guard"],"text":"`, `"}}`
	return head + strings.Repeat("x", 300-len(head)-len(tail)) + tail
}()

// texts returns one request of each caller, as it goes over the wire to a peer at host:port.
func texts(k kind, to string, tokens []string) []string {
	var out []string
	for i, token := range tokens {
		target, rest := elementsPath+"?limit=20&status=active", "\r\n"
		if k == post {
			target = elementsPath
			rest = "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
		}
		out = append(out, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json\r\nX-Forwarded-For: 10.1.%d.%d\r\nAuthorization: Bearer %s\r\n%s",
			k, target, to, i/250, 1+i%250, token, rest))
	}
	return out
}
