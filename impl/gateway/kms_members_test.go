package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/gateway/internal/member"
	"github.com/fountainai/fountain/internal/revocation"
)

// keeper is a kms that only stores contracts.
type keeper struct {
	mu       sync.Mutex
	kept     []kms.ContractWithFiles
	refusing int // status of every answer; 0: it answers
	asked    atomic.Int64
	gets     atomic.Int64
}

func (k *keeper) serve(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked.Add(1)
	if k.refusing != 0 || r.Header.Get("Authorization") != "Bearer of the gateway" {
		w.WriteHeader(max(k.refusing, 401))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	name, one := strings.CutPrefix(r.URL.Path, "/kms/v1/contracts/")
	if !one { // one to a page
		page := kms.ContractList{Items: []kms.Contract{}}
		at := 0
		for at < len(k.kept) && k.kept[at].Contract.Name <= r.URL.Query().Get("cursor") {
			at++
		}
		if at < len(k.kept) {
			page.Items = append(page.Items, k.kept[at].Contract)
			page.NextCursor = &k.kept[at].Contract.Name
		}
		_ = json.NewEncoder(w).Encode(page)
		return
	}
	k.gets.Add(1)
	for _, c := range k.kept {
		if c.Contract.Name == name {
			_ = json.NewEncoder(w).Encode(c)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func (k *keeper) keep(contracts ...kms.ContractWithFiles) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = contracts
}

func (k *keeper) refuse(status int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refusing = status
}

type ownToken struct{ forgotten atomic.Int64 }

func (o *ownToken) Token(context.Context, string) (string, error) { return "of the gateway", nil }
func (o *ownToken) Forget(string)                                 { o.forgotten.Add(1) }

// The kms's contracts are read page by page at the start and after each announcement. If the kms refuses, or a contract is refused, what is in force
// stays.
func TestMember_comesFromTheKMS(t *testing.T) {
	k := &keeper{}
	server := httptest.NewServer(http.HandlerFunc(k.serve))
	t.Cleanup(server.Close)
	h := newHouseWith(t, func(c *Config) { c.UpstreamAllow, c.KMSURL = []string{"127.0.0.0/8"}, server.URL })
	stranger := httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(stranger.Close)
	h.stranger = stranger.URL
	kept := func(name, text, digest string, version int64) kms.ContractWithFiles {
		return kms.ContractWithFiles{
			Contract: kms.Contract{Name: name, Status: kms.ContractStatusActive, Version: version, Digest: digest, Upstreams: []string{h.stranger}, Public: []string{"getStatus"}},
			Document: kms.ContractDocument{File: "notes.yaml", Files: []kms.ContractFile{{Name: "notes.yaml", Text: text}}},
		}
	}
	k.keep(kept("notes", notes, "a", 1), kept("other", notes, "a", 1), kept("third", notes, "a", 1))
	changed, credential := make(chan struct{}, 1), &ownToken{}
	source, err := member.NewKMS(h.g.members, credential, changed)
	require.NoError(t, err)
	require.Error(t, source.Ready())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = source.Run(ctx) }() // it always succeeds
	t.Cleanup(func() { stop(); <-done })
	<-source.Heard()
	require.NoError(t, source.Ready())
	require.Len(t, h.g.members.Members(), 3)

	announce := member.Announce(changed)
	again := func(what string, holds func() bool) {
		t.Helper()
		require.NoError(t, announce(t.Context(), revocation.Entry{Kind: revocation.Contract, ID: "notes"}))
		require.Eventually(t, holds, 10*time.Second, 5*time.Millisecond, what)
	}
	version := func() string {
		if m := h.g.members.Member("notes"); m != nil {
			return m.Contract.Version
		}
		return ""
	}
	gets := k.gets.Load()
	k.keep(kept("notes", strings.ReplaceAll(notes, "version: 1.0.0", "version: 2.0.0"), "b", 1), kept("other", notes, "a", 1))
	again("a document of the same version but another digest, and one that is gone", func() bool { return version() == "2.0.0" && len(h.g.members.Members()) == 2 })
	require.Equal(t, gets+1, k.gets.Load(), "only what has changed is read")

	k.keep(kept("notes", "{", "c", 3), kept("other", notes, "a", 1))
	again("one that can't be taken", func() bool { return strings.Contains(h.log.String(), "the one in force stays") })
	require.Equal(t, "2.0.0", version())

	k.refuse(403)
	again("a refusal", func() bool { return credential.forgotten.Load() > 0 })
	require.Len(t, h.g.members.Members(), 2)
	k.refuse(0)

	closed := kept("notes", notes, "d", 4)
	closed.Contract.Status = kms.ContractStatusDisabled
	k.keep(closed)
	again("a service that is disabled", func() bool { return len(h.g.members.Members()) == 0 })
	asked := k.asked.Load()
	require.NoError(t, announce(t.Context(), revocation.Entry{Kind: revocation.Session}))
	require.Empty(t, changed, "what else ends is no reason to read")
	require.Equal(t, asked, k.asked.Load())
}
