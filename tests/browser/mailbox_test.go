//go:build browser

package browser

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mailbox is a mail server on this machine that keeps what it gets, over TLS alone.
type mailbox struct {
	t     *testing.T
	tls   *tls.Config
	mu    sync.Mutex
	mails []string // decoded
}

// newMailbox starts a mailbox, and names it to the families that are started after it.
func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	b := &mailbox{t: t, tls: &tls.Config{Certificates: []tls.Certificate{ownCertificate(t, ca)}, MinVersion: tls.VersionTLS12}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(conn)
		}
	}()
	t.Setenv("FOUNTAIN_TWOFACTOR_SMTP_ADDR", l.Addr().String())
	t.Setenv("FOUNTAIN_TWOFACTOR_SMTP_FROM", "family@example.org")
	t.Setenv("FOUNTAIN_TWOFACTOR_SMTP_CA_FILE", ca)
	return b
}

// serve speaks as much of RFC 5321 as a family needs.
func (b *mailbox) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in, secure := bufio.NewReader(conn), false
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 mailbox ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); {
		case verb == "EHLO" && !secure:
			say("250-mailbox")
			say("250 STARTTLS")
		case verb == "STARTTLS":
			say("220 go")
			secured := tls.Server(conn, b.tls)
			conn, in, secure = secured, bufio.NewReader(secured), true
		case verb == "DATA" && secure:
			say("354 go")
			b.keep(in)
			say("250 kept")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (b *mailbox) keep(in *bufio.Reader) {
	var raw strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		raw.WriteString(line)
	}
	text, _ := io.ReadAll(quotedprintable.NewReader(strings.NewReader(raw.String()))) // what is no such text stays as it is
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, string(text))
}

// nth waits for the mail of this number, the first is 1, and returns it.
func (b *mailbox) nth(n int) (mail string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.mails) >= n {
			mail = b.mails[n-1]
		}
		return mail != ""
	}, patience, 20*time.Millisecond)
	return mail
}

// link is where the mail of this number leads.
func (b *mailbox) link(n int) string {
	b.t.Helper()
	link := regexp.MustCompile(`https?://\S+#[A-Za-z0-9_-]+`).FindString(b.nth(n))
	require.NotEmpty(b.t, link)
	return link
}

// ownCertificate makes a certificate for 127.0.0.1 that is its own authority, and writes that to a file.
func ownCertificate(t *testing.T, caFile string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailbox"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
