package delivery

import (
	"errors"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/fountainai/fountain/internal/mailaddress"
)

// The refusals of targets. Their texts may be shown to the caller who named the target.
var (
	ErrChannelOff  = errors.New("codes are not sent by this channel")
	ErrAddress     = mailaddress.ErrForm
	ErrLocalPart   = mailaddress.ErrLocalPart
	ErrNumber      = errors.New("it is not a phone number; begin with + and the country's code")
	ErrCountry     = errors.New("codes are not sent to numbers of this country")
	ErrNumberKind  = errors.New("codes are only sent to mobile numbers")
	ErrWebhookName = errors.New("there is no webhook of this name")
)

// rangeDigits is how many of the last digits differ between the numbers of one range.
const rangeDigits = 4

// ParseTarget returns the canonical form of a target, in which it is stored, compared and counted. All spellings of a target give the same form.
func (r *Router) ParseTarget(channel Channel, raw string) (string, error) {
	if !r.On(channel) {
		return "", ErrChannelOff
	}
	switch channel {
	case Email:
		return mailaddress.Parse(raw)
	case SMS:
		return parseNumber(raw, r.countries)
	}
	if !r.webhooks[raw] {
		return "", ErrWebhookName
	}
	return raw, nil
}

// parseNumber parses a phone number in any spelling and returns it in the form of E.164. A number without a country code is taken as one of the first of the countries.
func parseNumber(raw string, countries []string) (string, error) {
	number, err := phonenumbers.Parse(raw, countries[0])
	if err != nil || number.GetExtension() != "" || !phonenumbers.IsValidNumber(number) {
		return "", ErrNumber
	}
	if !slices.Contains(countries, phonenumbers.GetRegionCodeForNumber(number)) {
		return "", ErrCountry
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return phonenumbers.Format(number, phonenumbers.E164), nil
	}
	return "", ErrNumberKind // premium and shared-cost numbers among them
}

// checkCountries returns an error unless all are regions of ISO 3166-1 with phone numbers.
func checkCountries(countries []string) error {
	known := phonenumbers.GetSupportedRegions()
	for _, country := range countries {
		if !known[country] {
			return errors.New("a country must be two capital letters, for example DE")
		}
	}
	return nil
}

// CountingForm returns the form of a target by which its messages are counted. It ignores the case of mail addresses.
func CountingForm(channel Channel, target string) string {
	if channel == Email {
		return mailaddress.Key(target)
	}
	return target
}

// Range returns the range of numbers that a target belongs to; "" when it has none. An attacker who earns money with codes that are sent has them sent to
// many numbers of one range.
func Range(channel Channel, target string) string {
	if channel != SMS || len(target) <= rangeDigits {
		return ""
	}
	return target[:len(target)-rangeDigits]
}

// Mask returns what may be shown of a target to its owner.
func Mask(channel Channel, target string) string {
	switch channel {
	case Email:
		return mailaddress.Mask(target)
	case SMS:
		if len(target) < 6 {
			return "***"
		}
		return target[:3] + strings.Repeat("*", len(target)-5) + target[len(target)-2:]
	}
	return target // the operator's name of the webhook
}
