package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/change"
	"github.com/fountainai/fountain/internal/explain"
)

// maxDocuments is the most that is read of a document and its files, in bytes: what the kms takes.
const maxDocuments = 8 << 20

// document is what the commands that read an OpenAPI document share.
type document struct {
	name string
	with []string
	open []string // operationIds of --public
}

func (d *document) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.name, "name", "", "the service's name: its path, the audience of its tokens, and what its scopes begin with; default: the file's name")
	cmd.Flags().StringArrayVar(&d.with, "with", nil, "a file that the document refers to; may be repeated")
	cmd.Flags().StringArrayVar(&d.open, "public", nil, "an operationId that stays open to everybody, where the document says security: []; may be repeated")
}

// read reads a document with its files.
func (d *document) read(file string) (contract.Adoption, error) {
	a := contract.Adoption{Name: d.name, Files: map[string][]byte{}, Public: d.open}
	if a.Name == "" {
		a.Name = nameOf(file)
	}
	root, paths, err := commonFolder(append([]string{file}, d.with...))
	if err != nil {
		return a, err
	}
	left := int64(maxDocuments)
	for i, path := range paths {
		text, err := readBounded(path, left)
		if err != nil {
			return a, err
		}
		left -= int64(len(text))
		inside, err := filepath.Rel(root, path)
		if err != nil {
			return a, fmt.Errorf("%s: %w", path, err)
		}
		if inside = filepath.ToSlash(inside); i == 0 {
			a.File = inside
		}
		a.Files[inside] = text
	}
	return a, nil
}

// commonFolder returns the folder that holds all files, and their absolute paths.
func commonFolder(files []string) (root string, paths []string, err error) {
	for i, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", file, err)
		}
		if paths = append(paths, path); i == 0 {
			root = filepath.Dir(path)
		}
		for !strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/") {
			root = filepath.Dir(root)
		}
	}
	return root, paths, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("the document and its files are larger than %d MiB", maxDocuments>>20)
	}
	return text, nil
}

var notOfAName = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf makes a name of the name of a file.
func nameOf(file string) string {
	base := strings.ToLower(filepath.Base(file))
	base, _, _ = strings.Cut(base, ".")
	return strings.Trim(notOfAName.ReplaceAllString(base, "-"), "-")
}

// compiled checks a document as the kms and the gateways will.
func compiled(a contract.Adoption) (*contract.Contract, []contract.Warning, error) {
	family, err := contract.LoadAll()
	if err != nil {
		return nil, nil, err
	}
	if err := contract.CheckMemberName(a.Name, family); err != nil {
		return nil, nil, usagef("%q can't be the service's name: %w; --name gives another", a.Name, err)
	}
	return contract.Adopt(a)
}

// adopting is the adopt command.
type adopting struct {
	operator
	document
	upstreams, accept []string
	active, shadow    bool
	dryRun            bool
}

func newAdopt() *cobra.Command {
	o := &adopting{}
	cmd := o.command("adopt FILE", "Put a service of your own behind the gateway by its OpenAPI document", `  fountain adopt notes.yaml --upstream http://127.0.0.1:9000
  fountain adopt openapi.json --name billing --upstream http://10.0.0.7:8080 --public getHealth --dry-run`, oneArg("the OpenAPI document"), nil)
	cmd.Long = `adopt checks an OpenAPI 3.0 or 3.1 document, registers the service at the kms with the scopes that the
document asks for, and hands the document to the kms, from where every gateway takes it within a second.
From then on the service is reached through the gateway at /NAME, and only by requests that fit the document.

Without x-fountain in the document a request needs a bearer token for the service alone, with the scope
NAME:read (GET, HEAD, OPTIONS) or NAME:write; limits, body sizes and time limits have safe defaults. The document's
own security schemes are replaced by the family's tokens. What was adopted around is told with file and line.

A document that breaks clients of the one in force, or asks for less than it, is refused: --accept takes
the changes by the names that are told.`
	o.document.flags(cmd)
	cmd.Flags().StringArrayVar(&o.upstreams, "upstream", nil, "address of an instance of the service, http://host:port; may be repeated")
	cmd.Flags().StringArrayVar(&o.accept, "accept", nil, "the name of a change that breaks clients or asks for less, and is wanted; may be repeated")
	cmd.Flags().BoolVar(&o.active, "active-content", false, "answers may be of media types that a browser runs, such as text/html")
	cmd.Flags().BoolVar(&o.shadow, "shadow", false, "keep the document beside the one in force, and only report what it would refuse")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "check the document and print what would be reachable; change nothing")
	cmd.RunE = o.run
	return calling(cmd)
}

