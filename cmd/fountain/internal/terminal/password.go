package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/fountainai/fountain/internal/config"
)

// ErrNoTerminal says that there is nobody to ask.
var ErrNoTerminal = errors.New("there is no terminal to ask at")

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

// NewPassword returns the content of file, or asks twice for a password that nobody has typed before: what is typed unseen may be mistyped.
func NewPassword(prompt, file string) (string, error) {
	password, err := Password(prompt, file)
	if err != nil || file != "" {
		return password, err
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

// Confirm asks whether to go on, which only the whole word yes says.
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
