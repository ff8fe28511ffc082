package totp

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Steps is a set of time steps in its stored form: runs of consecutive steps, in ascending order. Each run is stored as its distance from the end of the run before and
// its length. Codes of consecutive steps make one run; a single step takes two to four bytes. The zero value is empty.
type Steps []byte

// ErrSteps says that the stored bytes are not a set of steps.
var ErrSteps = errors.New("totp: stored steps can't be read")

// manyRuns is the number of runs above which With drops old ones. Up to it nothing is dropped, so that a clock that is ahead for a moment does not drop any.
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

// With returns the set with a step added. When it has more than manyRuns runs, those that end before oldest are dropped.
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
	case at < len(all) && all[at].first <= step: // it is in the set already
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