func (o *adopting) run(cmd *cobra.Command, args []string) error {
	switch {
	case o.output != "table" && o.output != "json":
		return usagef("--output must be table or json")
	case len(o.upstreams) == 0 && !o.dryRun && !o.shadow:
		return usagef("fountain adopt takes --upstream, the address of the service")
	case o.shadow && (len(o.upstreams) > 0 || o.active):
		return usagef("--shadow leaves --upstream and --active-content as they are")
	}
	for _, address := range o.upstreams {
		if !isUpstream(address) {
			return usagef("--upstream must be http://host:port or https://host:port, and nothing behind it")
		}
	}
	a, err := o.read(args[0])
	if err != nil {
		return err
	}
	c, warnings, err := compiled(a)
	if err != nil {
		return err
	}
	if o.dryRun {
		return o.report(cmd, adoptedAnswer{Name: a.Name, Operations: []adoptedOperation{}}, c, warnings)
	}
	client, err := o.client(o.code)
	if err != nil {
		return err
	}
	fresh, err := o.register(cmd, client, c)
	if err != nil {
		return err
	}
	put, err := o.put(cmd, client, a)
	if err != nil {
		return err
	}
	answer := adoptedAnswer{Name: a.Name, Address: client.Service(a.Name).URL(), Contract: put}
	if !o.shadow {
		there, err := served(cmd.Context(), client, put)
		if err != nil {
			return err
		}
		answer.Gateway, answer.Refused, answer.before = there.State, there.Refused, there.Revision > 0
	}
	if err := o.report(cmd, answer, c, warnings); err != nil {
		return err
	}
	if fresh {
		if err := o.tellSameUpstream(cmd, client, put); err != nil {
			return err
		}
	}
	switch answer.Gateway {
	case gatewayRefuses:
		after := "what was adopted before is still served"
		if !answer.before {
			after = "nothing is served: adopt it again, or take it back by fountain retire " + a.Name
		}
		return fmt.Errorf("the kms has taken it, but the gateway refuses its %s%s; %s", answer.Refused, refusals[answer.Refused], after)
	case gatewayWaits:
	default:
		return nil
	}
	return fmt.Errorf("the kms has taken it, but the gateway does not serve it after %s: its log says why; most often an upstream is not on the operator's list (FOUNTAIN_GATEWAY_UPSTREAM_ALLOW)",
		servedWithin)
}

// isUpstream reports whether an address names a host and its port, and nothing else.
func isUpstream(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Port() != "" && address == u.Scheme+"://"+u.Host
}

// What is said of an adopted service at the gateway, beside what the gateway says itself.
const (
	gatewayWaits   = "waiting" // it does not serve this version yet
	gatewayRefuses = "refused" // it goes on with the version before
	gatewayReady   = "ready"   // something accepts connections at the service's upstreams
)

// refusals are what is most often wrong with what a gateway refuses.
var refusals = map[string]string{
	string(gateway.ServiceRefusalCauseUpstreams): ": they are not on the operator's list (FOUNTAIN_GATEWAY_UPSTREAM_ALLOW)",
	string(gateway.ServiceRefusalCauseContract):  ": its log says why",
}

// servedWithin is how long a contract is waited for at the gateway, which looks within a second.
const servedWithin = 5 * time.Second

// atGateway is what the gateway says of a version of a contract.
type atGateway struct {
	State    string `json:"state"`              // waiting, refused, starting, down or ready
	Revision int64  `json:"revision,omitempty"` // the version that is in force; 0: none
	Refused  string `json:"refused,omitempty"`  // what of this version is refused: upstreams or contract
}

// standing finds what the gateway says of this version of a contract.
func standing(all *gateway.ServiceStatusList, c *kms.Contract) atGateway {
	found := atGateway{State: gatewayWaits}
	refuses := func(r *gateway.ServiceRefusal) bool { return r != nil && r.Revision != nil && *r.Revision >= c.Version }
	for _, s := range all.Items {
		if s.Name != c.Name || s.Revision == nil {
			continue
		}
		switch found.Revision = *s.Revision; {
		case *s.Revision >= c.Version:
			found.State = string(s.Status)
		case refuses(s.Refused):
			found.State, found.Refused = gatewayRefuses, string(s.Refused.Cause)
		}
	}
	if all.Refused != nil {
		for _, s := range *all.Refused {
			if s.Name == c.Name && refuses(&s.Refused) {
				found.State, found.Refused = gatewayRefuses, string(s.Refused.Cause)
			}
		}
	}
	return found
}

