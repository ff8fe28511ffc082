package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

// Facts is what the service knows about its engine without a request to it.
type Facts struct {
	KeyVersion func() int64 // of the key in use; 0 if it has none
	// Nodes returns the nodes of a remote engine; nil for the embedded one.
	Nodes       func() []tsclient.NodeState
	Unsupported []string // of the embedded engine
	Limits      *Limits  // of the embedded engine; nil for another
}

// Limits are the limits of the embedded engine.
type Limits struct{ Documents, DocumentsPerCollection, Collections, DocumentBytes, MemoryBytes int64 }

// syncItems is the maximum number of items of a sync, as in the contract.
const syncItems = 5000

// GetEngine implements searchapi.StrictServerInterface.
func (h *Handlers) GetEngine(ctx context.Context, _ searchapi.GetEngineRequestObject) (searchapi.GetEngineResponseObject, error) {
	core, _, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	version, embedded, err := core.Engine.Version(ctx)
	if err != nil {
		return nil, err
	}
	out := searchapi.GetEngine200JSONResponse{
		Mode: searchapi.EngineModeTypesense, Version: version, Unsupported: []string{},
		Limits: searchapi.EngineLimits{SyncItems: syncItems, Searches: engine.SearchesAtOnce},
	}
	if embedded {
		out.Mode = searchapi.EngineModeEmbedded
	}
	if n := core.Facts.KeyVersion(); n > 0 {
		out.KeyVersion = &n
	}
	if core.Facts.Nodes != nil {
		nodes := []searchapi.EngineNode{}
		for _, n := range core.Facts.Nodes() {
			nodes = append(nodes, searchapi.EngineNode{Address: n.Address, Healthy: n.Healthy, Since: n.Since.UTC()})
		}
		out.Nodes = &nodes
	}
	if l := core.Facts.Limits; l != nil {
		out.Unsupported = core.Facts.Unsupported
		out.Limits.Documents, out.Limits.DocumentsPerCollection, out.Limits.Collections = &l.Documents, &l.DocumentsPerCollection, &l.Collections
		out.Limits.DocumentBytes, out.Limits.MemoryBytes = &l.DocumentBytes, &l.MemoryBytes
	}
	return out, nil
}
