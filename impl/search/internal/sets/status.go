package sets

import (
	"strings"

	"github.com/fountainai/fountain/internal/problem"
)

// State says whether the engine has the current content of a set.
type State string

// The states.
const (
	Applied State = "applied" // the engine has it, if it is used for anything
	Pending State = "pending" // the engine does not have it yet, or this process has not checked yet
	Failed  State = "failed"  // the engine refused it; it is tried again
)

// Status is the result of the last application of a set.
type Status struct {
	State         State
	Code, Message string // why it failed

	version int64
}

// Status returns what this process knows about the current version of a set at the engine. It is the zero value for presets, which are
// never sent there.
func (a *Applier) Status(s *Set) Status {
	if s.Kind == Presets {
		return Status{}
	}
	if known := a.state.Load(); known != nil {
		if told := (*known)[s.ID]; told.version == s.Version {
			return told
		}
	}
	return Status{State: Pending}
}

// idOf returns the ID of the set to which a record of the engine belongs.
func idOf(record string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(record, prefix), "-")
	return id
}

// fails records the first error of a set; nil is ignored.
func (r *run) fails(id string, err error) {
	if err != nil && r.failed[id] == nil {
		r.failed[id] = err
	}
}

// ofCollection replaces an error about a collection by one that the readers of a set may see. They may have no access to the collection,
// and the engine's message is about that.
func ofCollection(err error) error {
	if err == nil {
		return nil
	}
	return problem.New(problem.From(err).Code, "The set could not be applied to a collection that uses it.").Wrap(err)
}

// tell records the status of the sets that were read.
func (r *run) tell(rows []*Set) {
	r.state = make(map[string]Status, len(rows))
	for _, s := range rows {
		told := Status{State: Applied, version: s.Version}
		if err := r.failed[s.ID]; err != nil {
			p := problem.From(err)
			told.State, told.Code, told.Message = Failed, string(p.Code), p.Detail
		}
		r.state[s.ID] = told
	}
}
