package credential_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/credential"
)

// witness is closed as the contract is: it refuses a body with a member that it does not know.
func (f *fake) witness(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var told struct {
		audit.Checkpoint
		KeptSeconds *int64 `json:"keptSeconds"`
	}
	into := any(&told)
	if f.older {
		into = &told.Checkpoint
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	switch {
	case err != nil || decoder.Decode(into) != nil:
		http.Error(w, `{"code":"invalid_body"}`, http.StatusUnprocessableEntity)
	case told.Service != "search":
		http.Error(w, `{"code":"forbidden"}`, http.StatusForbidden)
	default:
		f.witnessed = append(f.witnessed, string(body))
		_ = json.NewEncoder(w).Encode(audit.Checkpoint{Service: "kms", Seq: told.Seq + 1})
	}
}

// A service tells with its checkpoint for how long it keeps events. A kms of an older release, which refuses that, gets the checkpoint alone, and the rest as soon as it
// is upgraded: the order of an upgrade leaves no trail without its witness. Any other refusal is one.
func TestWitnessAudit_tellsAnOlderKmsTheCheckpointAlone(t *testing.T) {
	f := newFake(t)
	c := f.open(t.TempDir())
	f.invite(c, "et_first")
	c.waitReady(t)
	own := audit.Checkpoint{Service: "search", Seq: 7, Hash: make([]byte, 32), At: f.clock.Now().UTC()}
	alone, err := json.Marshal(own)
	require.NoError(t, err)
	whole := string(alone[:len(alone)-1]) + `,"keptSeconds":7776000}`
	for i, older := range []bool{false, true, false} {
		f.with(func() { f.older = older })
		theirs, err := c.WitnessAudit(t.Context(), own, 90*24*time.Hour+time.Second/2)
		require.NoError(t, err)
		require.Equal(t, audit.Checkpoint{Service: "kms", Seq: 8}, theirs)
		f.with(func() {
			require.Len(t, f.witnessed, i+1, "each is recorded once")
			require.JSONEq(t, map[bool]string{false: whole, true: string(alone)}[older], f.witnessed[i])
		})
	}
	own.Service = "sequence"
	_, err = c.WitnessAudit(t.Context(), own, time.Hour)
	var refused *credential.Refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusForbidden, refused.Status)
}
