package factor

import (
	"context"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
)

// Attempt is one code that was given by a subject, or for it.
type Attempt struct {
	Subject string
	Session string // who gave it: a session, or a service's client
	Passing bool   // Session is of this attempt alone
	At      time.Time

	service *Service
	code    string
	event   Event // of success; a refusal is recorded with its reason instead of the detail
}

// State is what a subject has while nobody else may change it.
type State struct {
	Tries   Tries
	Proven  Proven   // of the attempt's session; looked up only while Tries is locked
	Factors []Record // active TOTP factors, by id
}

// Verdict is what an attempt has decided.
type Verdict struct {
	Refusal error   // nil: the code was right
	Tries   Tries   // from now on
	Proven  Proven  // from now on
	Used    *Record // the factor whose code was right, as it is from now on, LastStep being the step of the code
	Event   *Event  // nil: nothing was looked at, and nothing is written
}

// Judge compares the code. It is pure but for the log, for it may run again when a commit fails.
func (a *Attempt) Judge(s State) Verdict {
	if refusal := s.Tries.refusal(a.At); refusal != nil && (!s.Proven.Is || s.Proven.Wrong >= spare) {
		return Verdict{Refusal: refusal, Tries: s.Tries, Proven: s.Proven}
	}
	found := a.match(s.Factors)
	if found.winner == nil {
		return a.wrong(s, found)
	}
	used := *found.winner
	used.Clock = used.Clock.Learn(found.step - used.Parameters.Step(a.At))
	used.LastStep, used.LastUsed = found.step, a.At
	if a.Passing {
		if err := used.spend(found.step, a.At); err != nil {
			found.broken = err
			return a.wrong(s, found)
		}
	}
	v := Verdict{Tries: s.Tries, Proven: Proven{Is: true}, Used: &used, Event: a.happened(used.ID)}
	if found.winner.ahead(a.At) {
		v.Event.Detail["lastStep"] = "ahead" // it was set by a clock that was ahead, and did not count
	}
	v.Tries.succeed(a.Session)
	return v
}

// Lost is the verdict when the step turned out to be used although the factor's last step said otherwise: the clock was set back, or a backup restored.
func (a *Attempt) Lost(s State) Verdict { return a.wrong(s, match{used: true}) }

// happened is the event of success.
func (a *Attempt) happened(target string) *Event {
	e := a.event
	e.Target, e.Detail = target, map[string]string{}
	for k, v := range a.event.Detail {
		e.Detail[k] = v
	}
	if e.Service {
		e.Detail["subject"] = a.Subject
	}
	return &e
}

// wrong counts the attempt and records why it was refused. The answer is the same whatever the reason. A used code is recorded as such: somebody else may
// have seen it.
func (a *Attempt) wrong(s State, m match) Verdict {
	v := Verdict{Refusal: ErrInvalidCode, Tries: s.Tries, Proven: s.Proven}
	locked := false
	if s.Tries.Locked(a.At) {
		v.Proven.Wrong++
	} else {
		locked = v.Tries.fail(a.Session, a.At)
	}
	why := "wrong"
	switch {
	case m.tried == 0 && !m.used:
		why = "no_factor"
	case m.used:
		why = "used"
	}
	e := a.event
	e.Denied, e.Target, e.Detail = true, m.only, reason(why, v.Tries.Wrong, locked)
	if e.Service {
		e.Detail["subject"] = a.Subject
	}
	v.Event = &e
	if m.broken != nil {
		v.Refusal = m.broken
	}
	return v
}

// match is the result of comparing a code with every factor.
type match struct {
	winner *Record
	step   int64
	used   bool   // the code belongs to a step that was used already
	broken error  // a seed did not open
	tried  int    // factors whose codes have as many digits
	only   string // the id of the one that was tried, when it was one
}

// match compares the code with every factor, whether or not one has matched before, and with a decoy when there is none.
func (a *Attempt) match(factors []Record) match {
	var m match
	for i := range factors {
		r := &factors[i]
		if r.Parameters.Digits != len(a.code) {
			continue
		}
		m.tried, m.only = m.tried+1, r.ID
		step, ok, err := a.compare(r)
		used := false
		if err == nil && ok {
			used, err = r.used(step, a.At)
		}
		switch {
		case err != nil:
			m.broken = err
		case !ok:
		case used:
			m.used = true
		case m.winner == nil:
			m.winner, m.step = r, step
		}
	}
	if m.tried != 1 {
		m.only = ""
	}
	if m.tried == 0 {
		decoy := a.service.decoy
		decoy.Parameters = totp.Default
		decoy.Parameters.Digits = max(len(a.code), totp.Default.Digits)
		_, _, m.broken = a.compare(&decoy)
	}
	return m
}

// compare compares the code with one factor's.
func (a *Attempt) compare(r *Record) (step int64, ok bool, err error) {
	seed, err := a.service.seed(r)
	if err != nil {
		a.service.Log.Error("a factor's seed does not open", "factor", r.ID, "error", err)
		return 0, false, err
	}
	return totp.Match(seed, r.Parameters, a.At, r.Clock, a.code)
}

// try judges a code and returns the factor whose it was. passing says that nobody else can be of the session.
func (s *Service) try(ctx context.Context, subject, session string, passing bool, code string, e Event) (Record, error) {
	a := &Attempt{Subject: subject, Session: session, Passing: passing, At: e.At, service: s, code: code, event: e}
	v, err := s.Repository.Attempt(ctx, a)
	if err != nil {
		return Record{}, err
	}
	if v.Refusal != nil {
		return Record{}, v.Refusal
	}
	return *v.Used, nil
}

// reason is the detail of a refusal: why, how many in a row, and whether it locked.
func reason(why string, attempts int64, locked bool) map[string]string {
	detail := map[string]string{"reason": why, "attempts": strconv.FormatInt(attempts, 10)}
	if locked {
		detail["locked"] = "true"
	}
	return detail
}
