package totp

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Steps is a set of time steps, as it is stored: runs of steps that follow each other, in rising order, each as its distance from the end of the one before and its
// length. Codes that are given one after the other make one run; a lone one takes two to four bytes. The zero value is empty.
type Steps []byte

// ErrSteps says that what is stored is no set of steps.
var ErrSteps = errors.New("totp: stored steps can't be read")

// manyRuns is from how many runs on With leaves out what is old. Before that nothing is forgotten, so that a clock that is ahead for a moment forgets nothing.
const manyRuns = 64

// run is a range of steps, both ends included.
type run struct{ first, last int64 }

func (s Steps) runs() (all []run, err error) {
	end := int64(0)
	for rest := []byte(s); len(rest) > 0; {
		distance, n := binary.Varint(rest)
		if n <= 0 {
			return nil, ErrSteps
		}
		more, m := binary.Uvarint(rest[n:])
		if m <= 0 {
			return nil, ErrSteps
		}
		rest = rest[n+m:]
		r := run{end + distance, end + distance + int64(more)}
		if r.last < r.first || len(all) > 0 && r.first <= end {
			return nil, ErrSteps
		}
		all, end = append(all, r), r.last
	}
	return all, nil
}

// Has reports whether the step is in the set.
func (s Steps) Has(step int64) (bool, error) {
	all, err := s.runs()
	return slices.ContainsFunc(all, func(r run) bool { return r.first <= step && step <= r.last }), err
}

// With returns the set with one step more. Where it has grown large it is without the steps before the oldest that matters.
func (s Steps) With(step, oldest int64) (Steps, error) {
	all, err := s.runs()
	if err != nil {
		return nil, err
	}
	at, _ := slices.BinarySearchFunc(all, step, func(r run, step int64) int {
		switch {
		case r.last < step:
			return -1
		case r.first > step:
			return 1
		}
		return 0
	})
	switch {
	case at < len(all) && all[at].first <= step: // it is in the set
		return s, nil
	default:
		all = slices.Insert(all, at, run{step, step})
	}
	if at+1 < len(all) && all[at+1].first == step+1 {
		all[at].last = all[at+1].last
		all = slices.Delete(all, at+1, at+2)
	}
	if at > 0 && all[at-1].last == step-1 {
		all[at-1].last = all[at].last
		all = slices.Delete(all, at, at+1)
	}
	if len(all) > manyRuns {
		all = slices.DeleteFunc(all, func(r run) bool { return r.last < oldest })
	}
	return encode(all), nil
}

func encode(all []run) Steps {
	out, end := make([]byte, 0, 4*len(all)+8), int64(0)
	for _, r := range all {
		out = binary.AppendVarint(out, r.first-end)
		out = binary.AppendUvarint(out, uint64(r.last-r.first))
		end = r.last
	}
	return out
}
