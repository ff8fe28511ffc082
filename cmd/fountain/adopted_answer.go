package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/explain"
)

// adoptedAnswer is the JSON output of adopt.
type adoptedAnswer struct {
	Name       string             `json:"name"`
	Path       string             `json:"path"`              // base path of its operations
	Address    string             `json:"address,omitempty"` // address of the service at the gateway; absent with --dry-run
	Gateway    string             `json:"gateway,omitempty"` // state at the gateway: waiting, refused, down or ready; absent with --dry-run and --shadow
	Refused    string             `json:"refused,omitempty"` // the part that the gateway refuses: upstreams or contract
	Operations []adoptedOperation `json:"operations"`
	Warnings   []string           `json:"warnings"`
	Contract   *kms.Contract      `json:"contract,omitempty"` // absent with --dry-run

	before bool // the previous version is in force while this one is refused
}

// adoptedOperation is an operation as clients can call it.
type adoptedOperation struct {
	Method      string   `json:"method"`
	Path        string   `json:"path"`
	ID          string   `json:"operationId"`
	Public      bool     `json:"public"`
	Scopes      []string `json:"scopes"`
	Roles       []string `json:"roles,omitempty"`
	StepUp      string   `json:"stepUp,omitempty"`
	Limits      []string `json:"limits"`
	Body        int64    `json:"bodyMax,omitempty"` // limit in bytes
	Unsupported string   `json:"unsupported,omitempty"`
}

// report prints which operations are reachable now, under which policy, and with which warnings the document was
// adopted.
func (o *adoptCall) report(cmd *cobra.Command, answer adoptedAnswer, c *contract.Contract, warnings []contract.Warning) error {
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

// sentence describes the result and the next step.
func (o *adoptCall) sentence(answer adoptedAnswer) string {
	sum := counted(len(answer.Operations), "operation") + ", " + counted(len(answer.Warnings), "warning")
	switch {
	case o.dryRun:
		return fmt.Sprintf("%s would be guarded at /%s: %s.", answer.Name, answer.Name, sum)
	case o.shadow:
		return fmt.Sprintf("Stored as a shadow contract of %s; no requests are refused: %s. fountain_gateway_shadow_rejections_total and the gateway's log show what it would refuse.",
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
		return said + " Callers with its scopes can use `fountain call GET /" + answer.Name + "/...`, or a token from `fountain token " + answer.Name + "`."
	}
	return said + " The gateway does not reach " + strings.Join(o.upstreams, " or ") + ": start the service there."
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
