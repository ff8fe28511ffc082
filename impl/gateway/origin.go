package gateway

import (
	"errors"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// validateMembersOrigin checks that the members' origin is a valid origin with a different host than the family's: pages of one host share cookies across
// ports.
func (c *Config) validateMembersOrigin() error {
	if c.MembersOrigin == "" {
		return nil
	}
	u, err := url.Parse(c.MembersOrigin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || c.MembersOrigin != u.Scheme+"://"+u.Host {
		return errors.New("must be scheme://host[:port]")
	}
	for _, name := range append(c.Names(word), c.Issuer) {
		if httpserver.Hostname(name) == httpserver.Hostname(c.MembersOrigin) {
			return errors.New("must be another host than the family's")
		}
	}
	return nil
}

// loads are the values of Sec-Fetch-Dest (Fetch Metadata) for resources that become part of a page.
var loads = map[string]bool{
	"audioworklet": true, "embed": true, "frame": true, "iframe": true, "manifest": true, "object": true, "paintworklet": true, "script": true, "serviceworker": true,
	"sharedworker": true, "style": true, "worker": true, "xslt": true,
}

// noPartOfAPage refuses to deliver a member's answer as a script, style or frame of a page while members share the family's origin. The family's pages load
// none of these from members, so such a request was injected into a page.
func (g *gate) noPartOfAPage(x *httpserver.Exchange) error {
	if x.Operation.Mount == "" || g.config.MembersOrigin != "" || !loads[x.Request.Header.Get("Sec-Fetch-Dest")] {
		return nil
	}
	return problem.New(problem.Forbidden, "Responses of adopted services cannot be embedded in a page of this origin.")
}

// atItsOrigin refuses requests for members at the family's host, and for the family at the members' host, if the hosts differ.
func (g *gate) atItsOrigin(x *httpserver.Exchange) error {
	if g.config.MembersOrigin == "" {
		return nil
	}
	atMembers := strings.EqualFold(httpserver.Hostname(x.Request.Host), httpserver.Hostname(g.config.MembersOrigin))
	if atMembers == (x.Operation.Mount != "") || httpserver.Probe(x.Operation) {
		return nil
	}
	return problem.New(problem.Misdirected, "This host does not serve this path: adopted services have a separate host.")
}
