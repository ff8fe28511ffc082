package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
	"golang.org/x/text/unicode/norm"

	"github.com/fountainai/fountain/internal/config"
)

// ErrNoTerminal says that there is no terminal to ask at.
var ErrNoTerminal = errors.New("there is no terminal to prompt on")

// Password returns the content of file, or asks for it without echo when file is "".
func Password(prompt, file string) (string, error) {
	if file != "" {
		password, err := config.ReadSecret(file)
		if err != nil {
			return "", fmt.Errorf("password file: %w", err)
		}
		return password, nil
	}
	if !Is(os.Stdin) {
		return "", fmt.Errorf("%w: give the password with --password-file", ErrNoTerminal)
	}
	fmt.Fprint(os.Stderr, prompt)
	text, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(text), nil
}

// MinPassword is the shortest password in characters. The kms refuses shorter ones.
const MinPassword = 12

// errShort refuses a short password with the same text as the kms.
var errShort = fmt.Errorf("the password must have at least %d characters", MinPassword)

// LongEnough returns an error for a password that the kms would refuse as too short. It counts in the same way:
// characters in Unicode's composed form (NFC).
func LongEnough(password string) error {
	if utf8.RuneCountInString(norm.NFC.String(password)) < MinPassword {
		return errShort
	}
	return nil
}

// NewPassword is NewSecret for a password. It refuses a short one before asking for it a second time.
func NewPassword(prompt, file string) (string, error) { return newSecret(prompt, file, LongEnough) }

// NewSecret returns the content of file. If file is "", it asks twice for the new secret, because hidden input may be
// mistyped.
func NewSecret(prompt, file string) (string, error) {
	return newSecret(prompt, file, func(string) error { return nil })
}

func newSecret(prompt, file string, good func(string) error) (string, error) {
	password, err := Password(prompt, file)
	if err == nil {
		err = good(password)
	}
	if err != nil {
		return "", err
	}
	if file != "" {
		return password, nil
	}
	again, err := Password("once more: ", "")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", errors.New("the two differ; nothing was changed")
	}
	return password, nil
}

// Confirm asks whether to continue. Only the whole word yes confirms.
func Confirm(question string) error {
	answer, err := Ask(question + " (yes/no): ")
	if err != nil {
		return err
	}
	if answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// Ask asks for a line, for example a one-time code.
func Ask(prompt string) (string, error) {
	if !Is(os.Stdin) {
		return "", ErrNoTerminal
	}
	fmt.Fprint(os.Stderr, prompt)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}
