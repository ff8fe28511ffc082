package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/change"
)

// adoptCall holds the flags of adopt.
type adoptCall struct {
	operator
	document
	upstreams, accept []string
	active, shadow    bool
	dryRun            bool
}

func newAdopt() *cobra.Command {
	o := &adoptCall{}
	cmd := o.command("adopt FILE", "Adopt your own service by its OpenAPI document, or replace the document", `  fountain adopt notes.yaml --upstream http://127.0.0.1:9000
  fountain adopt openapi.json --name billing --upstream http://10.0.0.7:8080 --public getHealth --dry-run`, oneArg("the OpenAPI document"), nil)
	cmd.Long = `adopt validates an OpenAPI 3.0 or 3.1 document, registers the service at the kms with the scopes that the
document requires, and sends the document to the kms, from where every gateway loads it within one second.
From then on the service is reachable through the gateway at /NAME, only for requests that are valid by the
document.

Without x-fountain in the document, a request needs a bearer token for this service only, with the scope
NAME:read (GET, HEAD, OPTIONS) or NAME:write; rate limits, body sizes and timeouts have safe defaults. The
tokens of the family replace the document's own security schemes. Parts of the document that cannot be
enforced as written are reported with file and line.

A document that breaks clients of the one in force, or relaxes its requirements, is refused: --accept takes
such changes by the names that are reported.`
	o.document.flags(cmd)
	cmd.Flags().StringArrayVar(&o.upstreams, "upstream", nil, "address of a service instance, http://HOST:PORT or https://HOST:PORT; may be repeated")
	cmd.Flags().StringArrayVar(&o.accept, "accept", nil, "accept the change with this name, although it breaks clients or relaxes requirements; may be repeated")
	cmd.Flags().BoolVar(&o.active, "active-content", false, "allow responses of media types that browsers execute, such as text/html")
	cmd.Flags().BoolVar(&o.shadow, "shadow", false, "store the document next to the one in force, and only report what it would refuse")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "check the document and print which operations would be reachable; change nothing")
	cmd.RunE = o.run
	return calling(cmd)
}

func (o *adoptCall) run(cmd *cobra.Command, args []string) error {
	switch {
	case o.output != "table" && o.output != "json":
		return usagef("--output must be table or json")
	case len(o.upstreams) == 0 && !o.dryRun && !o.shadow:
		return usagef("--upstream is required: the address of the service")
	case o.shadow && (len(o.upstreams) > 0 || o.active):
		return usagef("--shadow leaves --upstream and --active-content as they are")
	}
	for _, address := range o.upstreams {
		if !isUpstream(address) {
			return usagef("--upstream must be http://host:port or https://host:port, without a path")
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
		if err := o.warnSameUpstream(cmd, client, put); err != nil {
			return err
		}
	}
	switch answer.Gateway {
	case gatewayRefuses:
		after := "what was adopted before is still served"
		if !answer.before {
			after = "nothing is served: adopt it again, or retire it with fountain retire " + a.Name
		}
		return fmt.Errorf("the kms has accepted it, but the gateway refuses its %s%s; %s", answer.Refused, refusals[answer.Refused], after)
	case gatewayWaits:
	default:
		return nil
	}
	return fmt.Errorf("the kms has accepted it, but the gateway does not serve it after %s: its log says why; most often an upstream is not on the operator's list (FOUNTAIN_GATEWAY_UPSTREAM_ALLOW)",
		servedWithin)
}

// isUpstream reports whether an address is exactly a scheme, a host and a port.
func isUpstream(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Port() != "" && address == u.Scheme+"://"+u.Host
}

// warnSameUpstream warns about a new service if another one has one of its upstreams: the next version of a document,
// in a file with another name, would become a second service by mistake.
func (o *adoptCall) warnSameUpstream(cmd *cobra.Command, client *fountain.Client, put *kms.Contract) error {
	for other, err := range client.KMS.Contracts(cmd.Context()) {
		if err != nil {
			return err
		}
		if other.Name == put.Name || other.Status != kms.ContractStatusActive || !slices.ContainsFunc(other.Upstreams, func(u string) bool { return slices.Contains(put.Upstreams, u) }) {
			continue
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is a separate service from %s, which has this upstream too; adopt a next version of %s with --name %s (fountain retire %s withdraws this one)\n",
			put.Name, other.Name, other.Name, other.Name, put.Name)
	}
	return nil
}

// register registers the service if it is not registered yet (fresh), and adds the scopes of the document to the scopes
// that it declares.
func (o *adoptCall) register(cmd *cobra.Command, client *fountain.Client, c *contract.Contract) (fresh bool, err error) {
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

func (o *adoptCall) put(cmd *cobra.Command, client *fountain.Client, a contract.Adoption) (*kms.Contract, error) {
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
		if told := o.printChanges(cmd, client, a, refusal); told != nil {
			return nil, errors.Join(err, told)
		}
	}
	return put, err
}

// printChanges prints the changes that must be accepted. A problem document has room for only some of them. If it is
// truncated, the changes are computed here with the same code as in the kms.
func (o *adoptCall) printChanges(cmd *cobra.Command, client *fountain.Client, a contract.Adoption, refusal *fountain.Error) error {
	fmt.Fprintln(cmd.ErrOrStderr(), "These changes break clients of the contract in force, or require less. To accept a change, add:")
	tell := func(name, message string) { fmt.Fprintf(cmd.ErrOrStderr(), "  --accept %q\t%s\n", name, message) }
	if !refusal.Truncated {
		for _, f := range refusal.Errors {
			tell(f.Name, f.Message)
		}
		return nil
	}
	before, err := inForce(cmd.Context(), client, a.Name)
	if err != nil {
		return err
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
