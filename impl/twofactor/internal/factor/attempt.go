package factor

import (
	"context"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
)

// Attempt is one code that a subject has given, or a service for a subject.
type Attempt struct {
	Subject string
	Session string // in which it was given: a session of the subject, or the name of a service and a session there
	Passing bool   // Session is used for this attempt only
	At      time.Time

	service *Service
	code    string
	event   Event // recorded on success; a refusal is recorded with its reason as the detail
}

// State is the state of a subject whose row is locked.
type State struct {
	Tries   Tries
	Proven  Proven   // of the attempt's session; looked up only while Tries is locked
	Factors []Record // active TOTP factors, by id
}

// Verdict is the outcome of an attempt.
type Verdict struct {
	Refusal error   // nil: the code was right
	Tries   Tries   // new state
	Proven  Proven  // new state
	Used    *Record // new state of the factor whose code was right; LastStep is the step of the code
	Event   *Event  // nil: the code was not compared, and nothing is written
}

// Judge compares the code and returns the verdict. It may run again when a commit fails, so it has no effects except lines in the log.
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
		v.Event.Detail["lastStep"] = "ahead" // LastStep was set while the clock was ahead, and was ignored
	}
	v.Tries.succeed(a.Session)
	return v
}

// Lost returns the verdict when the step turns out to be used although the factor's last step says otherwise: the clock was set back, or a backup was restored.
func (a *Attempt) Lost(s State) Verdict { return a.wrong(s, match{used: true}) }

// happened returns the event of success.
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

// wrong returns the verdict that counts the attempt and records why it was refused. The caller gets the same answer for every reason, except when a seed
// could not be opened. A used code is recorded as such, because another person may have seen it.
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
	tried  int    // factors whose codes have as many digits as the given one
	only   string // the id of the factor that was tried; empty: none or several
}

// match compares the code with every factor, also after a match, and with a decoy when there is none. So the work does not depend on the outcome.
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

// compare compares the code with those of one factor.
func (a *Attempt) compare(r *Record) (step int64, ok bool, err error) {
	seed, err := a.service.seed(r)
	if err != nil {
		a.service.Log.Error("a factor's seed can't be decrypted", "factor", r.ID, "error", err)
		return 0, false, err
	}
	return totp.Match(seed, r.Parameters, a.At, r.Clock, a.code)
}

// try judges a code and returns the factor that it belongs to. passing says that session is used for this attempt only.
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

// reason returns the detail of a refusal: why, how many attempts, and whether this one locked.
func reason(why string, attempts int64, locked bool) map[string]string {
	detail := map[string]string{"reason": why, "attempts": strconv.FormatInt(attempts, 10)}
	if locked {
		detail["locked"] = "true"
	}
	return detail
}
