package chaos

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/tests/harness"
)

// givenHousehold returns the family that the suite runs against, which has two of each service, and the replicas of
// some services.
func givenHousehold(t *testing.T, services ...string) (h *household, replicas []*replica) {
	t.Helper()
	f := harness.Start(t)
	h = &household{t: t, gateway: f.Info.GatewayURL, people: "g" + strings.ToLower(rand.Text()[:8])}
	h.admin = clientOf(t, h.gateway, fountain.WithTokenSource(fountain.TokenSourceFunc(f.Admin().Token)), fountain.WithStepUp(f.StepUp))
	for _, service := range services {
		replicas = append(replicas, &replica{t: t, word: service, given: true, url: h.gateway})
	}
	return h, replicas
}
