package secret

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Step is a step of a rotation. In a Rotation it is the next one to be taken.
type Step string

// The steps, in order.
const (
	Idle   Step = ""       // no rotation is running
	Create Step = "create" // a new value is stored as the pending version
	Set    Step = "set"    // it is put where it is used
	Test   Step = "test"   // it is tested
	Finish Step = "finish" // it becomes the current version
)

// The outcomes of rotations.
const (
	Done   = "done"
	Failed = "failed"
)

const (
	// RotationPause is the interval between checks for due steps.
	RotationPause = 2 * time.Second

	leaseLife   = 30 * time.Second // how long one replica has a step to itself
	maxAttempts = 10               // per step; then the rotation has failed
	firstRetry  = time.Second
	lastRetry   = 5 * time.Minute
	claimLimit  = 10
)

// Rotation is how a secret is rotated, and the progress of a running rotation. A zero time has not been reached.
type Rotation struct {
	Name, Driver string
	Revision     int64         // of the settings
	Length       int64         // of random values, in characters
	Interval     time.Duration // between two rotations; 0: only on demand
	NextAt       time.Time     // when the schedule starts the next one

	// For drivers that put versions outside the kms: the target, the secret with its credential, and how long the previous version stays valid there.
	URL, Credential      string
	Overlap              time.Duration
	Collections, Actions []string

	Step      Step
	Version   int64 // the pending one; 0 before there is one
	Attempts  int64 // at the current step
	StartedAt time.Time

	LastOutcome string
	LastVersion int64
	LastEndedAt time.Time
	LastError   Failure // of the last attempt; "" if it succeeded

	Ending []Placement // versions that are to be ended outside
}

// RotationRows are the queries for rotations.
type RotationRows interface {
	// PutRotation writes how a secret is rotated; the progress of a running rotation does not change.
	PutRotation(ctx context.Context, tx *store.Tx, r Rotation) error
	Rotation(ctx context.Context, q store.Querier, name string) (Rotation, bool, error)
	DeleteRotation(ctx context.Context, tx *store.Tx, name string) (bool, error)
	// BeginRotation starts a rotation; false while one is running. A scheduled one also starts only when it is due.
	BeginRotation(ctx context.Context, tx *store.Tx, name string, at time.Time, scheduled bool) (Rotation, bool, error)
	// DueRotations returns rotations that the schedule must start by the time, and running ones with a due step that no replica has leased.
	DueRotations(ctx context.Context, q store.Querier, at time.Time, limit int) ([]Rotation, error)
	// ClaimRotations leases running rotations with a due step that no replica has leased.
	ClaimRotations(ctx context.Context, tx *store.Tx, lease string, at, until time.Time, limit int) ([]Rotation, error)
	// LeasedRotation returns a rotation if the lease is current, and locks it until the transaction ends.
	LeasedRotation(ctx context.Context, tx *store.Tx, name, lease string) (Rotation, bool, error)
	// SettleRotation writes the progress of a rotation. The replica with the lease has it until due; with an empty lease any replica may take it from then on.
	SettleRotation(ctx context.Context, tx *store.Tx, r Rotation, lease string, due time.Time) error
}

// Words distinguishes two states of one revision, for the ETag.
func (r Rotation) Words() []string {
	text := fmt.Appendf(nil, "%s %d %d %s %d %d %d %d %s", r.Step, r.Version, r.Attempts, r.LastOutcome, r.LastVersion,
		r.NextAt.UnixMicro(), r.StartedAt.UnixMicro(), r.LastEndedAt.UnixMicro(), r.LastError)
	for _, p := range r.Ending {
		text = fmt.Appendf(text, " %d %d %d %s", p.Version, p.EndAt.UnixMicro(), p.Attempts, p.LastError)
	}
	sum := sha256.Sum256(text)
	return []string{hex.EncodeToString(sum[:8])}
}

