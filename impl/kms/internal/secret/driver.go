package secret

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// The drivers. Random puts values nowhere: clients of the secret read it from the kms.
const (
	Random    = "random"
	Webhook   = "webhook"   // calls a rotator operated by a team
	Typesense = "typesense" // stores them as keys of an engine
)

// End is the step that ends a version outside. It is not part of a rotation.
const End Step = "end"

// StepTime bounds the time of a driver for one step. It is shorter than the lease.
const StepTime = 15 * time.Second

const (
	maxEndings   = 100       // attempts to end a version outside; after some four days it is given up
	lastEndRetry = time.Hour // longest time between two attempts
	endPause     = 10 * time.Second
	shownEndings = 10
)

// Failure is the reason why a driver's step failed, as a word that may be public. It is an error.
type Failure string

// The failures.
const (
	RefusedTarget  Failure = "refused_target"   // the operator does not allow a connection to the target
	NoAnswer       Failure = "no_answer"        // no answer in time
	AnswerTooLarge Failure = "answer_too_large" // the answer was not read to its end
	Rejected       Failure = "rejected"         // the target's answer is an error
	NoCredential   Failure = "no_credential"    // the secret with the signing secret or the admin key can't be read
	internalFault  Failure = "internal"
)

// Error implements error.
func (f Failure) Error() string { return string(f) }

// failureOf returns the word for an error.
func failureOf(err error) Failure {
	var f Failure
	if errors.As(err, &f) {
		return f
	}
	return internalFault
}

// Call is a driver's task.
type Call struct {
	Rotation
	Step         Step
	Version      int64
	Value        string    // of the version; empty at End
	Since        time.Time // distinguishes this use of the version from an earlier one
	Current      int64     // at End: the current version, and its value for a rotator that holds a single one
	CurrentValue string
	Credentials  []string  // current and previous version of the secret with the credential
	Until        time.Time // when another replica may take over the step
}

// Driver stores versions of secrets at targets outside the kms.
type Driver interface {
	// Check refuses invalid rotations (domain.ValidationFailed): with a target that is not allowed, or with a missing part.
	Check(ctx context.Context, r Rotation) error
	// Do takes a step within StepTime. It may be called again for the same step. An error that is not a Failure was not caused by the target.
	Do(ctx context.Context, c Call) error
}

// Placement is a version that may be valid outside the kms. With a zero EndAt its end is not scheduled.
type Placement struct {
	Name, Driver, URL, Credential string
	Version                       int64
	PlacedAt, EndAt               time.Time
	HeldUntil                     time.Time // end of the lease of the replica that ends it; unique among attempts
	Attempts                      int64
	LastError                     Failure
}

// at reports whether the version was placed at the rotation's target.
func (p Placement) at(r Rotation) bool { return p.Driver == r.Driver && p.URL == r.URL }

// PlacementRows are the queries for placements.
type PlacementRows interface {
	// Place stores that a version may be valid outside, without a scheduled end.
	Place(ctx context.Context, tx *store.Tx, p Placement) error
	// PlaceOnce is Place for a version that has no placement yet; otherwise it does nothing.
	PlaceOnce(ctx context.Context, tx *store.Tx, p Placement) error
	// EndOthers schedules the end of all versions but the current one, if it is not scheduled yet.
	EndOthers(ctx context.Context, tx *store.Tx, name string, current int64, at time.Time) error
	// EndVersion schedules the end of one version.
	EndVersion(ctx context.Context, tx *store.Tx, name string, version int64, at time.Time) error
	// Placement returns the placement of a version; false when there is none.
	Placement(ctx context.Context, q store.Querier, name string, version int64) (Placement, bool, error)
	// Ending returns the placements of a secret with a scheduled end, the earliest first.
	Ending(ctx context.Context, q store.Querier, name string, limit int) ([]Placement, error)
	// DueEndings returns placements whose end is due by the time, and that no replica has leased.
	DueEndings(ctx context.Context, q store.Querier, at time.Time, limit int) ([]Placement, error)
	// ClaimEnding leases the ending of a placement; false when it is not due any more, or another replica has the lease.
	ClaimEnding(ctx context.Context, tx *store.Tx, p Placement, at, until time.Time) (Placement, bool, error)
	// Held reports whether a version of the secret is being ended under a lease.
	Held(ctx context.Context, q store.Querier, name string, at time.Time) (bool, error)
	// PutOffEnding records a failed attempt and schedules the next one, unless the lease is no longer current.
	PutOffEnding(ctx context.Context, tx *store.Tx, p Placement, at time.Time) error
	// KeepPlacement cancels the scheduled end of a placement.
	KeepPlacement(ctx context.Context, tx *store.Tx, name string, version int64) error
	// DeletePlacement deletes a placement that has been ended; false when its end was cancelled, or the lease is no longer current.
	DeletePlacement(ctx context.Context, tx *store.Tx, p Placement) (bool, error)
}

