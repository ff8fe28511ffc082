package main

import (
	"context"
	"slices"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
)

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