// PutRotation sets how a secret is rotated if over matches the present rotation (nil: always); otherwise it fails with domain.PreconditionFailed. A
// running rotation continues, unless the new settings place versions elsewhere: then the running one is ended as failed.
func (s *Secrets) PutRotation(ctx context.Context, caller *auth.Principal, r Rotation, over *etag.Match) (put Rotation, err error) {
	defer tried.To(&err, "put rotation of secret")
	if r.Interval > 0 {
		r.NextAt = domain.Now(s.clock).Add(r.Interval)
	}
	err = s.entered(ctx, caller, policy.PutRotation, r.Name, func(ctx context.Context, tx *store.Tx) error {
		secret, err := s.owned(ctx, tx, r.Name)
		if err != nil {
			return err
		}
		if err := s.maySend(ctx, tx, caller, r); err != nil {
			return err
		}
		if err := s.check(ctx, r); err != nil { // after the caller's permission: others must not learn what the operator allows
			return err
		}
		now, found, err := s.rotation(ctx, tx, r.Name)
		if err != nil {
			return err
		}
		if over != nil && (!found || !over.HoldsState(now.Revision, now.Words()...)) {
			return domain.Refuse(domain.PreconditionFailed, "The rotation is not the one that was asked for.")
		}
		if found && now.Step != Idle && !now.samePlace(r) {
			if err := s.giveUp(ctx, tx, secret, now); err != nil {
				return err
			}
		}
		if err := s.rows.PutRotation(ctx, tx, r); err != nil {
			return err
		}
		if put, _, err = s.rotation(ctx, tx, r.Name); err != nil {
			return err
		}
		detail := map[string]string{"driver": r.Driver, "interval": r.Interval.String()}
		if r.URL != "" {
			detail["url"], detail["credential"] = r.URL, r.Credential
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "putSecretRotation", Target: r.Name, Detail: detail})
	})
	return put, err
}

// samePlace reports whether two rotations put versions to the same place in the same way.
func (r Rotation) samePlace(other Rotation) bool {
	return r.Driver == other.Driver && r.URL == other.URL && slices.Equal(r.Collections, other.Collections) && slices.Equal(r.Actions, other.Actions)
}

// giveUp ends a running rotation as failed. Its version is ended where it was put outside.
func (s *Secrets) giveUp(ctx context.Context, tx *store.Tx, secret Secret, r Rotation) error {
	if err := s.withdraw(ctx, tx, secret, r.Version); err != nil {
		return err
	}
	_, _, err := s.end(ctx, tx, secret, r, Failed)
	return err
}

// readScope is the scope to read secrets. A caller who decides where values are sent can read them there.
const readScope = "secrets:read"

// maySend refuses to send a secret or a credential that the caller may not read; otherwise the caller could have keys of others sent to a target of its own. It
// does not lock the second secret, so that two callers who name each other's secrets can't deadlock.
func (s *Secrets) maySend(ctx context.Context, tx *store.Tx, caller *auth.Principal, r Rotation) error {
	if r.Credential == "" {
		return nil // nothing is sent: check refuses other drivers without a credential
	}
	if !caller.HasScope(readScope) {
		return domain.Refuse(domain.InsufficientScope, "Saying where a secret is sent needs the scope secrets:read, too.")
	}
	if err := s.gate.Enter(ctx, tx, caller, policy.SendValue, r.Name); err != nil {
		return err
	}
	if err := s.gate.Enter(ctx, tx, caller, policy.UseCredential, r.Credential); err != nil {
		return err
	}
	_, found, err := s.rows.Get(ctx, tx, r.Credential)
	if err == nil && !found {
		err = domain.Refuse(domain.NotFound, policy.UseCredential.Absent)
	}
	return err
}

// rotation reads how a secret is rotated, with the versions that are to be ended outside.
func (s *Secrets) rotation(ctx context.Context, q store.Querier, name string) (Rotation, bool, error) {
	r, found, err := s.rows.Rotation(ctx, q, name)
	if err != nil || !found {
		return r, found, err
	}
	r.Ending, err = s.rows.Ending(ctx, q, name, shownEndings)
	return r, true, err
}

// owned locks a secret. It fails with domain.NotFound when there is none.
func (s *Secrets) owned(ctx context.Context, tx *store.Tx, name string) (Secret, error) {
	secret, found, err := s.rows.Lock(ctx, tx, name)
	if err != nil {
		return Secret{}, err
	}
	if !found {
		return Secret{}, domain.Refuse(domain.NotFound, "There is no such secret.")
	}
	return secret, nil
}

func notRotated() error {
	return domain.Refuse(domain.NotFound, "There is no such secret, or it is not rotated.")
}

// GetRotation returns how a secret is rotated, and the progress of a running rotation.
func (s *Secrets) GetRotation(ctx context.Context, caller *auth.Principal, name string) (r Rotation, err error) {
	defer tried.To(&err, "get rotation of secret")
	err = s.entered(ctx, caller, policy.GetRotation, name, func(ctx context.Context, tx *store.Tx) (err error) {
		var found bool
		if r, found, err = s.rotation(ctx, tx, name); err != nil {
			return err
		}
		if !found {
			return notRotated()
		}
		return nil
	})
	return r, err
}

