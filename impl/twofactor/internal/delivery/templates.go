package delivery

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"
)

//go:embed templates/*.tmpl
var builtIn embed.FS

// The files of the templates. A directory of the operator can replace some of them; for the others the built-in ones are used.
const (
	emailSubject = "email.subject.tmpl"
	emailText    = "email.txt.tmpl"
	emailHTML    = "email.html.tmpl"
	smsText      = "sms.txt.tmpl"

	noticeSubject = "email.notice.subject.tmpl"
	noticeText    = "email.notice.txt.tmpl"
	noticeHTML    = "email.notice.html.tmpl"
	noticeSMS     = "sms.notice.txt.tmpl"

	letterSubject = "email.letter.subject.tmpl"
	letterText    = "email.letter.txt.tmpl"
	letterHTML    = "email.letter.html.tmpl"
)

var templateFiles = []string{
	emailSubject, emailText, emailHTML, smsText, noticeSubject, noticeText, noticeHTML, noticeSMS, letterSubject, letterText, letterHTML,
}

const (
	maxTemplate = 64 << 10 // bytes of a file
	maxSubject  = 200      // bytes, rendered
	maxSMS      = 640      // bytes, rendered: four parts of a long message
	maxMail     = 256 << 10
)

// Text is a rendered message. A webhook gets none, because its receiver writes its own text.
type Text struct {
	Subject string // of a mail: one line
	Plain   string
	HTML    string // of a mail
}

// Templates are the texts of messages.
type Templates struct {
	issuer string
	text   map[string]*texttemplate.Template
	html   map[string]*htmltemplate.Template
}

// fields are the values that a template can use.
type fields struct {
	Issuer    string // name of the sender
	Code      string
	Purpose   string
	Operation string // "" for none
	Life      string // of the code, in words
	Notice    string // key of what has happened; "" in the message of a code
	Happened  string // what has happened as a sentence, also in a letter
	Title     string // of a letter, for its subject
	Link      string // of a letter; "" for none
	Until     string // when the link stops working
	Otherwise string // what to do if a letter was not asked for
}

// LoadTemplates reads the templates of a directory, or of none when dir is "", and the built-in ones for those that are missing there. It renders each once,
// so that faults are found at the start. A file with another name that ends in .tmpl is an error, because it would have no effect.
func LoadTemplates(dir, issuer string) (*Templates, error) {
	t := &Templates{issuer: issuer, text: map[string]*texttemplate.Template{}, html: map[string]*htmltemplate.Template{}}
	if err := checkNames(dir); err != nil {
		return nil, err
	}
	for _, name := range templateFiles {
		source, err := readTemplate(dir, name)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, ".html.tmpl") {
			t.html[name], err = htmltemplate.New(name).Option("missingkey=error").Parse(source)
		} else {
			t.text[name], err = texttemplate.New(name).Option("missingkey=error").Parse(source)
		}
		if err != nil {
			return nil, fmt.Errorf("read template: %w", err)
		}
	}
	for _, channel := range []Channel{Email, SMS} {
		text, err := t.Render(Sample(channel))
		if err != nil {
			return nil, fmt.Errorf("try template: %w", err)
		}
		if !strings.Contains(text.Plain, sampleCode) || channel == Email && !strings.Contains(text.HTML, sampleCode) {
			return nil, fmt.Errorf("a template of %s does not show the code", channel)
		}
		if _, err := t.Render(SampleNotice(channel)); err != nil {
			return nil, fmt.Errorf("try template: %w", err)
		}
	}
	text, err := t.Render(SampleLetter())
	if err != nil {
		return nil, fmt.Errorf("try template: %w", err)
	}
	if !strings.Contains(text.Plain, sampleLink) || !strings.Contains(text.HTML, sampleLink) {
		return nil, errors.New("a template of letters does not show the link")
	}
	return t, nil
}

func checkNames(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read templates: %w", err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".tmpl") && !slices.Contains(templateFiles, entry.Name()) {
			return fmt.Errorf("read templates: %s is none of %s", entry.Name(), strings.Join(templateFiles, ", "))
		}
	}
	return nil
}

