package sets

import (
	"strings"

	"github.com/fountainai/fountain/internal/problem"
)

// State is whether the engine has what a set says.
type State string

// The states.
const (
	Applied State = "applied" // the engine has it, where it holds for anything
	Pending State = "pending" // it is not there yet, or this process has not looked yet
	Failed  State = "failed"  // the engine did not take it, and is asked again
)

// Status is what an application has shown of a set.
type Status struct {
	State         State
	Code, Message string // why it failed

	version int64
}

// Status is what this process knows of a set's version at the engine. Presets, which never go there, have none: the zero value.
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

// idOf is the id of the set that a record of the engine is of.
func idOf(record string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(record, prefix), "-")
	return id
}

// fails notes that the engine did not take something of a set; nil is nothing.
func (r *run) fails(id string, err error) {
	if err != nil && r.failed[id] == nil {
		r.failed[id] = err
	}
}

// ofCollection is a refusal as whoever may read the set is told it: the collection may be another's, and the engine's words are about that.
func ofCollection(err error) error {
	if err == nil {
		return nil
	}
	return problem.New(problem.From(err).Code, "A collection that uses the set was not given it.").Wrap(err)
}

// tell notes the status of the sets that were read.
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
