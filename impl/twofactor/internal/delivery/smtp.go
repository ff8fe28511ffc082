package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpclient"
)

const smtpTime = 10 * time.Second // for a whole mail

// SMTP configures a mail server. Every connection is encrypted; otherwise no mail is sent.
type SMTP struct {
	Addr         string `env:"ADDR"`          // host:port; empty: mail is off
	ImplicitTLS  bool   `env:"IMPLICIT_TLS"`  // TLS from the first byte (RFC 8314 section 3.3), instead of STARTTLS, which must succeed
	CAFile       string `env:"CA_FILE"`       // authorities trusted for the server, instead of the system's
	Username     string `env:"USERNAME"`      // empty: the server requires no sign-in
	PasswordFile string `env:"PASSWORD_FILE"` // read for each mail, so that a new password takes effect at once
	From         string `env:"FROM"`          // the sender: name@domain, or Name <name@domain>
}

// Validate checks the settings. It has no side effects.
func (c SMTP) Validate() error {
	if c == (SMTP{}) {
		return nil
	}
	var errs []error
	if _, _, err := c.hostPort(); err != nil {
		errs = append(errs, errors.New("ADDR: must be host:port"))
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		errs = append(errs, errors.New("FROM: must be name@domain or Name <name@domain>"))
	}
	if (c.Username == "") != (c.PasswordFile == "") {
		errs = append(errs, errors.New("USERNAME and PASSWORD_FILE go together"))
	}
	return errors.Join(errs...)
}

func (c SMTP) hostPort() (string, int, error) {
	host, portText, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || host == "" {
		return "", 0, errors.New("not host:port")
	}
	return host, int(port), nil
}

type smtpSender struct {
	name string
	c    SMTP
	host string
	port int
	from *mail.Address
	tls  *tls.Config
}

// NewSMTP returns the sender for a valid configuration. name distinguishes it from others in the log.
func NewSMTP(name string, c SMTP) (Sender, error) {
	s := &smtpSender{name: name, c: c}
	var err error
	if s.host, s.port, err = c.hostPort(); err != nil {
		return nil, fmt.Errorf("address of the mail server: %w", err)
	}
	if s.from, err = mail.ParseAddress(c.From); err != nil {
		return nil, fmt.Errorf("sender of mails: %w", err)
	}
	if s.tls, err = httpclient.TLS(c.CAFile); err != nil {
		return nil, err
	}
	s.tls.ServerName = s.host
	return s, nil
}

// Name implements Sender.
func (s *smtpSender) Name() string { return s.name }

// Send implements Sender. Each mail has a connection of its own: there are few codes, and none waits for the broken connection of another.
func (s *smtpSender) Send(ctx context.Context, m Message, text Text) (Receipt, error) {
	msg, err := s.compose(m, text)
	if err != nil {
		return Receipt{}, permanent(Rejected, err)
	}
	options := []gomail.Option{gomail.WithPort(s.port), gomail.WithTLSConfig(s.tls), gomail.WithTimeout(smtpTime)}
	if s.c.ImplicitTLS {
		options = append(options, gomail.WithSSL())
	} else {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.c.Username != "" {
		password, err := config.ReadSecret(s.c.PasswordFile)
		if err != nil {
			return Receipt{}, temporary(Refused, 0, err)
		}
		options = append(options, gomail.WithUsername(s.c.Username), gomail.WithPassword(password), gomail.WithSMTPAuth(gomail.SMTPAuthPlain))
	}
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return Receipt{}, temporary(Refused, 0, err)
	}
	ctx, cancel := context.WithTimeout(ctx, smtpTime)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return Receipt{}, smtpFailure(err)
	}
	return Receipt{ID: msg.GetMessageID()}, nil
}

// compose makes a mail for one recipient.
func (s *smtpSender) compose(m Message, text Text) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	to, err := mail.ParseAddress(m.Target)
	if err != nil || to.Address != m.Target {
		return nil, ErrAddress
	}
	msg.ToMailAddress(&mail.Address{Address: to.Address})
	msg.Subject(text.Subject)
	msg.SetMessageIDWithValue(m.ID + s.from.Address[lastAt(s.from.Address):])
	msg.SetDate()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 section 5
	msg.SetBodyString(gomail.TypeTextPlain, text.Plain)
	msg.AddAlternativeString(gomail.TypeTextHTML, text.HTML)
	return msg, nil
}

func lastAt(address string) int {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return i
		}
	}
	return 0
}

// smtpFailure returns the failure of a mail; permanent when the server has rejected it for good. It leaves out the server's text, which may contain the address.
func smtpFailure(err error) error {
	var send *gomail.SendError
	if !errors.As(err, &send) {
		return temporary(Unreachable, 0, errors.New("the mail server can't be reached, or does not support TLS"))
	}
	cause := fmt.Errorf("the mail server answered %d", send.ErrorCode())
	switch {
	case send.ErrorCode() >= 500 && send.Reason == gomail.ErrSMTPMailFrom: // about the sender, not about the recipient
		return temporary(Refused, 0, cause)
	case send.ErrorCode() >= 500:
		return permanent(Rejected, cause)
	case send.ErrorCode() >= 400:
		return temporary(Unreachable, 0, cause)
	}
	return temporary(Unreachable, 0, errors.New("the mail server ended the conversation"))
}