func readTemplate(dir, name string) (string, error) {
	if dir != "" {
		file, err := os.OpenInRoot(dir, name)
		if err == nil {
			defer file.Close()
			source, err := io.ReadAll(io.LimitReader(file, maxTemplate+1))
			if err != nil || len(source) > maxTemplate {
				return "", errors.Join(fmt.Errorf("read template %s: it must be a file of at most %d bytes", name, maxTemplate), err)
			}
			return string(source), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read template %s: %w", name, err)
		}
	}
	source, err := builtIn.ReadFile("templates/" + name)
	return string(source), err
}

// sampleCode is the code of previews.
const sampleCode = "012345"

// Sample returns a message for previews and for checking templates.
func Sample(channel Channel) Message {
	return Message{
		ID: "preview", Channel: channel, Subject: "usr_preview", Code: sampleCode, Purpose: "sign-in", Operation: "pay 40 EUR to <Example & Sons>", Life: time.Minute,
	}
}

// SampleNotice returns a notice for previews and for checking templates.
func SampleNotice(channel Channel) Message {
	return Message{ID: "preview", Channel: channel, Subject: "usr_preview", Notice: "factors_reset"}
}

// Render returns the text of a message.
func (t *Templates) Render(m Message) (Text, error) {
	f := fields{Issuer: t.issuer, Code: m.Code, Purpose: m.Purpose, Operation: m.Operation, Life: inWords(m.Life), Notice: m.Notice, Happened: Notices[m.Notice]}
	subject, mail, html, sms := emailSubject, emailText, emailHTML, smsText
	if m.Notice != "" {
		subject, mail, html, sms = noticeSubject, noticeText, noticeHTML, noticeSMS
	}
	if m.Letter != nil {
		about := Letters[m.Letter.About]
		f.Title, f.Happened, f.Otherwise, f.Link, f.Until = about.Title, about.Happened, about.Otherwise, m.Letter.Link, m.Letter.Until.UTC().Format(untilForm)
		subject, mail, html = letterSubject, letterText, letterHTML
	}
	switch m.Channel {
	case SMS:
		plain, err := t.plain(sms, f, maxSMS)
		return Text{Plain: strings.TrimSpace(plain)}, err
	case Email:
		return t.mail(f, subject, mail, html)
	}
	return Text{}, nil
}

func (t *Templates) mail(f fields, subject, plain, html string) (text Text, err error) {
	if text.Subject, err = t.plain(subject, f, maxSubject); err != nil {
		return Text{}, err
	}
	// A header must be one line, whatever a template or a purpose contains.
	text.Subject = strings.TrimSpace(text.Subject)
	if strings.ContainsFunc(text.Subject, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return Text{}, errors.New("the subject of a mail must be one line")
	}
	if text.Plain, err = t.plain(plain, f, maxMail); err != nil {
		return Text{}, err
	}
	var b bytes.Buffer
	if err := t.html[html].Execute(&b, f); err != nil {
		return Text{}, fmt.Errorf("write %s: %w", html, err)
	}
	if b.Len() > maxMail {
		return Text{}, fmt.Errorf("%s is longer than %d bytes", html, maxMail)
	}
	text.HTML = b.String()
	return text, nil
}

func (t *Templates) plain(name string, f fields, most int) (string, error) {
	var b strings.Builder
	if err := t.text[name].Execute(&b, f); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	if b.Len() > most {
		return "", fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return b.String(), nil
}

// inWords returns the life of a code in words.
func inWords(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "1 minute"
	case d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// Preview writes every template with a sample message.
func (t *Templates) Preview(out io.Writer) error {
	for _, p := range []struct {
		sample func(Channel) Message
		files  [4]string
	}{
		{Sample, [4]string{emailSubject, emailText, emailHTML, smsText}},
		{SampleNotice, [4]string{noticeSubject, noticeText, noticeHTML, noticeSMS}},
	} {
		mail, err := t.Render(p.sample(Email))
		if err != nil {
			return err
		}
		sms, err := t.Render(p.sample(SMS))
		if err != nil {
			return err
		}
		for i, text := range []string{mail.Subject, mail.Plain, mail.HTML, sms.Plain} {
			if _, err := fmt.Fprintf(out, "--- %s\n%s\n", p.files[i], text); err != nil {
				return err
			}
		}
	}
	letter, err := t.Render(SampleLetter())
	if err != nil {
		return err
	}
	for i, text := range []string{letter.Subject, letter.Plain, letter.HTML} {
		if _, err := fmt.Fprintf(out, "--- %s\n%s\n", []string{letterSubject, letterText, letterHTML}[i], text); err != nil {
			return err
		}
	}
	return nil
}
