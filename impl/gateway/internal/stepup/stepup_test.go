package stepup

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// A code is redeemed only for users, and only where the contract accepts one. If the token needs no second factor by the contract, the code is redeemed only at
// dynamic operations, whose service may ask for one.
func TestAsk_redeemsAUsersCodeWhereTheContractTakesOne(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC))
	s := &Redeemer{clock: now}
	fresh := now.Now()
	for _, c := range []struct {
		name                string
		kind, code          string
		acr                 string
		takes, dynamic, ask bool
		redeem, refused     bool
	}{
		{name: "user with a code", kind: auth.KindUser, code: "123456", takes: true, ask: true, redeem: true},
		{name: "user without", kind: auth.KindUser, takes: true, ask: true, refused: true},
		{name: "code that the contract does not take", kind: auth.KindUser, code: "123456", ask: true, refused: true},
		{name: "raised already", kind: auth.KindUser, code: "123456", acr: "aal2", takes: true, ask: true},
		{name: "nothing is asked", kind: auth.KindUser, code: "123456", takes: true},
		{name: "dynamic", kind: auth.KindUser, code: "123456", takes: true, ask: true, dynamic: true, redeem: true},
		{name: "dynamic without", kind: auth.KindUser, takes: true, ask: true, dynamic: true},
		{name: "dynamic that takes none", kind: auth.KindUser, code: "123456", ask: true, dynamic: true},
		{name: "service with a code", kind: auth.KindService, code: "123456", takes: true, ask: true},
		{name: "dynamic, service with a code", kind: auth.KindService, code: "123456", takes: true, ask: true, dynamic: true},
	} {
		op := &contract.Operation{ID: "x", Word: "sample", Requirements: []contract.Requirement{{}, {OTP: c.takes}}}
		if c.ask {
			op.Policy.StepUp = &contract.StepUp{ACR: "aal2", MaxAge: time.Minute, For: []string{"user"}, Dynamic: c.dynamic}
		}
		x := &httpserver.Exchange{Operation: op, Code: c.code, Principal: &auth.Principal{Kind: c.kind, ACR: c.acr, AuthTime: fresh}}
		err := s.Ask(x)
		require.Equal(t, c.refused, err != nil, "%s: %v", c.name, err)
		require.Equal(t, c.redeem, x.Redeem, c.name)
	}
}

// With an API key's token the caller is told that no code can raise it, before the code is sent anywhere: this Redeemer has no services.
func TestRedeem_tellsAnAPIKeyThatNoCodeRaisesIt(t *testing.T) {
	op := &contract.Operation{ID: "x", Word: "sample", Policy: contract.Policy{StepUp: &contract.StepUp{ACR: "aal2", MaxAge: time.Minute, For: []string{"user"}}}}
	err := (&Redeemer{}).Redeem(&httpserver.Exchange{Operation: op, Code: "123456", Redeem: true, Principal: &auth.Principal{Kind: auth.KindUser}, Request: httptest.NewRequest("POST", "/", nil)})
	require.ErrorIs(t, err, problem.InsufficientUserAuthentication)
	require.Contains(t, problem.From(err).Detail, "API key")
}
