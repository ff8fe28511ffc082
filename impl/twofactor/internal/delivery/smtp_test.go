package delivery_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery/deliverytest"
)

// parts returns the decoded parts of a mail by media type.
func parts(t *testing.T, raw string) (mail.Header, map[string]string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	require.NoError(t, err)
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	out := map[string]string{}
	for reader := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			return m.Header, out
		}
		require.NoError(t, err)
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		require.NoError(t, err)
		require.Equal(t, "quoted-printable", part.Header.Get("Content-Transfer-Encoding"))
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		out[kind] = string(text)
	}
}

func TestSMTP_sendsOneMailOverTLS(t *testing.T) {
	s := deliverytest.NewSMTP(t)
	settings := mailSettings(s)
	settings.Username, settings.PasswordFile = "codes", secret(t, "hunter2")
	r := router(t, delivery.Settings{SMTP: settings}, house())
	receipt, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	require.NoError(t, err)
	require.Equal(t, "smtp", receipt.Provider)
	require.NotEmpty(t, receipt.ID)
	mails := s.Mails()
	require.Len(t, mails, 1)
	require.True(t, mails[0].TLS)
	require.Equal(t, "TO:<ada@example.org>", mails[0].To)
	login, err := base64.StdEncoding.DecodeString(mails[0].User)
	require.NoError(t, err)
	require.Equal(t, "\x00codes\x00hunter2", string(login))
	header, body := parts(t, mails[0].Data)
	require.Equal(t, "auto-generated", header.Get("Auto-Submitted"))
	require.Equal(t, "FountainAI: your code for sign-in", header.Get("Subject"))
	require.Contains(t, header.Get("Message-Id"), "dlv_1@")
	for _, kind := range []string{"text/plain", "text/html"} {
		require.Contains(t, body[kind], "012345")
		require.Contains(t, body[kind], "pay 40 EUR to X")
		require.Contains(t, body[kind], "Do not share it")
	}
}

// A code is never sent over the network in clear text, whatever the server offers.
func TestSMTP_sendsNothingWithoutTLS(t *testing.T) {
	s := deliverytest.NewSMTP(t)
	s.Behave(deliverytest.Behaviour{NoTLS: true})
	r := router(t, delivery.Settings{SMTP: mailSettings(s)}, house())
	_, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, false, delivery.Unreachable)
	s.Behave(deliverytest.Behaviour{})
	stranger := mailSettings(s)
	stranger.CAFile = deliverytest.NewSMTP(t).CAFile
	_, err = router(t, delivery.Settings{SMTP: stranger}, house()).Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, false, delivery.Unreachable)
	implicit := mailSettings(s)
	implicit.ImplicitTLS = true
	_, err = router(t, delivery.Settings{SMTP: implicit}, house()).Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, false, delivery.Unreachable)
	require.Empty(t, s.Mails())
	rcpts, _ := s.Recipients()
	require.Zero(t, rcpts)
}

func TestSMTP_tellsPermanentRefusalsFromOthers(t *testing.T) {
	s := deliverytest.NewSMTP(t)
	r := router(t, delivery.Settings{SMTP: mailSettings(s)}, house())
	s.Behave(deliverytest.Behaviour{Rcpt: "550 5.1.1 no ada@example.org here"})
	_, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, true, delivery.Rejected)
	require.NotContains(t, err.Error(), "ada")
	s.Behave(deliverytest.Behaviour{Rcpt: "451 4.3.0 later"})
	_, err = r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, false, delivery.Unreachable)
	s.Behave(deliverytest.Behaviour{HangUpAtQueue: true})
	_, err = r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, false, delivery.Unreachable)
}

