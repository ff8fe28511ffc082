// Command make writes the block list to standard output. It reads the passwords from standard input, one per line, the most common first.
// tools/password-list.sh runs it.
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/fountainai/fountain/impl/kms/internal/password/blocklist"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "make block list:", err)
		os.Exit(1)
	}
}

func run() error {
	var passwords []string
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		passwords = append(passwords, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read passwords: %w", err)
	}
	file, count, err := blocklist.Build(passwords)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(file); err != nil {
		return fmt.Errorf("write list: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%d passwords read, %d on the list, %d bytes\n", len(passwords), count, len(file))
	return nil
}
