package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/egress"
)

func TestConfig_letsNoAdoptedServiceBeWhereTheFamilyIs(t *testing.T) {
	h := newHouse(t)
	c := h.config("http://10.0.0.1:8000")
	c.KMSURL, c.TwofactorURL, c.SearchURL, c.SequenceURL = "http://10.0.0.1:8003", "https://10.0.0.2", "http://10.0.0.3", "http://10.0.0.4:8000,http://service_a.:8000"
	c.Addr, c.Listener = "10.0.0.6:8002", nil
	c.Redis.URL = "redis://10.0.0.5"
	c.UpstreamAllow, c.UpstreamDeny = []string{"10.0.0.0/8", "service_a:8000@10.0.0.0/8"}, []string{"10.0.0.7:9002"}
	require.NoError(t, c.Validate())
	targets, err := c.targets()
	require.NoError(t, err)
	policy, err := egress.New(c.egress(targets))
	require.NoError(t, err)
	for _, target := range []string{
		"10.0.0.1:8003", "10.0.0.2:443", "10.0.0.3:80", "10.0.0.4:8000", "service_a:8000", "10.0.0.5:6379", "10.0.0.6:8002", "10.0.0.7:9002",
	} {
		_, err := policy.CheckURL(t.Context(), "http://"+target)
		var refused *egress.RefusedError
		require.ErrorAs(t, err, &refused, target)
		require.Equal(t, egress.Denied, refused.Reason, target)
	}
	_, err = policy.CheckURL(t.Context(), "http://10.0.0.1:9000")
	require.NoError(t, err)
}

func TestConfig_refusesAFaultyListOfTargets(t *testing.T) {
	h := newHouse(t)
	c := h.config(h.behind)
	c.UpstreamAllow = []string{"10.0.0.0/8", "10.0.0.1/8"}
	require.ErrorContains(t, c.Validate(), "UPSTREAM_ALLOW: entry 2: ")
}