// outside returns the driver with a name; nil for random. A driver that this kms does not have is an error.
func (s *Secrets) outside(name string) (Driver, error) {
	if name == Random {
		return nil, nil
	}
	if d := s.Drivers[name]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("there is no driver %s", name)
}

// check refuses a rotation whose parts do not fit its driver, or whose target is not allowed. maySend checks what the caller may send.
func (s *Secrets) check(ctx context.Context, r Rotation) error {
	driver, err := s.outside(r.Driver)
	if err != nil {
		return err
	}
	if driver == nil {
		if r.URL != "" || r.Credential != "" || len(r.Collections) > 0 || len(r.Actions) > 0 {
			return domain.Refuse(domain.ValidationFailed, "The driver random has a length and an interval alone.").WithField("body", "/driver", "driver", "takes no url, credential, collections and actions")
		}
		return nil
	}
	for pointer, value := range map[string]string{"/url": r.URL, "/credential": r.Credential} {
		if value == "" {
			return domain.Refuse(domain.ValidationFailed, "The driver has to know where the secret is set, and by which credential.").WithField("body", pointer, "required", "is required by the driver")
		}
	}
	return driver.Check(ctx, r)
}

// begun prepares the call of a step in the caller's transaction. It stores that the version may be valid outside from now on, and records that its
// value is sent out of the kms.
func (s *Secrets) begun(ctx context.Context, tx *store.Tx, r Rotation) (*Call, error) {
	c := &Call{Rotation: r, Step: r.Step, Version: r.Version, Since: r.StartedAt, Until: domain.Now(s.clock).Add(leaseLife)}
	found, ok, err := s.rows.Version(ctx, tx, r.Name, r.Version)
	if err != nil {
		return nil, err
	}
	if !ok || found.Of.readable() != nil {
		return nil, errors.New("the pending version is not there")
	}
	if c.Value, err = s.open(Sealed{Secret{Name: r.Name, Version: r.Version}, found.WrappedKey, found.Value}); err != nil {
		return nil, err
	}
	if c.Credentials, err = s.credentials(ctx, tx, r.Credential); err != nil {
		return nil, err
	}
	if err := s.rows.Place(ctx, tx, Placement{Name: r.Name, Driver: r.Driver, URL: r.URL, Credential: r.Credential, Version: r.Version, PlacedAt: r.StartedAt}); err != nil {
		return nil, err
	}
	return c, s.sent(ctx, tx, *c)
}

// sent records what is sent out of the kms: a version of the secret, and also the credential if the credential itself is sent and not only used to
// sign.
func (s *Secrets) sent(ctx context.Context, tx *store.Tx, c Call) error {
	detail := map[string]string{"driver": c.Driver, "url": c.URL, "step": string(c.Step), "version": fmt.Sprint(c.Version), "credential": c.Credential}
	if c.Current != 0 {
		detail["current"] = fmt.Sprint(c.Current)
	}
	err := s.audit.Append(ctx, tx, auditlog.Event{Action: "sendSecretVersion", Target: c.Name, Detail: detail})
	if err != nil || c.Driver != Typesense || c.Step == Test { // a test uses the new key
		return err
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: "sendSecretVersion", Target: c.Credential, Detail: map[string]string{
		"driver": c.Driver, "url": c.URL, "step": string(c.Step), "for": c.Name,
	}})
}

