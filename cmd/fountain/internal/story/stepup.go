package story

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
)

// authenticator is a simulated authenticator app.
type authenticator struct {
	factorID, secret string
	period           time.Duration
	used             int64 // last time step for which a code was made; each works once
}

// code returns the code for the time step of at.
func (a *authenticator) code(at time.Time) (string, error) {
	a.used = at.Unix() / int64(a.period/time.Second)
	return totp.GenerateCodeCustom(a.secret, at, totp.ValidateOpts{Period: uint(a.period / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// nextCode returns the code of the current time step, or waits for the next one if that was used.
func (t *teller) nextCode(ctx context.Context) (string, error) {
	phone := t.authenticator
	now := t.Now()
	if step := now.Unix() / int64(phone.period/time.Second); step <= phone.used {
		next := time.Unix((phone.used+1)*int64(phone.period/time.Second), 0)
		if err := t.Sleep(ctx, next.Sub(now)+100*time.Millisecond); err != nil {
			return "", err
		}
		now = t.Now()
	}
	return phone.code(now)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// code is the SDK's callback. It returns the code of the enrolled authenticator, or asks the user who has one.
func (t *teller) code(ctx context.Context, challenge fountain.Challenge) (string, error) {
	if t.authenticator != nil {
		return t.nextCode(ctx)
	}
	if t.Ask == nil {
		return "", errors.New("a second factor is needed and there is no one to prompt")
	}
	return t.Ask(ctx, challenge)
}

// reorder swaps the first two speeches.
func (t *teller) reorder(ctx context.Context, first, second sequence.Element, opts ...fountain.CallOption) (*sequence.ReorderResult, error) {
	return t.client.Sequence.ReorderElements(ctx, t.Scope, spoken, sequence.Reorder{
		Order: []string{second.ID, first.ID}, Comment: fountain.Ptr("the Gull before the Patience"),
	}, opts...)
}

// refused tries to reorder with a password alone.
func (t *teller) refused(ctx context.Context) error {
	all, err := t.speeches(ctx)
	if err != nil {
		return err
	}
	t.say("Inspector Vane wants the first two lines in another order. That changes what everybody's numbers mean, so the contract requires a second factor:")
	_, err = t.reorder(ctx, all[0], all[1], fountain.WithoutStepUp())
	var refusal *fountain.Error
	if !errors.Is(err, fountain.ErrStepUpRequired) || !errors.As(err, &refusal) {
		return failed("the reorder was not refused for want of a second factor: %w", err)
	}
	t.call("POST .../spokenWord/reorder", answerOf(err))
	if c := refusal.Challenge; c != nil {
		t.row("WWW-Authenticate: acr_values=%q max_age=%d (RFC 9470)", strings.Join(c.ACRValues, " "), int(c.MaxAge.Seconds()))
	}
	after, err := t.speeches(ctx)
	if err != nil {
		return err
	}
	if after[0].ID != all[0].ID || after[1].ID != all[1].ID {
		return failed("the refused reorder changed the order")
	}
	t.say("Nothing was changed.")
	return nil
}

// enrol enrols an authenticator, unless there is one.
func (t *teller) enrol(ctx context.Context) error {
	for f, err := range t.client.Twofactor.Factors(ctx) {
		if err != nil {
			return err
		}
		if f.Status == twofactor.FactorStatusActive {
			t.say("You have an authenticator already: you will be asked for its code.")
			return nil
		}
	}
	t.say("An authenticator app is enrolled: the service makes a seed and shows it once, as text and as a QR code; the first code confirms it. Here the program itself plays the phone.")
	body := twofactor.TotpEnrol{Label: fountain.Ptr("demo")}
	if t.Invitation != "" {
		t.say("An administrator's first authenticator needs more than a password: the invitation that came with the account.")
		_, err := t.client.Twofactor.EnrolTotp(ctx, body)
		if !errors.Is(err, fountain.CodeInvitationRequired) {
			return failed("a password alone was enough to enrol an administrator's authenticator: %w", err)
		}
		t.call("POST /twofactor/v1/factors/totp", answerOf(err))
		body.Invitation = &t.Invitation
	}
	enrolment, err := t.client.Twofactor.EnrolTotp(ctx, body)
	if err != nil {
		return err
	}
	t.call("POST /twofactor/v1/factors/totp", "201 "+enrolment.FactorID)
	png, err := t.client.Twofactor.GetTotpQrPng(ctx, enrolment.FactorID, nil)
	if err != nil {
		return err
	}
	t.call("GET .../qr.png", fmt.Sprintf("200 a picture of %d bytes", len(png)))
	phone := &authenticator{factorID: enrolment.FactorID, secret: enrolment.Secret, period: time.Duration(enrolment.Period) * time.Second}
	factor, err := t.confirm(ctx, phone)
	if err != nil {
		return err
	}
	if factor.Status != twofactor.ConfirmedFactorStatusActive {
		return failed("the factor is %s", factor.Status)
	}
	t.call("POST .../confirm", "200 active")
	t.authenticator = phone
	return nil
}

// confirm uses the code of the previous half minute, which is accepted too, so that the current one is left for the
// reorder. Each code works once, and never after a later one.
func (t *teller) confirm(ctx context.Context, phone *authenticator) (*twofactor.ConfirmedFactor, error) {
	for attempt := 1; ; attempt++ {
		code, err := phone.code(t.Now().Add(-phone.period))
		if err != nil {
			return nil, err
		}
		factor, err := t.client.Twofactor.ConfirmTotp(ctx, phone.factorID, twofactor.TotpConfirm{Code: code})
		if !errors.Is(err, fountain.CodeInvalidCode) || attempt == 2 { // a half minute may have just ended
			return factor, err
		}
	}
}

// accepted reorders with the second factor.
func (t *teller) accepted(ctx context.Context) error {
	before, err := t.speeches(ctx)
	if err != nil {
		return err
	}
	t.say("The SDK asks for a code, has it verified, exchanges the proof for a raised token that only the sequence service accepts, and repeats the call:")
	result, err := t.reorder(ctx, before[0], before[1])
	if err != nil {
		return err
	}
	t.call("POST /twofactor/v1/verify", "200 a proof, good for a minute")
	t.call("POST /kms/v1/auth/step-up", "200 a raised token, good for five")
	t.call("POST .../spokenWord/reorder", fmt.Sprintf("200 %d numbers changed", len(result.Changes)))
	after, err := t.speeches(ctx)
	if err != nil {
		return err
	}
	if len(after) != len(before) || after[0].ID != before[1].ID || after[1].ID != before[0].ID {
		return failed("the order is not the requested one")
	}
	for i, e := range after {
		if e.Number != int64(i+1) {
			return failed("number %d is missing after the reorder", i+1)
		}
		if i < 2 {
			t.row("%2d  %-6s %s", e.Number, read(e).Character, oneLine(read(e).Text))
		}
	}
	t.say("The numbers are still 1 to %d without a gap.", len(after))
	return nil
}

// tidy says what remains, and removes what a running installation should not keep.
func (t *teller) tidy(ctx context.Context) error {
	if !t.Tidy {
		t.say("This family was the story's own: it ends now and leaves nothing behind. `fountain up` starts one that stays, with the documentation of every operation at /docs.")
		return nil
	}
	t.say("The elements stay in the scope %s. The documentation of every operation is at %s/docs.", t.Scope, t.URL)
	if t.authenticator == nil {
		return nil
	}
	t.say("The authenticator lived in this program only, so it is revoked; that takes a code of its own, up to half a minute away.")
	return t.revoke(ctx)
}

// revoke revokes the story's authenticator.
func (t *teller) revoke(ctx context.Context) error {
	if t.Invitation != "" {
		fresh, err := t.client.KMS.CreateInvitation(ctx, t.userID)
		if err != nil {
			return fmt.Errorf("make an invitation for an authenticator of the administrator's own: %w", err)
		}
		t.Invitation = fresh.Token
		t.say("An administrator without an authenticator can do nothing but enrol one, and needs an invitation for that. This is yours, for the next 72 hours: %s", fresh.Token)
	}
	if err := t.client.Twofactor.RevokeFactor(ctx, t.authenticator.factorID); err != nil {
		return err
	}
	t.call("DELETE /twofactor/v1/factors/"+t.authenticator.factorID, "204")
	t.authenticator = nil
	return nil
}

// takeBack revokes the authenticator of a story that failed or was interrupted. If it stayed enrolled, its user could
// do nothing that requires a second factor, because nobody has its seed. If it cannot be revoked, takeBack shows the
// seed.
func (t *teller) takeBack(ctx context.Context) error {
	if !t.Tidy || t.authenticator == nil {
		return nil
	}
	t.say("The story ends early. Its authenticator is revoked first; please wait, up to half a minute.")
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer stop()
	if err := t.revoke(ctx); err != nil {
		t.say("It could not be revoked. Put its seed into an authenticator app of yours: %s", t.authenticator.secret)
		return fmt.Errorf("revoke the story's authenticator: %w", err)
	}
	return nil
}
