package main

import (
	"context"
	"slices"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
)

// States of an adopted service at the gateway, in addition to those that the gateway reports itself.
const (
	gatewayWaits   = "waiting" // the gateway does not serve this version yet
	gatewayRefuses = "refused" // the gateway continues with the previous version
	gatewayReady   = "ready"   // the service's upstreams accept connections
)

// refusals maps a reason of the gateway to its most common cause.
var refusals = map[string]string{
	string(gateway.ServiceRefusalCauseUpstreams): ": they are not on the operator's list (FOUNTAIN_GATEWAY_UPSTREAM_ALLOW)",
	string(gateway.ServiceRefusalCauseContract):  ": its log says why",
}

// servedWithin is how long to wait until the gateway serves a contract. The gateway checks every second.
const servedWithin = 5 * time.Second

// gatewayState is the state of a version of a contract at the gateway.
type gatewayState struct {
	State    string `json:"state"`              // waiting, refused, starting, down or ready
	Revision int64  `json:"revision,omitempty"` // version in force; 0: none
	Refused  string `json:"refused,omitempty"`  // the refused part of this version: upstreams or contract
}

// standing finds the state of this version of a contract in the gateway's list.
func standing(all *gateway.ServiceStatusList, c *kms.Contract) gatewayState {
	found := gatewayState{State: gatewayWaits}
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

// served waits until the gateway serves this version of a contract and reaches the service, or refuses the version. It
// returns the last state.
func served(ctx context.Context, client *fountain.Client, put *kms.Contract) (found gatewayState, err error) {
	found.State = gatewayWaits
	err = watch(ctx, client, func(all *gateway.ServiceStatusList) bool {
		found = standing(all, put)
		return found.State == gatewayReady || found.State == gatewayRefuses
	})
	return found, err
}

// gone waits until the gateway no longer serves a service.
func gone(ctx context.Context, client *fountain.Client, name string) error {
	return watch(ctx, client, func(all *gateway.ServiceStatusList) bool {
		return !slices.ContainsFunc(all.Items, func(s gateway.ServiceStatus) bool { return s.Name == name })
	})
}

// watch polls the gateway's list of services until done, or until servedWithin has passed.
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