// credentials returns the readable values among the current and the previous version of a secret. It returns NoCredential when there are none.
func (s *Secrets) credentials(ctx context.Context, q store.Querier, name string) (values []string, err error) {
	of, found, err := s.rows.Get(ctx, q, name)
	if err != nil || !found {
		return nil, errors.Join(err, NoCredential)
	}
	for _, number := range []int64{of.Version, of.Previous} {
		v, found, err := s.rows.Version(ctx, q, name, number)
		if err != nil {
			return nil, err
		}
		if !found || v.Of.readable() != nil {
			continue
		}
		value, err := s.open(Sealed{Secret{Name: name, Version: number}, v.WrappedKey, v.Value})
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	if len(values) == 0 {
		return nil, NoCredential
	}
	return values, nil
}

// do has the driver take a step, within StepTime and the time of the lease.
func (s *Secrets) do(ctx context.Context, c Call) error {
	driver, err := s.outside(c.Driver)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, min(StepTime, c.Until.Sub(domain.Now(s.clock))))
	defer cancel()
	return driver.Do(ctx, c)
}

// endOutside ends due versions outside. It returns the errors of those that failed; they are tried again.
func (s *Secrets) endOutside(ctx context.Context) (err error) {
	defer tried.To(&err, "end versions of secrets outside")
	due, err := s.rows.DueEndings(ctx, s.db.Read(ctx), domain.Now(s.clock), claimLimit)
	if err != nil {
		return err
	}
	faults := make([]error, len(due))
	var all sync.WaitGroup
	for i, p := range due { // in parallel, as rotations are
		all.Go(func() {
			if fault := s.endOne(ctx, p); fault != nil {
				faults[i] = fmt.Errorf("end secret %s version %d: %w", p.Name, p.Version, fault)
			}
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

func (s *Secrets) endOne(ctx context.Context, p Placement) error {
	var c *Call
	mine := p
	err := s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		mine, c, err = s.beginEnding(ctx, tx, p)
		return err
	})
	switch {
	case err != nil:
		mine = p // nothing was leased
	case c == nil:
		return nil
	default:
		err = s.do(ctx, *c)
	}
	settled := s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return s.settleEnding(ctx, tx, mine, err) })
	if err != nil {
		s.Count(p.Driver, End)
	}
	return errors.Join(err, settled)
}

// beginEnding leases the end of a version and prepares its call. There is no call when the version is current or pending again, or when another
// replica has the lease. The end is postponed while another version is being placed outside: the call carries the current version, and a rotator that
// holds a single value would replace the new value with it.
func (s *Secrets) beginEnding(ctx context.Context, tx *store.Tx, p Placement) (Placement, *Call, error) {
	of, found, err := s.rows.Lock(ctx, tx, p.Name)
	if err != nil || !found {
		return p, nil, err
	}
	if p.Version == of.Version || p.Version == of.Pending {
		return p, nil, s.rows.KeepPlacement(ctx, tx, p.Name, p.Version)
	}
	r, rotated, err := s.rows.Rotation(ctx, tx, p.Name)
	if err != nil {
		return p, nil, err
	}
	now := domain.Now(s.clock)
	if r.Step == Set || r.Step == Test || r.Step == Finish {
		return p, nil, s.rows.PutOffEnding(ctx, tx, p, now.Add(endPause))
	}
	p, held, err := s.rows.ClaimEnding(ctx, tx, p, now, now.Add(leaseLife))
	if err != nil || !held {
		return p, nil, err
	}
	c := &Call{
		Rotation: Rotation{Name: p.Name, Driver: p.Driver, URL: p.URL, Credential: p.Credential}, Step: End, Version: p.Version, Since: p.PlacedAt, Until: p.HeldUntil,
	}
	if c.Credentials, err = s.credentials(ctx, tx, p.Credential); err != nil {
		return p, nil, err
	}
	if err := s.tellCurrent(ctx, tx, of, c, rotated && p.at(r)); err != nil {
		return p, nil, err
	}
	return p, c, s.sent(ctx, tx, *c)
}