// DeleteRotation ends the rotation of a secret. A running rotation is cancelled. Versions that are valid outside and not current are ended there.
func (s *Secrets) DeleteRotation(ctx context.Context, caller *auth.Principal, name string) (err error) {
	defer tried.To(&err, "delete rotation of secret")
	return s.entered(ctx, caller, policy.DeleteRotation, name, func(ctx context.Context, tx *store.Tx) error {
		secret, err := s.owned(ctx, tx, name)
		if err != nil {
			return err
		}
		r, _, err := s.rows.Rotation(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := s.withdraw(ctx, tx, secret, r.Version); err != nil {
			return err
		}
		// This leaves time for a step that is being taken outside to return.
		if err := s.rows.EndOthers(ctx, tx, name, secret.Version, domain.Now(s.clock).Add(leaseLife)); err != nil {
			return err
		}
		deleted, err := s.rows.DeleteRotation(ctx, tx, name)
		if err != nil || !deleted {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "deleteSecretRotation", Target: name})
	})
}

// withdraw makes a version no longer pending, if it is.
func (s *Secrets) withdraw(ctx context.Context, tx *store.Tx, secret Secret, number int64) error {
	if number == 0 || secret.Pending != number {
		return nil
	}
	secret.Pending = 0
	return s.rows.SetStages(ctx, tx, secret)
}

// Rotate starts a rotation. It fails with domain.StateConflict while one is running or another version is pending.
func (s *Secrets) Rotate(ctx context.Context, caller *auth.Principal, name string) (r Rotation, err error) {
	defer tried.To(&err, "rotate secret")
	err = s.entered(ctx, caller, policy.RotateSecret, name, func(ctx context.Context, tx *store.Tx) error {
		secret, err := s.owned(ctx, tx, name)
		if err != nil {
			return err
		}
		if _, found, err := s.rows.Rotation(ctx, tx, name); err != nil || !found {
			return errors.Join(err, notRotated())
		}
		if secret.Pending != 0 {
			return domain.Refuse(domain.StateConflict, "A version is pending; promote or delete it first.")
		}
		begun := false
		if r, begun, err = s.begin(ctx, tx, name, false); err != nil {
			return err
		}
		if !begun {
			return domain.Refuse(domain.StateConflict, "A rotation of the secret is under way.")
		}
		return nil
	})
	return r, err
}

func (s *Secrets) begin(ctx context.Context, tx *store.Tx, name string, scheduled bool) (Rotation, bool, error) {
	r, begun, err := s.rows.BeginRotation(ctx, tx, name, domain.Now(s.clock), scheduled)
	if err != nil || !begun {
		return r, begun, err
	}
	return r, true, s.audit.Append(ctx, tx, auditlog.Event{Action: "rotateSecret", Target: name, Detail: map[string]string{"driver": r.Driver}})
}

// WorkOnRotations starts due rotations, takes the steps of running ones that no replica has leased, and ends versions outside. It returns the errors of steps
// that failed; they are tried again.
func (s *Secrets) WorkOnRotations(ctx context.Context) (err error) {
	defer tried.To(&err, "work on rotations of secrets")
	return errors.Join(s.rotateDue(ctx), s.endOutside(ctx))
}

func (s *Secrets) rotateDue(ctx context.Context) error {
	now := domain.Now(s.clock)
	due, err := s.rows.DueRotations(ctx, s.db.Read(ctx), now, claimLimit)
	if err != nil {
		return err
	}
	for _, r := range due {
		if r.Step == Idle {
			err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { _, _, err := s.begin(ctx, tx, r.Name, true); return err })
			if err != nil {
				return err
			}
		}
	}
	if len(due) == 0 {
		return nil // no write when there is nothing to do
	}
	lease := id.New("lse")
	var mine []Rotation
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		mine, err = s.rows.ClaimRotations(ctx, tx, lease, now, now.Add(leaseLife), claimLimit)
		return err
	})
	faults := make([]error, len(mine))
	var all sync.WaitGroup
	for i, r := range mine { // in parallel: waiting for one target must not delay the others
		all.Go(func() { faults[i] = s.goOn(ctx, r, lease) })
	}
	all.Wait()
	return errors.Join(append(faults, err)...)
}

// goOn takes the steps of a rotation until it has ended or a step fails.
func (s *Secrets) goOn(ctx context.Context, r Rotation, lease string) error {
	for r.Step != Idle {
		next, held, err := s.advance(ctx, r.Name, lease)
		if err != nil {
			s.Count(r.Driver, r.Step)
			return errors.Join(fmt.Errorf("rotate secret %s, step %s: %w", r.Name, r.Step, err), s.putOff(ctx, r, lease, failureOf(err)))
		}
		if !held { // another replica has it, or it was given up
			return nil
		}
		r = next
	}
	return nil
}