// served waits until the gateway serves this version of a contract and reaches the service, or refuses it, and returns what it says then.
func served(ctx context.Context, client *fountain.Client, put *kms.Contract) (found atGateway, err error) {
	found.State = gatewayWaits
	err = watch(ctx, client, func(all *gateway.ServiceStatusList) bool {
		found = standing(all, put)
		return found.State == gatewayReady || found.State == gatewayRefuses
	})
	return found, err
}

// gone waits until the gateway does not serve a service any more.
func gone(ctx context.Context, client *fountain.Client, name string) error {
	return watch(ctx, client, func(all *gateway.ServiceStatusList) bool {
		return !slices.ContainsFunc(all.Items, func(s gateway.ServiceStatus) bool { return s.Name == name })
	})
}

// watch asks the gateway for its services until they are as they should be, or servedWithin is over.
func watch(ctx context.Context, client *fountain.Client, done func(*gateway.ServiceStatusList) bool) error {
	within, cancel := context.WithTimeout(ctx, servedWithin)
	defer cancel()
	for {
		all, err := client.Gateway.ListGatewayServices(within)
		switch {
		case within.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case done(all):
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-within.Done():
		}
	}
}

// tellSameUpstream says of a service that is new whether another one has an upstream of it: the next version of a document, in a file of another
// name, would be a second service.
func (o *adopting) tellSameUpstream(cmd *cobra.Command, client *fountain.Client, put *kms.Contract) error {
	for other, err := range client.KMS.Contracts(cmd.Context()) {
		if err != nil {
			return err
		}
		if other.Name == put.Name || other.Status != kms.ContractStatusActive || !slices.ContainsFunc(other.Upstreams, func(u string) bool { return slices.Contains(put.Upstreams, u) }) {
			continue
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is a service of its own beside %s, which has this upstream too; a next version of %s is adopted with --name %s (fountain retire %s takes this one back)\n",
			put.Name, other.Name, other.Name, other.Name, put.Name)
	}
	return nil
}

// register makes the service when there is none (fresh), and has it declare the scopes that the document asks for.
func (o *adopting) register(cmd *cobra.Command, client *fountain.Client, c *contract.Contract) (fresh bool, err error) {
	needed := slices.Sorted(maps.Keys(c.Scopes))
	var known *kms.Service
	for s, err := range client.KMS.Services(cmd.Context()) {
		if err != nil {
			return false, err
		}
		if s.Name == c.Word {
			known = &s
			break
		}
	}
	if known == nil {
		_, err := client.KMS.RegisterService(cmd.Context(), kms.ServiceCreate{Name: c.Word, Scopes: []string{}, DeclaredScopes: &needed})
		return true, err
	}
	declared := slices.Clone(known.DeclaredScopes)
	for _, scope := range needed {
		if !slices.Contains(declared, scope) {
			declared = append(declared, scope)
		}
	}
	if len(declared) == len(known.DeclaredScopes) {
		return false, nil
	}
	_, err = client.KMS.UpdateService(cmd.Context(), known.ID, fountain.IfMatch(known.Version), kms.ServiceUpdate{DeclaredScopes: &declared})
	return false, err
}

func (o *adopting) put(cmd *cobra.Command, client *fountain.Client, a contract.Adoption) (*kms.Contract, error) {
	body := kms.ContractPut{File: a.File, Public: &a.Public, Accept: &o.accept}
	for _, name := range slices.Sorted(maps.Keys(a.Files)) {
		body.Files = append(body.Files, kms.ContractFile{Name: name, Text: string(a.Files[name])})
	}
	if o.shadow {
		body.Shadow = new(true)
	} else {
		body.Upstreams, body.ActiveContent = &o.upstreams, &o.active
	}
	if a.Public == nil {
		body.Public = nil
	}
	if o.accept == nil {
		body.Accept = nil
	}
	put, err := client.KMS.PutContract(cmd.Context(), a.Name, body)
	var refusal *fountain.Error
	if errors.As(err, &refusal) && refusal.Code == fountain.CodeContractBreaking {
		if told := o.tellChanges(cmd, client, a, refusal); told != nil {
			return nil, errors.Join(err, told)
		}
	}
	return put, err
}

