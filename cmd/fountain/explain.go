package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/explain"
	"github.com/fountainai/fountain/internal/id"
)

// maxExplainedBody limits the request body, in bytes. It is more than any contract accepts.
const maxExplainedBody = 64 << 20

// explainCall holds the flags of explain.
type explainCall struct {
	connection
	output    string // table or json
	headers   []string
	bodyFile  string
	tokenFile string
	asMe      bool
	logFile   string
	contract  string // file with the contract of an adopted service
	adopted   bool   // read that contract from the kms
	document
}

func newExplain() *cobra.Command {
	o := &explainCall{}
	cmd := &cobra.Command{
		Use:   "explain METHOD URL | REQUEST-ID",
		Short: "Explain which checks apply to a request, where the contract defines them, and which one refuses it",
		Long: `explain METHOD URL shows, in the order of the gateway, what each check requires of the request, the line of
the contract that defines it, and the result. It uses the contracts in this program, with --contract also that
of an adopted service, and sends no request. With --adopted, administrators get the contract in force from the
kms. Only path and query of the URL are used. A check stays undecided if its input is not given (a token, a
body), and checks that depend on the running gateway are marked. A token is only decoded, not verified.

explain req_... shows what the log contains about a request: the lines of gateway and services, and the check
that refused it. The log is read from --log or from standard input.

The exit status is 0 if no check refuses or the request was found, and 1 if a check refuses.`,
		Example: `  fountain explain GET '/sequence/v1/scopes/hamlet/spokenWord/elements?limit=500'
  fountain explain POST /kms/v1/users --as-me --body-file user.json --header Content-Type:application/json
  fountain explain DELETE /notes/v1/notes/1 --contract notes.yaml --as-me
  fountain explain GET /notes/v1/notes --adopted
  fountain explain req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P --log gateway.log`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usagef("%s takes a method and a URL, or the id of a request", cmd.CommandPath())
			}
			return nil
		},
		RunE: o.run,
	}
	o.connection.flags(cmd)
	cmd.Flags().StringVar(&o.contract, "contract", "", "OpenAPI document of an adopted service, whose operations can be explained too")
	cmd.Flags().BoolVar(&o.adopted, "adopted", false, "the first segment of the path is an adopted service; get its contract in force from the kms (for administrators)")
	o.document.flags(cmd)
	cmd.Flags().StringVar(&o.output, "output", "table", "output format: table or json")
	cmd.Flags().StringArrayVar(&o.headers, "header", nil, "request header, NAME:VALUE; may be repeated")
	cmd.Flags().StringVar(&o.bodyFile, "body-file", "", "read the request body from this file, or from standard input with -")
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "read the access token or API key from this file, or from standard input with -")
	cmd.Flags().BoolVar(&o.asMe, "as-me", false, "use an access token of the signed-in user, requested from the gateway")
	cmd.Flags().StringVar(&o.logFile, "log", "", "log of gateway and services as JSON lines, to find a request id in; default: standard input")
	return cmd
}

func (o *explainCall) run(cmd *cobra.Command, args []string) error {
	if o.output != "table" && o.output != "json" {
		return usagef("--output must be table or json")
	}
	aboutLog := cmd.Flags().Changed("log")
	for _, name := range []string{"header", "body-file", "token-file", "as-me", "adopted"} {
		if len(args) == 1 && cmd.Flags().Changed(name) {
			return usagef("--%s goes with a method and a URL", name)
		}
	}
	if len(args) == 1 {
		e, err := o.explainer(cmd, "")
		if err != nil {
			return err
		}
		return o.story(cmd, e, args[0])
	}
	if aboutLog {
		return usagef("--log goes with the id of a request")
	}
	return o.request(cmd, args[0], args[1])
}

// explainer returns an explainer for the FountainAI contracts, and for the contract of an adopted service if one is
// given or the target belongs to one.
func (o *explainCall) explainer(cmd *cobra.Command, target string) (*explain.Explainer, error) {
	if o.contract != "" && o.adopted {
		return nil, usagef("--adopted does not go with --contract")
	}
	if o.contract == "" && (o.name != "" || len(o.with)+len(o.open) > 0) {
		return nil, usagef("--name, --with and --public go with --contract")
	}
	if o.contract == "" && !o.adopted {
		return explain.New()
	}
	a, err := o.adoption(cmd, target)
	if err != nil {
		return nil, err
	}
	c, _, err := compiled(a)
	if err != nil {
		return nil, err
	}
	return explain.New(c)
}

