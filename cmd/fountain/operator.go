package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

// operator holds what the commands that manage users, services and keys share: the connection, the output format, and
// the source of codes.
type operator struct {
	connection
	output   string // table or json
	codeFile string // file with a one-time code; "-" is standard input, "" asks at the terminal

	unattended atomic.Bool // do not ask the user any more
}

// group makes a command that only contains other commands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, sub := range subs {
		cmd.AddCommand(calling(sub))
	}
	return cmd
}

// unknownCommand suggests the nearest commands.
func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2 // letters that differ
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return usagef("unknown command %q: did you mean %s? %s --help lists them", name, strings.Join(near, " or "), cmd.CommandPath())
	}
	return usagef("unknown command %q; %s --help lists them", name, cmd.CommandPath())
}

// command makes an operator's command. do gets a client that is signed in.
func (o *operator) command(use, short, example string, args cobra.PositionalArgs, do func(cmd *cobra.Command, c *fountain.Client, args []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		if o.output != "table" && o.output != "json" {
			return usagef("--output must be table or json")
		}
		c, err := o.client(o.code)
		if err != nil {
			return err
		}
		return do(cmd, c, args)
	}}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.output, "output", "table", "output format: table or json")
	cmd.Flags().StringVar(&o.codeFile, "code-file", "", "read the one-time code from this file, or from standard input with -; default: prompt for it")
	return cmd
}

// code returns the one-time code that an operation requires.
func (o *operator) code(ctx context.Context, challenge fountain.Challenge) (string, error) {
	if o.unattended.Load() {
		return "", errors.New("the previous code is no longer valid")
	}
	if o.codeFile == "" {
		return askCode(ctx, challenge)
	}
	if challenge.Attempt > 1 {
		refusal := "the code was not accepted; each works once, so wait for the next one"
		if raises(challenge) {
			refusal += " (no authenticator yet? run fountain otp enrol)"
		}
		return "", errors.New(refusal)
	}
	return readShort(o.codeFile)
}

// readShort reads a short text from a file, or from standard input for "-".
func readShort(file string) (string, error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", file, err)
		}
		defer opened.Close()
		in = opened
	}
	raw, err := io.ReadAll(io.LimitReader(in, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// secretFrom reads a secret from a file, from standard input ("-"), or from the terminal without echo.
func secretFrom(file, prompt string) (string, error) {
	if file == "-" {
		return readShort(file)
	}
	return terminal.Password(prompt, file)
}

// newSecretFrom reads a new secret. At the terminal it asks twice.
func newSecretFrom(file, prompt string) (string, error) {
	if file == "-" {
		return readShort(file)
	}
	return terminal.NewSecret(prompt, file)
}

// newPasswordFrom reads a new password. At the terminal it asks twice. It refuses a short password immediately, before
// anything else is asked for or sent.
func newPasswordFrom(file, prompt string) (string, error) {
	if file == "-" {
		password, err := readShort(file)
		if err == nil {
			err = terminal.LongEnough(password)
		}
		return password, err
	}
	return terminal.NewPassword(prompt, file)
}

// filedPassword reads a new password from a file, so that a short one is refused before anything is asked for or sent.
// It returns "" if the password is to be typed.
func filedPassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	return newPasswordFrom(file, "")
}

// print prints a response: as the JSON of the API, or as a table with rows below head.
func (o *operator) print(cmd *cobra.Command, answer any, head []string, rows [][]string) error {
	out := cmd.OutOrStdout()
	if o.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(answer)
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(head, "\t"))
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// secret prints a text that is shown only once. It prints the text alone on standard output and its purpose on standard
// error; as JSON it prints the whole response.
func (o *operator) secret(cmd *cobra.Command, answer any, sentence, text string) error {
	if o.output == "json" {
		return o.print(cmd, answer, nil, nil)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), sentence)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// done reports the success of an operation that returns nothing.
func (o *operator) done(cmd *cobra.Command, sentence string) error {
	if o.output == "json" {
		return o.print(cmd, struct{}{}, nil, nil)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), sentence)
	return err
}

func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func whenOr(t *time.Time, never string) string {
	if t == nil {
		return never
	}
	return when(*t)
}

// me returns the id of the signed-in user.
func me(ctx context.Context, c *fountain.Client) (string, error) {
	token, err := c.Token(ctx, "kms")
	if err != nil {
		return "", err
	}
	who, err := readClaims(token)
	if err != nil {
		return "", err
	}
	return who.Subject, nil
}

// userID finds a user by id or name. "" and "me" are the signed-in user.
func userID(ctx context.Context, c *fountain.Client, name string) (string, error) {
	switch {
	case name == "" || name == "me":
		return me(ctx, c)
	case strings.HasPrefix(name, "usr_"):
		return name, nil
	}
	u, err := userNamed(ctx, c, name)
	if err != nil {
		return "", err
	}
	return u.ID, nil
}

// userNamed finds a user by id or name.
func userNamed(ctx context.Context, c *fountain.Client, name string) (*kms.User, error) {
	if strings.HasPrefix(name, "usr_") {
		return c.KMS.GetUser(ctx, name)
	}
	for u, err := range c.KMS.Users(ctx) {
		if err != nil {
			return nil, err
		}
		if u.Username == strings.ToLower(name) {
			return &u, nil
		}
	}
	return nil, fmt.Errorf("there is no user %q", name)
}

// clientNamed finds a web app by id or name. The name must be unique.
func clientNamed(ctx context.Context, c *fountain.Client, name string) (*kms.WebClient, error) {
	if strings.HasPrefix(name, "cli_") {
		return c.KMS.GetClient(ctx, name)
	}
	var found *kms.WebClient
	for one, err := range c.KMS.Clients(ctx) {
		if err != nil {
			return nil, err
		}
		if one.Name != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("there are several web apps %q; name one by its id", name)
		}
		found = &one
	}
	if found == nil {
		return nil, fmt.Errorf("there is no web app %q", name)
	}
	return found, nil
}

// serviceNamed finds a service by id or name.
func serviceNamed(ctx context.Context, c *fountain.Client, name string) (*kms.Service, error) {
	if strings.HasPrefix(name, "svc_") {
		return c.KMS.GetService(ctx, name)
	}
	for s, err := range c.KMS.Services(ctx) {
		if err != nil {
			return nil, err
		}
		if s.Name == name {
			return &s, nil
		}
	}
	return nil, fmt.Errorf("there is no service %q", name)
}
