package delivery

import (
	"errors"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/fountainai/fountain/internal/mailaddress"
)

// The refusals of targets. Their texts may be told to whoever named the target.
var (
	ErrChannelOff  = errors.New("codes are not sent by this channel")
	ErrAddress     = mailaddress.ErrForm
	ErrLocalPart   = mailaddress.ErrLocalPart
	ErrNumber      = errors.New("it is not a phone number; begin with + and the country's code")
	ErrCountry     = errors.New("codes are not sent to numbers of this country")
	ErrNumberKind  = errors.New("codes are sent to mobile numbers alone")
	ErrWebhookName = errors.New("there is no webhook of this name")
)

// rangeDigits are the last digits of a number that the numbers of one range differ in.
const rangeDigits = 4

// ParseTarget returns a target in the one form under which it is kept, compared and counted. Spellings of the same target give the same.
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

// parseNumber takes a number in any spelling, of the first of the countries when it names none, and returns it in the form of E.164.
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

// checkCountries refuses what is no region of ISO 3166-1 with phone numbers.
func checkCountries(countries []string) error {
	known := phonenumbers.GetSupportedRegions()
	for _, country := range countries {
		if !known[country] {
			return errors.New("a country is given by its two capital letters, for example DE")
		}
	}
	return nil
}

// CountingForm returns the form of a target by which its messages are counted: mailboxes are the same whatever their case.
func CountingForm(channel Channel, target string) string {
	if channel == Email {
		return mailaddress.Key(target)
	}
	return target
}

// Range returns the range of numbers that a target belongs to; "" for what has none. Who has codes sent to numbers that he is paid for has them
// sent to many numbers of one range.
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
