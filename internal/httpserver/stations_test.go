package httpserver

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStations_areInTheOrderOfTheDesign(t *testing.T) {
	do := func(*Exchange) error { return nil }
	names := func(s Stations) (all []string) {
		for _, station := range s.inOrder() {
			all = append(all, station.name)
		}
		return all
	}
	require.Equal(t, []string{"ready", "pre-auth limit", "authenticate", "permit", "subject limit", "target", "concurrency", "step-up",
		"media", "parameters", "body", "admission", "redeem code", "serve"}, names(Stations{do, do, do, do, do, do, do, do, do, do, do, do, do, do}))
	require.Equal(t, []string{"authenticate", "permit", "media", "parameters", "body"}, names(Checks(nil)), "what every door has")
}
