// Package etag parses request preconditions (RFC 9110, section 13.1). The entity tag of a version is its number in quotes; where an answer also
// contains state that changes without a new version, that state follows the number.
package etag

import (
	"slices"
	"strconv"
	"strings"
)

// Of returns the entity tag of a version.
func Of(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// OfState returns the entity tag of a version together with state that does not create versions: an answer with another state must have another tag
// (RFC 9110, section 8.8.1). The words describe the state and consist of letters and digits.
func OfState(version int64, words ...string) string {
	return `"` + strings.Join(append([]string{strconv.FormatInt(version, 10)}, words...), "-") + `"`
}

// Match is what If-Match demands of the current version: to be one of several, or only to exist. The zero Match matches nothing.
type Match struct {
	any      bool
	versions []int64  // of all tags
	tags     []string // without quotes
}

// Exactly returns the Match of one version.
func Exactly(version int64) Match {
	return Match{versions: []int64{version}, tags: []string{strconv.FormatInt(version, 10)}}
}

// ParseMatch parses the value of If-Match, whose syntax the contract has checked. Comparison is strong: weak tags and tags that are not versions of
// ours match nothing. Of a tag with state, Holds and List use only the version: they are for resources whose version covers everything that a change
// would overwrite. HoldsState and Tags compare the whole tag.
func ParseMatch(header string) Match {
	var m Match
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" {
			m.any = true
			continue
		}
		if len(part) < 2 || part[0] != '"' || part[len(part)-1] != '"' {
			continue // weak, or not a tag
		}
		number, _, _ := strings.Cut(strings.Trim(part, `"`), "-")
		version, err := strconv.ParseInt(number, 10, 64)
		if err == nil && version > 0 && number == strconv.FormatInt(version, 10) { // "01" is a different tag from "1"
			m.versions = append(m.versions, version)
			if tag := strings.Trim(part, `"`); wellFormed(tag) {
				m.tags = append(m.tags, tag)
			}
		}
	}
	return m
}

// Holds reports whether the version of an existing resource satisfies the precondition.
func (m Match) Holds(version int64) bool { return m.any || slices.Contains(m.versions, version) }

// HoldsState reports whether the version and state of an existing resource satisfy the precondition: by the whole tag (OfState), or by the version
// alone, where the precondition contains no state.
func (m Match) HoldsState(version int64, words ...string) bool {
	return m.any || slices.Contains(m.tags, strings.Trim(Of(version), `"`)) || slices.Contains(m.tags, strings.Trim(OfState(version, words...), `"`))
}

// Tags returns "*", or the tags without quotes, each preceded and followed by a comma, for comparison in an SQL statement.
func (m Match) Tags() string {
	if m.any {
		return "*"
	}
	return "," + strings.Join(m.tags, ",") + ","
}

// wellFormed reports whether a tag consists of letters, digits and hyphens, as those of OfState do, so that it has no special meaning in a statement.
func wellFormed(tag string) bool {
	return strings.IndexFunc(tag, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-'
	}) < 0
}

// List returns "*", or the versions, each preceded and followed by a comma, for comparison in an SQL statement.
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

// Names reports whether the value of If-None-Match contains a tag, by weak comparison. "*" matches every tag.
func Names(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimPrefix(strings.TrimSpace(part), "W/"); part == "*" || part == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