// The content of a purpose or an operation stays text: it can't add a header or markup.
func TestSMTP_purposesMakeNeitherHeadersNorMarkup(t *testing.T) {
	s := deliverytest.NewSMTP(t)
	r := router(t, delivery.Settings{SMTP: mailSettings(s)}, house())
	m := message(delivery.Email, "ada@example.org")
	m.Purpose = "sign-in\r\nBcc: eve@example.org"
	_, err := r.Send(t.Context(), m)
	requireFailure(t, err, true, delivery.Rejected)
	require.Empty(t, s.Mails())
	m = message(delivery.Email, "ada@example.org")
	m.Operation = `<script>alert(1)</script>`
	m.Purpose = "zahlen für Jürgen"
	_, err = r.Send(t.Context(), m)
	require.NoError(t, err)
	header, body := parts(t, s.Mails()[0].Data)
	require.NotContains(t, body["text/html"], "<script>")
	require.Contains(t, body["text/html"], "&lt;script&gt;")
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "FountainAI: your code for zahlen für Jürgen", subject)
	m.Target = "ada@example.org\r\nBcc: eve@example.org"
	_, err = r.Send(t.Context(), m)
	requireFailure(t, err, true, delivery.Rejected)
}

func TestRouter_takesTheFallbackAndLeavesAFailingProviderAlone(t *testing.T) {
	first, second := deliverytest.NewSMTP(t), deliverytest.NewSMTP(t)
	first.Behave(deliverytest.Behaviour{Down: true})
	h := house()
	r := router(t, delivery.Settings{SMTP: mailSettings(first), SMTPFallback: mailSettings(second)}, h)
	for i := range 7 {
		receipt, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
		require.NoError(t, err)
		require.Equal(t, "smtp-fallback", receipt.Provider)
		require.Len(t, second.Mails(), i+1)
	}
	_, sessions := first.Recipients()
	require.Equal(t, 5, sessions, "it is left alone after five failures in a row")
	require.True(t, r.Working(delivery.Email))
	second.Behave(deliverytest.Behaviour{Down: true})
	for range 5 {
		_, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
		requireFailure(t, err, false, delivery.Unreachable)
	}
	require.False(t, r.Working(delivery.Email))
	_, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, false, delivery.Resting)
	first.Behave(deliverytest.Behaviour{})
	advance(h, 5)
	require.True(t, r.Working(delivery.Email))
	receipt, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	require.NoError(t, err)
	require.Equal(t, "smtp", receipt.Provider)
}

// failing is a provider that fails when it is told to.
type failing struct{ begun, fail chan struct{} }

func (failing) Name() string { return "failing" }

func (f failing) Send(context.Context, delivery.Message, delivery.Text) (delivery.Receipt, error) {
	f.begun <- struct{}{}
	<-f.fail
	return delivery.Receipt{}, errors.New("down")
}

// A batch that fails at once is one outage: the breaker opens for the first pause, as after five failures in a row.
func TestRouter_restsOnceForMessagesThatFailTogether(t *testing.T) {
	const together = 12
	h, provider := house(), failing{make(chan struct{}, together), make(chan struct{})}
	templates, err := delivery.LoadTemplates("", h.Issuer)
	require.NoError(t, err)
	r, err := delivery.NewRouter(delivery.Routes{Email: []delivery.Sender{provider}, Templates: templates, Clock: h.Clock, Log: h.Log})
	require.NoError(t, err)
	var group sync.WaitGroup
	for range together {
		group.Go(func() {
			if _, err := r.Send(t.Context(), message(delivery.Email, "ada@example.org")); err == nil {
				t.Error("it was sent")
			}
		})
	}
	for range together {
		<-provider.begun
	}
	close(provider.fail)
	group.Wait()
	require.False(t, r.Working(delivery.Email))
	advance(h, 5)
	require.True(t, r.Working(delivery.Email), "the first pause is over")
	_, err = r.Send(t.Context(), message(delivery.Email, "ada@example.org"))
	requireFailure(t, err, false, delivery.Unreachable)
	advance(h, 9)
	require.False(t, r.Working(delivery.Email), "the second is twice as long")
	advance(h, 1)
	require.True(t, r.Working(delivery.Email))
}
