package gateway

import (
	"errors"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// validateMembersOrigin checks that the members' origin is one, and another than the family's: pages of one host on two ports share cookies.
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

// loads are what a page asks for that becomes a part of it (Fetch Metadata, Sec-Fetch-Dest).
var loads = map[string]bool{
	"audioworklet": true, "embed": true, "frame": true, "iframe": true, "manifest": true, "object": true, "paintworklet": true, "script": true, "serviceworker": true,
	"sharedworker": true, "style": true, "worker": true, "xslt": true,
}

// noPartOfAPage refuses to give what a member answers to a page as a script, a style or a frame, while members share the family's origin: its pages load
// none, so whoever asks for one was put into them.
func (g *gate) noPartOfAPage(x *httpserver.Exchange) error {
	if x.Operation.Mount == "" || g.config.MembersOrigin != "" || !loads[x.Request.Header.Get("Sec-Fetch-Dest")] {
		return nil
	}
	return problem.New(problem.Forbidden, "Answers of adopted services can't become a part of a page here.")
}

// atItsOrigin refuses a member at the family's host, and the family at the members' host, where there are two.
func (g *gate) atItsOrigin(x *httpserver.Exchange) error {
	if g.config.MembersOrigin == "" {
		return nil
	}
	atMembers := strings.EqualFold(httpserver.Hostname(x.Request.Host), httpserver.Hostname(g.config.MembersOrigin))
	if atMembers == (x.Operation.Mount != "") || httpserver.Probe(x.Operation) {
		return nil
	}
	return problem.New(problem.Misdirected, "This host does not serve this path: adopted services have a host of their own.")
}
