package family

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/impl/gateway"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/internal/config"
)

// Validate checks all settings and changes nothing. Each setting is checked by the member that uses it. So an invalid setting is found before any
// member has created its keys.
func (c Config) Validate() error {
	c.complete()
	const somewhere = "http://127.0.0.1:1" // stands for the addresses that members get at the start
	s := config.Service{
		Addr: "127.0.0.1:0", DataDir: c.DataDir, Issuer: cmp.Or(c.Issuer, somewhere), JWKSURL: somewhere, KMSURL: somewhere, EnrolTokenFile: "token",
		TrustedProxies: c.TrustedProxies, Hosts: c.Hosts,
	}
	k := kms.Config{Service: s, Redis: c.Redis, Rotators: c.Rotators}
	t := twofactor.Config{Service: s, Delivery: c.Delivery, StepUpChannels: c.StepUpChannels, Passkeys: c.Passkeys}
	g := gateway.Config{Service: s, TwofactorURL: somewhere, SearchURL: somewhere, SequenceURL: somewhere, CORSOrigins: c.CORSOrigins, Redis: c.Redis, Adopted: c.Adopted}
	f := search.Config{Service: s, EngineAt: c.Engine}
	var errs []error
	for _, member := range []struct {
		word string
		err  error
	}{{"kms", k.Validate()}, {"twofactor", t.Validate()}, {"search", f.Validate()}, {"gateway", g.Validate()}} {
		if member.err != nil {
			errs = append(errs, fmt.Errorf("settings of the %s: %w", member.word, member.err))
		}
	}
	return errors.Join(errs...)
}
