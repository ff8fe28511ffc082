package main

import (
	"bytes"
	"net"
	"strconv"
	"sync/atomic"
)

const element = `{"id":"act1-line1","scope":"hamlet","elementType":"spokenWord","number":1,"status":"active","version":1,` +
	`"data":{"character":"BERNARDO","text":"Who's there?"},"createdAt":"2026-11-23T10:00:00.000000Z","updatedAt":"2026-11-23T10:00:00.000000Z"}`

// upstream is the service behind every peer: it answers GET with a list of one element and POST with the element, from memory, as the contract
// of sequence has it. It is written on connections, so that it costs little beside the proxies.
type upstream struct {
	net.Listener
	answered atomic.Int64
}

func newUpstream() (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{Listener: listener}
	go u.accept()
	return u, nil
}

func (u *upstream) accept() {
	for {
		conn, err := u.Accept()
		if err != nil {
			return
		}
		go u.serve(conn)
	}
}

var list, created = reply("200 OK", `{"items":[`+element+`]}`), reply("201 Created\r\nETag: \"1\"", element)

func reply(head, body string) []byte {
	return []byte("HTTP/1.1 " + head + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 64<<10)
	for {
		if _, err := readMessage(conn, buffer); err != nil {
			return
		}
		text := list
		if buffer[0] == 'P' {
			text = created
		}
		u.answered.Add(1)
		if _, err := conn.Write(text); err != nil {
			return
		}
	}
}

// readMessage reads one HTTP message, whose length Content-Length says, into the buffer and returns its length. A peer that sends another
// framing is a fault of the set-up, and shows as a stuck round.
func readMessage(conn net.Conn, buffer []byte) (int, error) {
	n := 0
	for {
		got, err := conn.Read(buffer[n:])
		if err != nil {
			return n, err
		}
		n += got
		if end := bytes.Index(buffer[:n], []byte("\r\n\r\n")); end >= 0 && n >= end+4+contentLength(buffer[:end+2]) {
			return n, nil
		}
	}
}

var lengthName = []byte("content-length:")

// contentLength finds the length in a head; names of fields have no case, and haproxy sends them in lower case.
func contentLength(head []byte) int {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\r\n"))
		head = rest
		if len(line) > len(lengthName) && bytes.EqualFold(line[:len(lengthName)], lengthName) {
			length := 0
			for _, digit := range bytes.TrimSpace(line[len(lengthName):]) {
				length = length*10 + int(digit-'0')
			}
			return length
		}
	}
	return 0
}
