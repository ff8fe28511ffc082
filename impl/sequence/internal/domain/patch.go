package domain

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/wI2L/jsondiff"
)

// Comparison is the JSON patch that turns the data of one version of an element into those of another.
type Comparison struct {
	From, To int64 // versions
	Patch    []PatchOperation
}

// PatchOperation is one operation of a JSON patch (RFC 6902).
type PatchOperation struct {
	Op    string // add, remove or replace
	Path  string // RFC 6901
	Value []byte // JSON; nil: remove
}

// Compare returns the patch that turns the data of from into those of to. Numbers are compared as they are written, whatever their size.
func Compare(from, to Version) (Comparison, error) {
	exact := jsondiff.UnmarshalFunc(func(text []byte, into any) error {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		return decoder.Decode(into)
	})
	patch, err := jsondiff.CompareJSON(from.Data, to.Data, exact)
	if err != nil {
		return Comparison{}, fmt.Errorf("compare versions: %w", err)
	}
	out := Comparison{From: from.Version, To: to.Version, Patch: make([]PatchOperation, len(patch))}
	for i, op := range patch {
		out.Patch[i] = PatchOperation{Op: op.Type, Path: op.Path}
		if op.Type == jsondiff.OperationRemove {
			continue
		}
		if out.Patch[i].Value, err = json.Marshal(op.Value); err != nil {
			return Comparison{}, fmt.Errorf("encode value of patch: %w", err)
		}
	}
	return out, nil
}