// adoption reads the contract of the adopted service from the given file or from the kms.
func (o *explainCall) adoption(cmd *cobra.Command, target string) (contract.Adoption, error) {
	if o.contract != "" {
		return o.read(o.contract)
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	name, _, _ = strings.Cut(name, "?")
	c, err := o.client(askCode)
	if err != nil {
		return contract.Adoption{}, err
	}
	return inForce(cmd.Context(), c, name)
}

// request explains a method and a URL.
func (o *explainCall) request(cmd *cobra.Command, method, url string) error {
	if method == "" || strings.ContainsFunc(method, breaking) {
		return usagef("METHOD must be one word such as GET")
	}
	target, err := targetOf(url)
	if err != nil {
		return err
	}
	e, err := o.explainer(cmd, target)
	if err != nil {
		return err
	}
	r := explain.Request{Method: method, Target: target, Now: time.Now()}
	if r.Header, err = headersOf(o.headers); err != nil {
		return err
	}
	if o.bodyFile == "-" && o.tokenFile == "-" || o.asMe && o.tokenFile != "" {
		return usagef("--token-file goes neither with --as-me nor, from standard input, with --body-file from there")
	}
	if o.bodyFile != "" {
		if r.Body, err = readBodyFile(o.bodyFile); err != nil {
			return err
		}
	}
	if r.Token, err = o.token(cmd, e, method, target); err != nil {
		return err
	}
	said := e.Explain(r)
	if o.output == "json" {
		err = printJSON(cmd.OutOrStdout(), said)
	} else {
		err = printExplanation(cmd.OutOrStdout(), said)
	}
	if err == nil && said.Verdict == explain.Refused {
		err = fmt.Errorf("the gateway refuses this request: %d %s, by %s", said.Answer.Status, said.Answer.Code, said.RefusedBy)
		if said.RefusedBy == "route" && o.contract == "" && !o.adopted {
			err = fmt.Errorf("%w; for an adopted service, pass its document with --contract FILE, or read it from the kms with --adopted", err)
		}
	}
	return err
}

// breaking reports whether a character ends a word in the first lines of a request.
func breaking(r rune) bool { return r <= ' ' || r == 0x7f }

// targetOf returns the path and query of a URL as a client sends them.
func targetOf(url string) (string, error) {
	target := url
	if _, rest, absolute := strings.Cut(url, "://"); absolute && !strings.HasPrefix(url, "/") {
		at := strings.IndexAny(rest, "/?#")
		if at < 0 {
			at = len(rest)
		}
		if target = rest[at:]; !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
	}
	target, _, _ = strings.Cut(target, "#")
	if !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, breaking) {
		return "", usagef("URL must be http://host/path or /path, without spaces")
	}
	return target, nil
}

// headersOf parses NAME:VALUE pairs. It refuses secret headers, which do not belong on a command line.
func headersOf(given []string) (http.Header, error) {
	h := http.Header{}
	for _, one := range given {
		name, value, found := strings.Cut(one, ":")
		value = strings.TrimSpace(value)
		if !found || name == "" || strings.ContainsFunc(name, breaking) || strings.ContainsAny(value, "\r\n") {
			return nil, usagef("--header must be NAME:VALUE")
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "Authorization":
			return nil, usagef("a token cannot be an argument: use --token-file")
		case "X-Otp":
			return nil, usagef("a code cannot be an argument: it is only checked when it is redeemed, so it would explain nothing")
		}
		h.Add(name, value)
	}
	return h, nil
}

func readBodyFile(file string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	body, err := io.ReadAll(io.LimitReader(in, maxExplainedBody+1))
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	if len(body) > maxExplainedBody {
		return nil, errors.New("the body is larger than any operation accepts")
	}
	return body, nil
}

// token returns the token for the request, or "" if none was given.
func (o *explainCall) token(cmd *cobra.Command, e *explain.Explainer, method, target string) (string, error) {
	switch {
	case o.tokenFile == "-":
		return readShort(o.tokenFile)
	case o.tokenFile != "":
		token, err := config.ReadSecret(o.tokenFile)
		if err != nil {
			return "", fmt.Errorf("token file: %w", err)
		}
		return token, nil
	case !o.asMe:
		return "", nil
	}
	path, _, _ := strings.Cut(target, "?")
	op := e.Operation(method, path)
	if op == nil {
		return "", nil // no operation needs it
	}
	c, err := o.client(askCode)
	if err != nil {
		return "", err
	}
	return c.Token(cmd.Context(), op.Word)
}

// story explains a past request from the log.
func (o *explainCall) story(cmd *cobra.Command, e *explain.Explainer, requestID string) error {
	if !id.Valid("req", requestID) {
		return usagef("%s takes a method and a URL, or the id of a request (req_...)", cmd.CommandPath())
	}
	in := io.Reader(os.Stdin)
	switch {
	case o.logFile != "" && o.logFile != "-":
		opened, err := os.Open(o.logFile)
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		defer opened.Close()
		in = opened
	case terminal.Is(os.Stdin):
		return usagef("%s needs the log: --log FILE, or on standard input", cmd.CommandPath())
	}
	s, err := e.ReadLog(in, requestID)
	if err != nil {
		return err
	}
	if len(s.Lines) == 0 {
		return fmt.Errorf("the log has no line of %s%s", requestID, unread(s))
	}
	if o.output == "json" {
		return printJSON(cmd.OutOrStdout(), s)
	}
	return printStory(cmd.OutOrStdout(), s)
}

func unread(s *explain.Story) string {
	if s.Unread == 0 {
		return ""
	}
	return fmt.Sprintf("; %d lines are too long or not JSON and were skipped", s.Unread)
}

