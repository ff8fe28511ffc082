package handlers

import (
	"time"

	"github.com/fountainai/fountain/generated/twofactorapi"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	defaultPage = 50
	largestPage = 200
)

// listFrom returns the cursor and the size of a page of factors.
func listFrom(p twofactorapi.ListFactorsParams) (after factor.Cursor, limit int, err error) {
	var wanted *int
	if p.Limit != nil {
		n := int(*p.Limit)
		wanted = &n
	}
	if p.Cursor != nil {
		var created int64
		if err := page.Decode("factors", *p.Cursor, &created, &after.ID); err != nil {
			return after, 0, problem.BadCursor().Wrap(err)
		}
		after.Created = time.UnixMicro(created)
	}
	return after, page.Limit(wanted, defaultPage, largestPage), nil
}

// listTo returns a page of at most limit factors. When factors has one more, there is a next page.
func listTo(factors []factor.Factor, limit int) twofactorapi.FactorList {
	list := twofactorapi.FactorList{Items: make([]twofactorapi.Factor, 0, len(factors))}
	for i, f := range factors {
		if i == limit {
			last := factors[limit-1]
			next := page.Encode("factors", last.Created.UnixMicro(), last.ID)
			list.NextCursor = &next
			break
		}
		list.Items = append(list.Items, factorTo(f))
	}
	return list
}

func enrolFrom(body *twofactorapi.TotpEnrol) (label string, p totp.Parameters) {
	p = totp.Default
	if body.Algorithm != nil {
		p.Algorithm = totp.Algorithm(*body.Algorithm)
	}
	if body.Digits != nil {
		p.Digits = int(*body.Digits)
	}
	if body.Period != nil {
		p.Period = int(*body.Period)
	}
	if body.Label != nil {
		label = *body.Label
	}
	return label, p
}

func invitationFrom(body *twofactorapi.TotpEnrol) string {
	if body.Invitation == nil {
		return ""
	}
	return *body.Invitation
}

func enrolTo(e factor.Enrolment) twofactorapi.TotpEnrolment {
	return twofactorapi.TotpEnrolment{
		FactorID: e.FactorID, OtpauthURI: e.URI, Secret: e.Secret, Algorithm: string(e.Parameters.Algorithm),
		Digits: int32(e.Parameters.Digits), Period: int32(e.Parameters.Period), ExpiresAt: e.Expires,
	}
}

func factorTo(f factor.Factor) twofactorapi.Factor {
	out := twofactorapi.Factor{
		ID: f.ID, Type: f.Type, Status: twofactorapi.FactorStatus(f.Status), CreatedAt: f.Created,
		ConfirmedAt: optionalTime(f.Confirmed), LastUsedAt: optionalTime(f.LastUsed),
	}
	out.Label, out.MaskedTarget = optional(f.Label), optional(f.MaskedTarget)
	return out
}

func confirmedTo(c factor.Confirmed) twofactorapi.ConfirmedFactor {
	known := factorTo(c.Factor)
	out := twofactorapi.ConfirmedFactor{
		ID: known.ID, Type: known.Type, Status: twofactorapi.ConfirmedFactorStatus(known.Status), Label: known.Label, CreatedAt: known.CreatedAt,
		ConfirmedAt: known.ConfirmedAt, LastUsedAt: known.LastUsedAt,
	}
	if c.RecoveryCodes.Codes != nil {
		out.RecoveryCodes = &c.RecoveryCodes.Codes
	}
	if c.Proof.Token != "" {
		out.Proof = new(proofTo(c.Proof))
	}
	return out
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func proofTo(p factor.Proof) twofactorapi.OtpProof {
	return twofactorapi.OtpProof{Proof: p.Token, Acr: p.ACR, Amr: p.AMR, AuthTime: p.AuthTime, ExpiresAt: p.Expires}
}
