package member

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/fountainai/fountain/internal/contract"
)

// Member is an adopted service as the gateway serves it. It is immutable.
type Member struct {
	Definition
	Contract *contract.Contract
	Warnings []contract.Warning // parts of the contract that were left out or ignored
	Shadow   *contract.Contract // nil: there is none, or it does not compile
	targets  []*url.URL
	text     []byte // the contract as it is served
}

// maxUpstreams is the limit of targets per member.
const maxUpstreams = 64

// errUpstreams says that a member's targets are invalid or not allowed.
var errUpstreams = errors.New("upstreams")

// build makes a member from its definition. before is the current member, or nil; its compiled contract is reused if the text is the same.
func (r *Registry) build(d Definition, before *Member) (*Member, error) {
	if err := contract.CheckMemberName(d.Name, r.Family); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	m := &Member{Definition: d}
	if len(d.Upstreams) == 0 || len(d.Upstreams) > maxUpstreams {
		return nil, fmt.Errorf("%w: 1 to %d addresses are needed", errUpstreams, maxUpstreams)
	}
	for _, address := range d.Upstreams {
		u, err := r.Egress.CheckURL(context.Background(), address)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUpstreams, err)
		}
		m.targets = append(m.targets, u)
	}
	if before != nil && before.sameText(&d) {
		m.Contract, m.Warnings, m.text = before.Contract, before.Warnings, before.text
	} else if err := m.compile(); err != nil {
		return nil, err
	}
	if d.Shadow != nil {
		m.Shadow = r.shadow(d, before)
	}
	return m, nil
}

// compile compiles the contract.
func (m *Member) compile() error {
	adoption := contract.Adoption{Name: m.Name, File: m.File, Files: m.Files, Public: m.Public}
	var err error
	if m.Contract, m.Warnings, err = contract.Adopt(adoption); err != nil {
		return fmt.Errorf("read contract: %w", err)
	}
	if m.text, err = contract.Served(adoption, m.Contract); err != nil {
		return fmt.Errorf("write the contract that is served: %w", err)
	}
	return nil
}

// shadow compiles the next version of the contract. If that fails, it logs the error and returns nil; the live contract is not affected.
func (r *Registry) shadow(d Definition, before *Member) *contract.Contract {
	if before != nil && before.Definition.Shadow.equal(d.Shadow) {
		return before.Shadow
	}
	c, _, err := contract.Adopt(contract.Adoption{Name: d.Name, File: d.Shadow.File, Files: d.Shadow.Files, Public: d.Shadow.Public})
	if err != nil {
		r.Log.Error("shadow contract can't be read", "member", d.Name, "error", err)
		return nil
	}
	return c
}