// advance takes one step. A step inside the kms takes one commit; a step that a driver takes outside has one commit before it and one after it.
func (s *Secrets) advance(ctx context.Context, name, lease string) (r Rotation, held bool, err error) {
	var c *Call
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		r, c, held, err = s.step(ctx, tx, name, lease)
		return err
	})
	if err != nil || !held || c == nil {
		return r, held, err
	}
	if err := s.do(ctx, *c); err != nil {
		return r, true, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := s.rows.Lock(ctx, tx, name); err != nil {
			return err
		}
		if r, held, err = s.rows.LeasedRotation(ctx, tx, name, lease); err != nil || !held {
			return err
		}
		if r.Step != c.Step || r.Version != c.Version { // it was given up, and another one was started
			held = false
			return nil
		}
		r.Step, r.Attempts, r.LastError = following[r.Step], 0, ""
		return s.rows.SettleRotation(ctx, tx, r, lease, domain.Now(s.clock).Add(leaseLife))
	})
	return r, held, err
}

var following = map[Step]Step{Create: Set, Set: Test, Test: Finish}

// step takes one step in the caller's transaction; held is false when the lease is no longer current. If it returns a call, the step is complete only
// after the driver has made that call.
func (s *Secrets) step(ctx context.Context, tx *store.Tx, name, lease string) (r Rotation, c *Call, held bool, err error) {
	secret, found, err := s.rows.Lock(ctx, tx, name) // the secret is always locked before its rotation
	if err != nil || !found {
		return Rotation{Name: name}, nil, false, err
	}
	if r, held, err = s.rows.LeasedRotation(ctx, tx, name, lease); err != nil || !held {
		return Rotation{Name: name}, nil, false, err
	}
	next := r
	switch r.Step {
	case Create:
		if secret.Pending != 0 {
			return r, nil, true, errors.New("another version is pending")
		}
		if next.Version, err = s.proposeRandom(ctx, tx, name, r.Length); err != nil {
			return r, nil, true, err
		}
	case Set, Test:
		driver, err := s.outside(r.Driver)
		if err != nil {
			return r, nil, true, err
		}
		if driver != nil {
			c, held, err = s.outsideStep(ctx, tx, r, lease)
			return r, c, held, err
		}
		if r.Step == Test { // at Set there is nothing to do: clients read the secret from the kms
			if err := s.opens(ctx, tx, secret, r); err != nil {
				return r, nil, true, err
			}
		}
	case Finish:
		r, held, err = s.finish(ctx, tx, secret, r)
		return r, nil, held, err
	}
	next.Step, next.Attempts, next.LastError = following[r.Step], 0, ""
	return next, nil, true, s.rows.SettleRotation(ctx, tx, next, lease, domain.Now(s.clock).Add(leaseLife))
}

// outsideStep prepares the call of a step that a driver takes. While a version is being ended outside, there is no call and held is false: the call
// of that end carries the current version, and must not arrive after the new one.
func (s *Secrets) outsideStep(ctx context.Context, tx *store.Tx, r Rotation, lease string) (c *Call, held bool, err error) {
	now := domain.Now(s.clock)
	ending, err := s.rows.Held(ctx, tx, r.Name, now)
	if err != nil {
		return nil, true, err
	}
	if ending {
		return nil, false, s.rows.SettleRotation(ctx, tx, r, "", now.Add(RotationPause))
	}
	if c, err = s.begun(ctx, tx, r); err != nil {
		return nil, true, err
	}
	return c, true, s.rows.SettleRotation(ctx, tx, r, lease, c.Until)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// proposeRandom stores a random value as the pending version and returns its number.
func (s *Secrets) proposeRandom(ctx context.Context, tx *store.Tx, name string, length int64) (int64, error) {
	value := make([]byte, length)
	_, _ = rand.Read(value) // never fails (crypto/rand)
	for i, b := range value {
		value[i] = alphabet[b%byte(len(alphabet))] // 256 is a multiple of 64, so all are equally likely
	}
	made, err := s.next(ctx, tx, name, Precondition{Pending: true})
	if err != nil {
		return 0, err
	}
	if err := s.store(ctx, tx, made, string(value)); err != nil {
		return 0, err
	}
	return made.Latest, s.audit.Append(ctx, tx, auditlog.Event{Action: "putSecret", Target: name, Detail: map[string]string{
		"version": fmt.Sprint(made.Latest), "stage": string(Pending),
	}})
}

// opens checks that the version that is to become current can be opened, and is the one that was generated.
func (s *Secrets) opens(ctx context.Context, tx *store.Tx, secret Secret, r Rotation) error {
	found, ok, err := s.rows.Version(ctx, tx, r.Name, r.Version)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the pending version is not there")
	}
	value, err := s.open(Sealed{Secret{Name: r.Name, Version: r.Version}, found.WrappedKey, found.Value})
	if err == nil && r.Version > secret.Version && int64(len(value)) != r.Length { // an earlier version, to which a rollback returns, may have any length
		err = errors.New("the pending version has another length")
	}
	return err
}

