package gateway

import (
	"net"
	"net/url"

	"github.com/fountainai/fountain/internal/egress"
)

// egress returns the policy for targets of adopted services: those that UpstreamAllow allows, except the addresses of the family itself. family has the
// targets of the family's services.
func (c *Config) egress(family map[string][]*url.URL) egress.Options {
	own := c.Addr
	if c.Listener != nil {
		own = c.Listener.Addr().String()
	}
	deny := append([]string{own}, c.UpstreamDeny...)
	for _, urls := range family {
		for _, u := range urls {
			port := u.Port()
			if port == "" {
				port = u.Scheme // package egress looks up its well-known port
			}
			deny = append(deny, net.JoinHostPort(u.Hostname(), port))
		}
	}
	if shared := c.Redis.Addr(); shared != "" {
		deny = append(deny, shared)
	}
	return egress.Options{Purpose: "upstream", Allow: c.UpstreamAllow, Deny: deny, Log: c.Log, Registerer: c.Registerer}
}
