package challenge

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Enrolment describes a factor to which codes are sent, for its enrolment.
type Enrolment struct {
	Channel    delivery.Channel
	Target     string // as the person wrote it
	Label      string
	Invitation string
}

// Enrol adds a pending factor to which codes are sent, and sends the first code, which proves that the person reads what arrives there. The caller needs what
// enrolling an authenticator needs.
func (s *Service) Enrol(ctx context.Context, c Caller, e Enrolment) (_ factor.Factor, _ Challenge, err error) {
	defer tried.To(&err, "enrol delivery")
	permit, err := s.Factors.Permit(ctx, c.Caller, e.Invitation)
	if err != nil {
		return factor.Factor{}, Challenge{}, err
	}
	open, err := s.Sender.ParseTarget(e.Channel, e.Target)
	if err != nil {
		return factor.Factor{}, Challenge{}, refuse(BadTarget, err.Error())
	}
	if err := s.checkReachable(e.Channel); err != nil {
		return factor.Factor{}, Challenge{}, err
	}
	record, target, err := s.newTarget(c, e, open)
	if err != nil {
		return factor.Factor{}, Challenge{}, err
	}
	record.InvitationID = permit.InvitationID
	made, err := s.make(c, Request{Subject: c.Subject, Purpose: enrolPurpose(record.ID), Life: DefaultLife}, address{target, open})
	if err != nil {
		return factor.Factor{}, Challenge{}, err
	}
	err = s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error {
		return s.add(ctx, tx, c, permit, record, target, made)
	})
	if err != nil {
		return factor.Factor{}, Challenge{}, err
	}
	s.notify()
	s.Metrics.happened(created)
	return record.Factor, made.Challenge, nil
}

// newTarget makes the record of a factor, and its target.
func (s *Service) newTarget(c Caller, e Enrolment, open string) (factor.Record, Target, error) {
	now := s.now()
	r := factor.Record{
		Factor: factor.Factor{
			ID: id.New("fac"), Subject: c.Subject, Type: string(e.Channel), Label: e.Label, Status: factor.Pending, Created: now, Expires: now.Add(factor.PendingLife),
			MaskedTarget: delivery.Mask(e.Channel, open),
		},
		LastStep: -1, SteppedUp: c.SecondFactor == nil,
	}
	t := Target{FactorID: r.ID, Channel: e.Channel, Masked: r.MaskedTarget}
	var err error
	if t.Sealed, err = s.Keys.Seal([]byte(open), targetAAD(r.ID, r.Subject)); err != nil {
		return r, t, err
	}
	r.SealedSeed = t.Sealed
	t.Sum, err = s.hashed("target", string(e.Channel)+"\x00"+delivery.CountingForm(e.Channel, open))
	return r, t, err
}

// add checks whether the factor may be added, and writes it with its first challenge.
func (s *Service) add(ctx context.Context, tx Tx, c Caller, permit factor.Permit, r factor.Record, t Target, made draft) error {
	counts, err := tx.Lock(ctx, c.Subject, r.Created)
	if err != nil {
		return err
	}
	if err := permit.MayAdd(counts, s.raises(t.Channel)); err != nil {
		return err
	}
	if counts.Total >= factor.MaxFactors {
		return refuse(Full, "You have the maximum number of factors; remove one first.")
	}
	known, err := tx.HasTarget(ctx, c.Subject, t.Sum)
	if err != nil {
		return err
	}
	if known {
		return refuse(Known, "This address is already one of your factors.")
	}
	if err := tx.InsertTarget(ctx, r, t, s.raises(t.Channel)); err != nil {
		return err
	}
	if err := s.write(ctx, tx, made); err != nil {
		return err
	}
	return tx.Record(ctx, Event{
		At: r.Created, Action: "enrolDelivery", Actor: c.Subject, Target: r.ID, RequestID: c.RequestID, Detail: map[string]string{"channel": string(t.Channel)},
	})
}

// errChanged says that a factor is no longer pending.
var errChanged = errors.New("factor has changed")

// Confirm makes a pending factor active with the code that was sent to it.
func (s *Service) Confirm(ctx context.Context, c Caller, factorID, code string) (_ factor.Factor, err error) {
	defer tried.To(&err, "confirm delivery")
	now := s.now()
	pending, err := s.Factors.Confirming(ctx, c.Caller, factorID, now)
	if err != nil {
		return factor.Factor{}, err
	}
	was, known, err := s.Repository.Enrolling(ctx, c.Subject, factorID)
	if err != nil {
		return factor.Factor{}, err
	}
	if !known || pending.Record.Type == factor.TypeTOTP {
		return factor.Factor{}, refuse(NotFound, "There is no such factor.")
	}
	caller := c
	caller.Client = was.Client // a person may confirm from another device than the one that enrolled
	admitted, err := s.admit(ctx, caller, was, now)
	if err != nil {
		return factor.Factor{}, err
	}
	if err := s.checkCode(ctx, caller, admitted, code, now); err != nil {
		return factor.Factor{}, err
	}
	// After the code, so that a wrong code does not use up the invitation.
	if err := s.Factors.UseInvitationOf(ctx, pending, now); err != nil {
		return factor.Factor{}, err
	}
	err = s.accept(ctx, admitted, now, func(ctx context.Context, tx Tx) error {
		return s.activate(ctx, tx, c, pending, now)
	})
	if errors.Is(err, errChanged) {
		return factor.Factor{}, refuse(NotFound, "There is no such factor.")
	}
	if err != nil {
		return factor.Factor{}, err
	}
	f := pending.Record.Factor
	f.Status, f.Confirmed, f.LastUsed = factor.Active, now, now
	return f, nil
}

func (s *Service) activate(ctx context.Context, tx Tx, c Caller, p factor.Confirmation, now time.Time) error {
	counts, err := tx.Lock(ctx, c.Subject, now)
	if err != nil {
		return err
	}
	if err := p.MayActivate(counts); err != nil {
		return err
	}
	done, err := tx.ActivateTarget(ctx, c.Subject, p.Record.ID, now)
	if err != nil {
		return err
	}
	if !done {
		return errChanged
	}
	if err := tx.Notify(ctx, c.Subject, factor.NoticeAdded, p.Record.ID, now, now); err != nil {
		return err
	}
	return tx.Record(ctx, Event{At: now, Action: "confirmDelivery", Actor: c.Subject, Target: p.Record.ID, RequestID: c.RequestID})
}