// finish makes the rotation's version current. If that version is no longer pending or readable, a caller has changed its stage or deleted it, and
// the rotation has failed.
func (s *Secrets) finish(ctx context.Context, tx *store.Tx, secret Secret, r Rotation) (Rotation, bool, error) {
	made, found, err := s.rows.Version(ctx, tx, r.Name, r.Version)
	if err != nil {
		return r, true, err
	}
	if !found || secret.Pending != r.Version || made.Of.readable() != nil {
		return s.end(ctx, tx, secret, r, Failed)
	}
	secret.Previous, secret.Version, secret.Pending, secret.UpdatedAt = secret.Version, r.Version, 0, made.Of.CreatedAt
	if err := s.rows.SetStages(ctx, tx, secret); err != nil {
		return r, true, err
	}
	tx.AfterCommit(s.wake)
	if err := s.replaced(ctx, tx, secret, r); err != nil {
		return r, true, err
	}
	return s.end(ctx, tx, secret, r, Done)
}

// replaced schedules the end, after the overlap, of all versions that are not current and may be valid outside.
func (s *Secrets) replaced(ctx context.Context, tx *store.Tx, secret Secret, r Rotation) error {
	if r.Driver != Random && secret.Previous != 0 { // the previous version may be older than the use of the driver; it is ended at the target all the same
		err := s.rows.PlaceOnce(ctx, tx, Placement{Name: r.Name, Driver: r.Driver, URL: r.URL, Credential: r.Credential, Version: secret.Previous, PlacedAt: r.StartedAt})
		if err != nil {
			return err
		}
	}
	return s.rows.EndOthers(ctx, tx, r.Name, secret.Version, domain.Now(s.clock).Add(r.Overlap))
}

// end writes the outcome of a rotation. After a failure, the rotation's version is ended outside, but not before a step that is in progress has
// returned. If that version is the previous one, as after a failed rollback, it is ended only after the overlap, since it may still be in use.
func (s *Secrets) end(ctx context.Context, tx *store.Tx, secret Secret, r Rotation, outcome string) (Rotation, bool, error) {
	detail := map[string]string{"version": fmt.Sprint(r.Version), "outcome": outcome}
	if outcome == Failed {
		detail["step"] = string(r.Step)
		at := domain.Now(s.clock).Add(leaseLife)
		if r.Version == secret.Previous {
			at = at.Add(r.Overlap)
		}
		if err := s.rows.EndVersion(ctx, tx, r.Name, r.Version, at); err != nil {
			return r, true, err
		}
	}
	r.Step, r.LastOutcome, r.LastVersion, r.LastEndedAt = Idle, outcome, r.Version, domain.Now(s.clock)
	r.Version, r.Attempts, r.StartedAt = 0, 0, time.Time{}
	if err := s.rows.SettleRotation(ctx, tx, r, "", time.Time{}); err != nil {
		return r, true, err
	}
	return r, true, s.audit.Append(ctx, tx, auditlog.Event{Action: "endSecretRotation", Target: r.Name, Detail: detail})
}

// putOff records a failed attempt, and schedules the next one, by any replica. After the last attempt the rotation has failed.
func (s *Secrets) putOff(ctx context.Context, r Rotation, lease string, why Failure) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		secret, _, err := s.rows.Lock(ctx, tx, r.Name)
		if err != nil {
			return err
		}
		now, held, err := s.rows.LeasedRotation(ctx, tx, r.Name, lease)
		if err != nil || !held {
			return err
		}
		now.LastError = why
		now.Attempts++
		if now.Attempts >= maxAttempts {
			return s.giveUp(ctx, tx, secret, now)
		}
		pause := min(firstRetry<<now.Attempts, lastRetry)
		return s.rows.SettleRotation(ctx, tx, now, "", domain.Now(s.clock).Add(pause))
	})
}