func printJSON(out io.Writer, answer any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

func printExplanation(out io.Writer, x *explain.Explanation) error {
	if x.OperationID != "" {
		fmt.Fprintf(out, "%s %s is %s of %s (%s)\n", x.Method, x.Route, x.OperationID, x.Service, x.Origin)
	}
	if t := x.Token; t != nil {
		fmt.Fprintf(out, "the token, as it says and not verified: %s %s for %s, scopes %s, roles %s, acr %s, ends %s\n", t.Principal, plain(t.Subject),
			orNone(t.Audience), orNone(t.Scopes), orNone(t.Roles), orNone([]string{t.ACR}), when(t.Expires))
	}
	var drawn bytes.Buffer
	table := tabwriter.NewWriter(&drawn, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "CHECK\tVERDICT\tWHERE\tWHAT\tREQUIRES")
	for _, c := range x.Checks {
		for i, line := range linesOf(c) {
			head := "\t"
			if i == 0 {
				head = c.Name + "\t" + string(c.Verdict)
			}
			if i == 0 && c.Name == x.RefusedBy {
				head = c.Name + "\tREFUSED" // as the client sees it
			}
			fmt.Fprintln(table, head+"\t"+line)
		}
	}
	_ = table.Flush() // writes to memory, which cannot fail
	for line := range strings.Lines(drawn.String()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
	last := map[explain.Verdict]string{
		explain.Passes:    "No check of the contract refuses the request.",
		explain.Undecided: "No check refuses the request as described.",
		explain.Refused:   "The client gets the answer of the check in capitals.",
	}
	_, err := fmt.Fprintln(out, last[x.Verdict])
	return err
}

// linesOf formats a check as lines of where, what and requires. It returns at least one line.
func linesOf(c explain.Check) []string {
	var lines []string
	for _, d := range c.Demands {
		lines = append(lines, where(d)+"\t"+d.What+"\t"+d.Requires)
	}
	say := func(format string, args ...any) { lines = append(lines, "\t\t"+fmt.Sprintf(format, args...)) }
	if a := c.Answer; a != nil {
		say("-> %d %s: %s", a.Status, a.Code, a.Detail)
		for _, f := range a.Errors {
			say("-> %s %s (%s): %s", f.In, plain(f.Pointer), f.Keyword, plain(f.Message))
		}
		if a.Truncated {
			say("-> and more")
		}
		if a.Allow != "" {
			say("-> Allow: %s", a.Allow)
		}
	}
	if c.Note != "" {
		say("-> %s", plain(c.Note))
	}
	if len(lines) == 0 {
		return []string{"\t\t"}
	}
	return lines
}

func where(d explain.Demand) string {
	if d.Default {
		return "default"
	}
	return d.Origin
}

func orNone(words []string) string {
	if text := strings.Join(words, " "); text != "" {
		return plain(text)
	}
	return "none"
}

func printStory(out io.Writer, s *explain.Story) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tSERVICE\tLEVEL\tWHAT")
	for _, l := range s.Lines {
		fmt.Fprintln(table, strings.Join([]string{l.Time.Format("15:04:05.000000"), plain(l.Service), plain(strings.ToLower(l.Level)), describeLine(l)}, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if s.Dropped > 0 {
		fmt.Fprintf(out, "%d more lines are not shown\n", s.Dropped)
	}
	if s.Unread > 0 {
		fmt.Fprintln(out, strings.TrimPrefix(unread(s), "; "))
	}
	if r := s.Refusal; r != nil {
		by := "the check " + plain(r.RefusedBy)
		if r.RefusedBy == "" {
			by = "what comes after the checks"
		}
		fmt.Fprintf(out, "refused by %s of %s: %d %s\n", by, orNone([]string{r.Service}), r.Status, plain(r.Code))
		if r.Origin != "" {
			fmt.Fprintf(table, "  %s\toperation\t%s\n", r.Origin, plain(r.OperationID))
		}
		for _, d := range r.Demands {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", where(d), d.What, d.Requires)
		}
	}
	return table.Flush()
}

// describeLine describes a log line.
func describeLine(l explain.Line) string {
	parts := []string{plain(l.Message)}
	if a := l.Access; a != nil {
		parts = []string{plain(a.Method), plain(a.Route), strconv.Itoa(a.Status)}
		if a.RefusedBy != "" {
			parts = append(parts, "refused by "+plain(a.RefusedBy))
		}
		if a.Code != "" {
			parts = append(parts, plain(a.Code))
		}
		parts = append(parts, fmt.Sprintf("took %g ms", a.TookMS))
		if a.OwnMS != nil && a.UpstreamMS != nil {
			parts = append(parts, fmt.Sprintf("(own %g, upstream %g)", *a.OwnMS, *a.UpstreamMS))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Fields)) {
		parts = append(parts, plain(name)+"="+plain(string(l.Fields[name])))
	}
	return strings.Join(parts, " ")
}

// maxShown limits how much of one value is shown, in bytes.
const maxShown = 300

// plain removes from untrusted text what a terminal would interpret.
func plain(text string) string {
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