// tellCurrent adds the current version to a call if the call's target should have it. That is so if the secret is rotated there, if the current
// version was placed there, or if the version that is ended is newer than the current one, which is then restored there. A rotator that is no longer
// used gets no further value.
func (s *Secrets) tellCurrent(ctx context.Context, tx *store.Tx, of Secret, c *Call, rotatedHere bool) error {
	there, placed, err := s.rows.Placement(ctx, tx, c.Name, of.Version)
	if err != nil {
		return err
	}
	if !rotatedHere && of.Version > c.Version && !(placed && there.at(c.Rotation)) {
		return nil
	}
	current, _, err := s.rows.Get(ctx, tx, c.Name)
	if err != nil {
		return err
	}
	c.Current = current.Version
	c.CurrentValue, err = s.open(current)
	return err
}

// settleEnding writes the outcome of an attempt to end a version.
func (s *Secrets) settleEnding(ctx context.Context, tx *store.Tx, p Placement, failed error) error {
	if _, _, err := s.rows.Lock(ctx, tx, p.Name); err != nil {
		return err
	}
	p.Attempts++
	if failed != nil && p.Attempts < maxEndings {
		p.LastError = failureOf(failed)
		return s.rows.PutOffEnding(ctx, tx, p, domain.Now(s.clock).Add(min(firstRetry<<min(p.Attempts, 20), lastEndRetry)))
	}
	if ended, err := s.rows.DeletePlacement(ctx, tx, p); err != nil || !ended {
		return err
	}
	outcome := Done
	if failed != nil {
		outcome = Failed
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: "endSecretVersion", Target: p.Name, Detail: map[string]string{
		"version": fmt.Sprint(p.Version), "driver": p.Driver, "outcome": outcome,
	}})
}

// Rollback starts a rotation back to the previous version. It is placed and tested where the driver places versions, and then becomes current. It
// fails with domain.StateConflict while a version is pending, a rotation is running or the previous version is being ended outside.
func (s *Secrets) Rollback(ctx context.Context, caller *auth.Principal, name string) (r Rotation, err error) {
	defer tried.To(&err, "roll back secret")
	err = s.entered(ctx, caller, policy.RollbackRotation, name, func(ctx context.Context, tx *store.Tx) error {
		secret, err := s.owned(ctx, tx, name)
		if err != nil {
			return err
		}
		now, found, err := s.rows.Rotation(ctx, tx, name)
		if err != nil {
			return err
		}
		if !found {
			return notRotated()
		}
		if err := s.mayReturn(ctx, tx, secret, now); err != nil {
			return err
		}
		var begun bool
		if r, begun, err = s.rows.BeginRotation(ctx, tx, name, domain.Now(s.clock), false); err != nil {
			return err
		}
		if !begun {
			return domain.Refuse(domain.StateConflict, "A rotation of the secret is under way.")
		}
		r.Step, r.Version = Set, secret.Previous
		secret.Pending = secret.Previous
		if err := s.rows.SetStages(ctx, tx, secret); err != nil {
			return err
		}
		if err := s.rows.KeepPlacement(ctx, tx, name, r.Version); err != nil {
			return err
		}
		if err := s.rows.SettleRotation(ctx, tx, r, "", domain.Now(s.clock)); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "rollbackSecretRotation", Target: name, Detail: map[string]string{
			"driver": r.Driver, "version": fmt.Sprint(r.Version),
		}})
	})
	return r, err
}

// mayReturn refuses a rollback that can't succeed.
func (s *Secrets) mayReturn(ctx context.Context, tx *store.Tx, secret Secret, r Rotation) error {
	if secret.Pending != 0 {
		return domain.Refuse(domain.StateConflict, "A version is pending; promote or delete it first.")
	}
	v, found, err := s.rows.Version(ctx, tx, secret.Name, secret.Previous)
	if err != nil {
		return err
	}
	if !found {
		return domain.Refuse(domain.NotFound, "The secret has no previous version.")
	}
	if err := v.Of.readable(); err != nil {
		return err
	}
	p, placed, err := s.rows.Placement(ctx, tx, secret.Name, secret.Previous)
	switch {
	case err != nil:
		return err
	case placed && p.HeldUntil.After(domain.Now(s.clock)):
		return domain.Refuse(domain.StateConflict, "The previous version is just being ended where it worked; try again.")
	case placed && r.Driver != Random && !p.at(r): // otherwise it would never be ended there
		return domain.Refuse(domain.StateConflict, "The previous version works at another target; name that one in the rotation, or wait until it is ended there.")
	}
	return nil
}
