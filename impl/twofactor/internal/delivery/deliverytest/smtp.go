// Package deliverytest has stand-ins for providers in tests.
package deliverytest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Mail is a mail that an SMTP server has accepted.
type Mail struct {
	From, To string // of the envelope
	Data     string
	TLS      bool
	User     string // base64 of PLAIN
}

// SMTP is a mail server with STARTTLS and a certificate authority of its own.
type SMTP struct {
	Addr   string
	CAFile string

	t        testing.TB
	config   *tls.Config
	mu       sync.Mutex
	mails    []Mail
	behave   Behaviour
	rcpts    int
	sessions int
}

// Behaviour makes a server fail in the ways in which servers do.
type Behaviour struct {
	Down          bool   // connections are closed at once
	NoTLS         bool   // STARTTLS is not offered
	Rcpt          string // the answer to RCPT TO, instead of 250
	HangUpAtQueue bool   // accepts the mail, and closes the connection without an answer
}

// NewSMTP starts a server that ends with the test.
func NewSMTP(t testing.TB) *SMTP {
	t.Helper()
	s := &SMTP{t: t, CAFile: filepath.Join(t.TempDir(), "ca.pem")}
	s.config = &tls.Config{Certificates: []tls.Certificate{certificate(t, s.CAFile)}, MinVersion: tls.VersionTLS12}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.Addr = l.Addr().String()
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// Behave changes how the server behaves.
func (s *SMTP) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave = b
}

// Mails returns the mails that were accepted.
func (s *SMTP) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Recipients returns how many RCPT commands there were, and in how many connections.
func (s *SMTP) Recipients() (rcpts, sessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rcpts, s.sessions
}

func (s *SMTP) now() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return s.behave
}

// serve implements as much of RFC 5321 as a client needs.
func (s *SMTP) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	b := s.now()
	if b.Down {
		return
	}
	var mail Mail
	in := bufio.NewReader(conn)
	say := func(line string) { _, _ = conn.Write([]byte(line + "\r\n")) }
	say("220 test ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-test")
			if !mail.TLS && !b.NoTLS {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go")
			secured := tls.Server(conn, s.config)
			if secured.Handshake() != nil {
				return
			}
			conn, in, mail.TLS = secured, bufio.NewReader(secured), true
		case "AUTH":
			mail.User = strings.TrimPrefix(rest, "PLAIN ")
			say("235 ok")
		case "MAIL":
			mail.From = rest
			say("250 ok")
		case "RCPT":
			s.mu.Lock()
			s.rcpts++
			s.mu.Unlock()
			mail.To = rest
			if b.Rcpt != "" {
				say(b.Rcpt)
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go")
			mail.Data = readData(in)
			s.mu.Lock()
			s.mails = append(s.mails, mail)
			s.mu.Unlock()
			if b.HangUpAtQueue {
				return
			}
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func readData(in *bufio.Reader) string {
	var data strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return data.String()
		}
		data.WriteString(line)
	}
}

// certificate makes a self-signed certificate for 127.0.0.1, and writes it to a file.
func certificate(t testing.TB, caFile string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
