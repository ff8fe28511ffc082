// Package etag reads the preconditions of requests: RFC 9110, section 13.1. The entity tag of a version is its number in quotes; where an answer
// holds what changes within a version, too, that follows the number.
package etag

import (
	"slices"
	"strconv"
	"strings"
)

// Of returns the entity tag of a version.
func Of(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// OfState returns the entity tag of a version in a state that makes no version of its own, as its words tell it: who has the version in another state has
// not what is answered now (RFC 9110, section 8.8.1). The words are of letters and digits.
func OfState(version int64, words ...string) string {
	return `"` + strings.Join(append([]string{strconv.FormatInt(version, 10)}, words...), "-") + `"`
}

// Match is what If-Match asks of the current version: to be one of several, or only to be there. The zero Match holds for none.
type Match struct {
	any      bool
	versions []int64  // of all tags
	tags     []string // without quotes
}

// Exactly holds for one version.
func Exactly(version int64) Match {
	return Match{versions: []int64{version}, tags: []string{strconv.FormatInt(version, 10)}}
}

// ParseMatch reads the value of If-Match, whose syntax the contract has checked. It compares strongly: a weak tag and one that is no version
// of ours hold for none. Of a tag with a state Holds and List take the version alone: for resources
// where what a change would overwrite is in that. HoldsState and Tags compare all of it.
func ParseMatch(header string) Match {
	var m Match
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" {
			m.any = true
			continue
		}
		if len(part) < 2 || part[0] != '"' || part[len(part)-1] != '"' {
			continue // weak, or no tag
		}
		number, _, _ := strings.Cut(strings.Trim(part, `"`), "-")
		version, err := strconv.ParseInt(number, 10, 64)
		if err == nil && version > 0 && number == strconv.FormatInt(version, 10) { // "01" is another tag than "1"
			m.versions = append(m.versions, version)
			if tag := strings.Trim(part, `"`); wellFormed(tag) {
				m.tags = append(m.tags, tag)
			}
		}
	}
	return m
}

// Holds reports whether the version of a resource that is there meets the precondition.
func (m Match) Holds(version int64) bool { return m.any || slices.Contains(m.versions, version) }

// HoldsState reports whether the version of a resource that is there, in a state, meets the precondition: by its whole tag (OfState), or by the version alone, where the
// precondition tells no state.
func (m Match) HoldsState(version int64, words ...string) bool {
	return m.any || slices.Contains(m.tags, strings.Trim(Of(version), `"`)) || slices.Contains(m.tags, strings.Trim(OfState(version, words...), `"`))
}

// Tags returns "*", or the tags without quotes with a comma before, between and behind them: what a statement can compare with.
func (m Match) Tags() string {
	if m.any {
		return "*"
	}
	return "," + strings.Join(m.tags, ",") + ","
}

// wellFormed reports whether a tag is of letters, digits and hyphens, as those of OfState are; so none means anything to a statement.
func wellFormed(tag string) bool {
	return strings.IndexFunc(tag, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
	}) < 0
}

// List returns "*", or the versions with a comma before, between and behind them: what a statement can compare with.
func (m Match) List() string {
	if m.any {
		return "*"
	}
	var out strings.Builder
	out.WriteByte(',')
	for _, version := range m.versions {
		out.WriteString(strconv.FormatInt(version, 10))
		out.WriteByte(',')
	}
	return out.String()
}

// Names reports whether the value of If-None-Match names a tag, by weak comparison. "*" names every tag.
func Names(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimPrefix(strings.TrimSpace(part), "W/"); part == "*" || part == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