// tellChanges prints the changes that must be accepted. A problem has room for some of them only; then all are found here, by the code that the kms has too.
func (o *adopting) tellChanges(cmd *cobra.Command, client *fountain.Client, a contract.Adoption, refusal *fountain.Error) error {
	fmt.Fprintln(cmd.ErrOrStderr(), "These changes break clients of the contract in force, or ask for less. Take each that is wanted by --accept:")
	tell := func(name, message string) { fmt.Fprintf(cmd.ErrOrStderr(), "  --accept %q\t%s\n", name, message) }
	if !refusal.Truncated {
		for _, f := range refusal.Errors {
			tell(f.Name, f.Message)
		}
		return nil
	}
	kept, err := client.KMS.GetServiceContract(cmd.Context(), a.Name)
	if err != nil {
		return fmt.Errorf("read the contract in force: %w", err)
	}
	before := contract.Adoption{Name: a.Name, File: kept.Document.File, Files: map[string][]byte{}, Public: kept.Contract.Public}
	for _, f := range kept.Document.Files {
		before.Files[f.Name] = []byte(f.Text)
	}
	live, err := versionOf(before)
	if err != nil {
		return fmt.Errorf("read the contract in force: %w", err)
	}
	next, err := versionOf(a)
	if err != nil {
		return err
	}
	changes, err := change.Compare(live, next)
	if err != nil {
		return err
	}
	refused, _ := change.Refused(changes, o.accept)
	for _, c := range refused {
		tell(c.Name, c.Origin.String()+": "+c.Text)
	}
	return nil
}

func versionOf(a contract.Adoption) (change.Version, error) {
	c, _, err := contract.Adopt(a)
	return change.Version{Contract: c, File: a.File, Files: a.Files}, err
}

// adoptedAnswer is what adopt prints as JSON.
type adoptedAnswer struct {
	Name       string             `json:"name"`
	Path       string             `json:"path"`              // of its operations
	Address    string             `json:"address,omitempty"` // of the service at the gateway; absent with --dry-run
	Gateway    string             `json:"gateway,omitempty"` // whether the gateway serves it: waiting, refused, down or ready; absent with --dry-run and --shadow
	Refused    string             `json:"refused,omitempty"` // what the gateway refuses: upstreams or contract
	Operations []adoptedOperation `json:"operations"`
	Warnings   []string           `json:"warnings"`
	Contract   *kms.Contract      `json:"contract,omitempty"` // absent with --dry-run

	before bool // a version of before is in force while this one is refused
}

// adoptedOperation is an operation as it can be reached.
type adoptedOperation struct {
	Method      string   `json:"method"`
	Path        string   `json:"path"`
	ID          string   `json:"operationId"`
	Public      bool     `json:"public"`
	Scopes      []string `json:"scopes"`
	Roles       []string `json:"roles,omitempty"`
	StepUp      string   `json:"stepUp,omitempty"`
	Limits      []string `json:"limits"`
	Body        int64    `json:"bodyMax,omitempty"` // bytes
	Unsupported string   `json:"unsupported,omitempty"`
}

// report prints what is reachable now, under which policy, and what was adopted around.
func (o *adopting) report(cmd *cobra.Command, answer adoptedAnswer, c *contract.Contract, warnings []contract.Warning) error {
	answer.Path = c.BasePath
	var rows [][]string
	operations := slices.SortedStableFunc(slices.Values(c.Operations), func(a, b *contract.Operation) int { return strings.Compare(a.Path, b.Path) })
	for _, op := range operations {
		one := reachable(op)
		answer.Operations = append(answer.Operations, one)
		rows = append(rows, []string{one.Method, one.Path, one.ID, one.who(), one.asks(), strings.Join(one.Limits, ", ")})
	}
	for _, w := range warnings {
		answer.Warnings = append(answer.Warnings, w.String())
	}
	if o.output == "json" {
		return o.print(cmd, answer, nil, nil)
	}
	for _, w := range answer.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), w)
	}
	if err := o.print(cmd, nil, []string{"METHOD", "PATH", "OPERATION", "WHO", "BEYOND", "LIMITS"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), "\n"+o.sentence(answer))
	return err
}

