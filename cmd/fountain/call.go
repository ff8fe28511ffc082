package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
)

// newToken makes the command that prints a token for other programs.
func newToken() *cobra.Command {
	o := &operator{}
	var raised bool
	cmd := o.command("token NAME", "Print an access token for a service, for use by other programs such as curl", `  curl -H "Authorization: Bearer $(fountain token notes)" http://localhost:8002/notes/v1/notes
  fountain token sequence --output json
  fountain token notes --step-up`, oneArg("a service"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			get := c.Token
			if raised {
				get = c.RaisedToken
			}
			token, err := get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.secret(cmd, map[string]string{"access_token": token, "token_type": "Bearer"}, "Anyone with this token can act as you at "+args[0]+" until it expires"+expiry(token)+":", token)
		})
	cmd.Long = `token prints an access token that is valid for one service only, for a few minutes. With --step-up the token
has a second factor, for operations that require one: the command asks for a code (or reads it from
--code-file), unless one was given in the last five minutes.`
	one := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if raised && os.Getenv("FOUNTAIN_API_KEY") != "" {
			return usagef("--step-up raises the token of who is signed in, and none of an API key: leave FOUNTAIN_API_KEY out")
		}
		return one(cmd, args)
	}
	cmd.Flags().BoolVar(&raised, "step-up", false, "get a token with a second factor, for operations that require one")
	return calling(cmd)
}

// expiry returns the time at which a token expires, as it says itself, or "" if it says none.
func expiry(token string) string {
	said, err := readClaims(token)
	if err != nil || said.Expires == 0 {
		return ""
	}
	return " at " + time.Unix(said.Expires, 0).Local().Format("15:04:05")
}

// calls holds the flags of call.
type calls struct {
	operator
	headers  []string
	bodyFile string
}

func newCall() *cobra.Command {
	o := &calls{}
	cmd := o.command("call METHOD PATH", "Send a request to an adopted service, with your access token for it", `  fountain call GET /notes/v1/notes
  fountain call POST /notes/v1/notes --body-file note.json
  fountain call DELETE /notes/v1/notes/01KBB6Q3Y5W1V9T2ZD0G7M4N8P`, nil, nil)
	cmd.Long = `call sends one request through the gateway, and prints the body of the response. The first segment of the path
is the service. The access token is valid for that service only; where the contract requires a second factor,
the command asks for a one-time code. If the response is an error (status 400 or higher), its body and the reason
are printed on standard error, nothing on standard output, and the exit status is 1.`
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 || !strings.HasPrefix(args[1], "/") {
			return usagef("%s takes a method and a path that begins with /", cmd.CommandPath())
		}
		return nil
	}
	cmd.Flags().StringArrayVar(&o.headers, "header", nil, "request header, NAME:VALUE; may be repeated")
	cmd.Flags().StringVar(&o.bodyFile, "body-file", "", "read the request body from this file, or from standard input with -; its type is JSON unless --header sets another Content-Type")
	cmd.RunE = o.run
	return calling(cmd)
}

func (o *calls) run(cmd *cobra.Command, args []string) error {
	c, err := o.client(o.code)
	if err != nil {
		return err
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(args[1], "/"), "/")
	name, query, _ := strings.Cut(name, "?")
	service := c.Service(name)
	address := service.URL()
	if rest != "" {
		address += "/" + rest
	}
	if query != "" {
		address += "?" + query
	}
	body, err := o.body()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(cmd.Context(), strings.ToUpper(args[0]), address, body)
	if err != nil {
		return usagef("request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range o.headers {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return usagef("--header takes NAME:VALUE")
		}
		req.Header.Set(strings.TrimSpace(key), strings.TrimSpace(value))
	}
	res, err := service.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	refused := fountain.ErrorOf(req.Method+" "+args[1], res, text)
	out := cmd.OutOrStdout()
	if refused != nil { // a program that reads standard output never takes a refusal for an answer
		out = cmd.ErrOrStderr()
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	return refused
}

// maxCallBody limits the request body, in bytes.
const maxCallBody = 16 << 20

func (o *calls) body() (io.Reader, error) {
	if o.bodyFile == "" {
		return nil, nil
	}
	in := io.Reader(os.Stdin)
	if o.bodyFile != "-" {
		opened, err := os.Open(o.bodyFile)
		if err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	text, err := io.ReadAll(io.LimitReader(in, maxCallBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(text) > maxCallBody {
		return nil, errors.New("the body is larger than 16 MiB")
	}
	return bytes.NewReader(text), nil
}
