package config

import (
	"errors"
	"net/url"
	"strings"
)

// maxAddresses bounds the instances of one service.
const maxAddresses = 64

var errAddresses = errors.New("must be an absolute http or https URL without user, query and fragment, or several with commas, at most 64, of different hosts and one path")

// Addresses parses a setting with the address of a service, or with those of its instances, separated by commas.
func Addresses(setting string) ([]*url.URL, error) {
	var out []*url.URL
	seen := map[string]bool{}
	for address := range strings.SplitSeq(setting, ",") {
		address = strings.TrimSpace(address)
		u, err := url.Parse(address)
		if err != nil || !httpURL(address) || seen[strings.ToLower(u.Host)] || len(out) == maxAddresses {
			return nil, errAddresses
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		if len(out) > 0 && u.Path != out[0].Path {
			return nil, errAddresses
		}
		seen[strings.ToLower(u.Host)] = true
		out = append(out, u)
	}
	return out, nil
}

// First returns the first address of such a setting, without a trailing slash. Calls use this address; a client that knows the others
// (httpclient.Spread) sends them to an instance that can answer.
func First(setting string) string {
	first, _, _ := strings.Cut(setting, ",")
	return strings.TrimSuffix(strings.TrimSpace(first), "/")
}