// sentence tells what has come of it, and what is next.
func (o *adopting) sentence(answer adoptedAnswer) string {
	sum := counted(len(answer.Operations), "operation") + ", " + counted(len(answer.Warnings), "warning")
	switch {
	case o.dryRun:
		return fmt.Sprintf("%s would be guarded at /%s: %s.", answer.Name, answer.Name, sum)
	case o.shadow:
		return fmt.Sprintf("This is kept beside the contract of %s that is in force, and refuses nothing: %s. fountain_gateway_shadow_rejections_total and the gateway's log tell what it would refuse.",
			answer.Name, sum)
	case answer.Gateway == gatewayRefuses && !answer.before:
		return fmt.Sprintf("%s is not in force: %s. Nothing is served at %s.", answer.Name, sum, answer.Address)
	case answer.Gateway == gatewayRefuses:
		return fmt.Sprintf("This version of %s is not in force: %s. The one before is still served at %s.", answer.Name, sum, answer.Address)
	case answer.Gateway == gatewayWaits:
		return fmt.Sprintf("%s would be guarded at %s: %s.", answer.Name, answer.Address, sum)
	}
	said := fmt.Sprintf("%s is guarded at %s: %s.", answer.Name, answer.Address, sum)
	if answer.Gateway == gatewayReady {
		return said + " Who has its scopes calls it: fountain call GET /" + answer.Name + "/..., or with the token of fountain token " + answer.Name + "."
	}
	return said + " The gateway reaches nothing at " + strings.Join(o.upstreams, " or ") + ": start the service there."
}

func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func reachable(op *contract.Operation) adoptedOperation {
	one := adoptedOperation{Method: op.Method, Path: op.Path, ID: op.ID, Public: op.Public, Scopes: op.Scopes(), Unsupported: op.Unsupported}
	one.Roles = append(slices.Clone(op.Policy.Roles.AllOf), op.Policy.Roles.AnyOf...)
	if s := op.Policy.StepUp; s != nil {
		one.StepUp = fmt.Sprintf("%s within %s", s.ACR, explain.Short(s.MaxAge))
	}
	for _, r := range op.Policy.Rate {
		if r.Preauth && op.Public || !op.Public && !r.Preauth {
			one.Limits = append(one.Limits, fmt.Sprintf("%d in %s", r.Quota, explain.Short(r.Window)))
		}
	}
	if op.HasBody() {
		one.Body = op.Policy.Body.Max
	}
	return one
}

func (op adoptedOperation) who() string {
	switch {
	case op.Unsupported != "":
		return "nobody (501)"
	case op.Public:
		return "everybody"
	}
	return strings.Join(op.Scopes, " ")
}

func (op adoptedOperation) asks() string {
	var all []string
	if len(op.Roles) > 0 {
		all = append(all, "role "+strings.Join(op.Roles, " or "))
	}
	if op.StepUp != "" {
		all = append(all, op.StepUp)
	}
	return strings.Join(all, ", ")
}

var adoptedHead = []string{"NAME", "STATUS", "VERSION", "DOCUMENT", "UPSTREAMS", "WARNINGS", "SHADOW", "CHANGED"}

// listedContract is an adopted service as adopted lists it.
type listedContract struct {
	kms.Contract
	Gateway atGateway `json:"gateway"`
}

// status tells what of the contract holds: an adoption that the gateway refuses is not called active.
func (l listedContract) status() string {
	switch g := l.Gateway; {
	case l.Status != kms.ContractStatusActive:
		return string(l.Status)
	case g.State == gatewayRefuses && g.Revision > 0:
		return fmt.Sprintf("version %d, the next is refused (%s)", g.Revision, g.Refused)
	case g.State == gatewayRefuses:
		return "refused (" + g.Refused + ")"
	case g.State == gatewayWaits && g.Revision == 0:
		return gatewayWaits
	case g.State == string(gateway.ServiceStatusStatusDown):
		return "active, not reached"
	}
	return string(l.Status)
}

func newAdopted() *cobra.Command {
	o := &operator{}
	return calling(o.command("adopted", "List the services that were adopted", "  fountain adopted\n  fountain adopted --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			there, err := c.Gateway.ListGatewayServices(cmd.Context())
			if err != nil {
				return err
			}
			var all []listedContract
			var rows [][]string
			for kept, err := range c.KMS.Contracts(cmd.Context()) {
				if err != nil {
					return err
				}
				one, shadow := listedContract{kept, standing(there, &kept)}, ""
				if one.Shadow != nil {
					shadow = one.Shadow.DocumentVersion
				}
				all, rows = append(all, one), append(rows, []string{one.Name, one.status(), fmt.Sprint(one.Version), one.DocumentVersion,
					strings.Join(one.Upstreams, " "), fmt.Sprint(one.WarningCount), shadow, when(one.UpdatedAt)})
			}
			return o.print(cmd, all, adoptedHead, rows)
		}))
}

func newRetire() *cobra.Command {
	o := &operator{}
	return calling(o.command("retire NAME", "Retire an adopted service: the gateway serves it no more; it stays registered", "  fountain retire notes\n  fountain retire notes --code-file -", oneArg("an adopted service"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.KMS.RetireContract(cmd.Context(), args[0]); err != nil {
				return err
			}
			if err := gone(cmd.Context(), c, args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" is retired")
		}))
}
