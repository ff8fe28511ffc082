package contract

import "strings"

// adoptedFormats are the formats that are checked in adopted documents. All others are annotations.
var adoptedFormats = map[string]func(string) bool{
	"date": isDate, "date-time": isAdoptedDateTime, "uuid": isUUID, "email": isEmail, "ipv4": formats["ipv4"], "ipv6": formats["ipv6"],
}

// quietFormats describe a representation or are hints for people: no warning is given that they are not checked.
var quietFormats = map[string]bool{
	"int32": true, "int64": true, "float": true, "double": true, "byte": true, "binary": true, "password": true,
	"int8": true, "int16": true, "uint8": true, "uint16": true, "uint32": true, "uint64": true, "uint": true,
}

// isAdoptedDateTime accepts all of RFC 3339, including a lower-case t and z, leap seconds, and fractions of any length.
func isAdoptedDateTime(s string) bool {
	if isDateTime(s) {
		return true
	}
	s = strings.ToUpper(s)
	if len(s) > len("2006-01-02T15:04:60") && strings.HasPrefix(s[17:], "60") {
		s = s[:17] + "59" + s[19:]
	}
	if whole, rest, found := strings.Cut(s, "."); found {
		digits := 0
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if digits > 9 {
			s = whole + "." + rest[:9] + rest[digits:]
		}
	}
	return isDateTime(s)
}
