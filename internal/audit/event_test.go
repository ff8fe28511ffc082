package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
)

// An event is stored byte for byte as encoding/json writes it. Earlier releases did so, and exports are read by any JSON tool.
func FuzzEvent_isStoredAsJSON(f *testing.F) {
	f.Add("login", "usr_1", "key_1", "scopes", "a b", "192.0.2.1", int64(1_700_000_000_123_456))
	f.Add("a", "\x00\xff", "<&>\u2028\"\\", "", "\x7f\t\né", "", int64(0))
	f.Add("a", "", "", "b", "", "", int64(-1))
	f.Fuzz(func(t *testing.T, action, actor, target, name, value, address string, at int64) {
		const years = 60_000_000_000_000_000 // microseconds; of four digits each
		e := audit.Event{
			At: time.UnixMicro(at % years).Add(123), Action: "a" + action, Actor: actor, ActorKind: audit.User, Target: target, Outcome: audit.OK, RequestID: name, Address: address,
			Detail: map[string]string{name: value, value: name, "sid": target},
		}
		if at%2 == 0 {
			e.Detail = nil
		}
		if len(action)+len(actor)+len(target)+len(name)+len(value)+len(address) > 400 {
			return // an event that is too large is refused
		}
		stored, want, err := audit.Stored(e)
		require.NoError(t, err)
		require.Equal(t, string(want), string(stored))
	})
}
