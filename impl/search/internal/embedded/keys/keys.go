// Package keys manages the API keys of the engine: their permissions, and the scoped search keys that are derived from them without a call
// to the engine.
package keys

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Forever is the documented expiry of a key without one.
const Forever = 64723363199

const (
	prefixLength = 4
	// SearchAction is the only action that a scoped key's parent may have.
	SearchAction = "documents:search"
	// maxScopedBytes limits the length of a scoped key.
	maxScopedBytes = 16 << 10
)

// Key is an API key as it is stored.
type Key struct {
	ID          uint32   `json:"id"`
	Value       string   `json:"value"`
	Description string   `json:"description"`
	Actions     []string `json:"actions"`
	Collections []string `json:"collections"`
	ExpiresAt   uint64   `json:"expires_at"`
	Autodelete  bool     `json:"autodelete"`
}

// Shown is a key in a response. The full value is shown only once, and a prefix of it later.
type Shown struct {
	Actions     []string `json:"actions"`
	Autodelete  bool     `json:"autodelete"`
	Collections []string `json:"collections"`
	Description string   `json:"description"`
	ExpiresAt   uint64   `json:"expires_at"`
	ID          uint32   `json:"id"`
	Value       *string  `json:"value,omitempty"`
	Prefix      *string  `json:"value_prefix,omitempty"`
}

// Show returns the key for a response, with its full value if whole.
func (k Key) Show(whole bool) Shown {
	s := Shown{Actions: k.Actions, Autodelete: k.Autodelete, Collections: k.Collections, Description: k.Description, ExpiresAt: k.ExpiresAt, ID: k.ID}
	if whole {
		s.Value = &k.Value
		return s
	}
	prefix := k.Value[:min(prefixLength, len(k.Value))]
	s.Prefix = &prefix
	return s
}

func refuse(text string) error { return &schema.Error{Status: http.StatusBadRequest, Text: text} }

// Parse parses the body of POST /keys. A key without a value gets a random one.
func Parse(body []byte) (Key, error) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		return Key{}, refuse("Bad JSON.")
	}
	k := Key{ExpiresAt: Forever}
	for _, name := range []string{"actions", "collections", "description"} {
		if _, ok := raw[name]; !ok {
			return k, refuse("Could not find a `" + name + "` key.")
		}
	}
	if json.Unmarshal(raw["description"], &k.Description) != nil {
		return k, refuse("Key description must be a string.")
	}
	for name, into := range map[string]*[]string{"actions": &k.Actions, "collections": &k.Collections} {
		if json.Unmarshal(raw[name], into) != nil || *into == nil || len(*into) == 0 {
			return k, refuse("Wrong format for `" + name + "`. It should be an array of string.")
		}
	}
	if v, ok := raw["expires_at"]; ok && json.Unmarshal(v, &k.ExpiresAt) != nil {
		return k, refuse("Wrong format for `expires_at`. It should be an unsigned integer.")
	}
	if v, ok := raw["autodelete"]; ok && json.Unmarshal(v, &k.Autodelete) != nil {
		return k, refuse("Wrong format for `autodelete`. It should be a boolean.")
	}
	v, ok := raw["value"]
	if !ok {
		k.Value = random()
		return k, nil
	}
	if json.Unmarshal(v, &k.Value) != nil || v[0] != '"' {
		return k, refuse("Key value must be a string.")
	}
	return k, nil
}

func random() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// Expired reports whether the key has expired.
func (k Key) Expired(now time.Time) bool { return uint64(now.Unix()) > k.ExpiresAt }

// Allows reports whether the key permits the action on the collection. An empty collection means an operation on no particular collection.
func (k Key) Allows(action, collection string) bool {
	return slices.ContainsFunc(k.Actions, func(a string) bool { return covers(a, action) }) && k.reaches(collection)
}

// covers reports, as documented, whether the given action covers the wanted one: it is the same action, all actions of the resource
// ("documents:*") or all actions.
func covers(given, wanted string) bool {
	resource, _, _ := strings.Cut(wanted, ":")
	return given == "*" || given == wanted || given == resource+":*"
}

// reaches reports, as documented, whether an item of collections matches. Each is a name, or a regular expression for whole names.
func (k Key) reaches(collection string) bool {
	for _, pattern := range k.Collections {
		if pattern == "*" || pattern == collection {
			return true
		}
		if collection == "" { // an operation on no collection in particular requires a key for all collections
			continue
		}
		if re, err := regexp.Compile("^(?:" + pattern + ")$"); err == nil && re.MatchString(collection) {
			return true
		}
	}
	return false
}

// Scope is the content of a scoped search key.
type Scope struct {
	// Parent is the key from which it was derived.
	Parent Key
	// Params are the embedded search parameters. Callers can't override them.
	Params map[string]json.RawMessage
}

// Scoped parses presented as a scoped search key (base64 of the digest, four characters of the parent's value, and the parameters) derived
// from one of the candidates. It returns false if it is not one, if it has expired, or if its parent permits more than searches.
func Scoped(presented string, candidates []Key, now time.Time) (Scope, bool) {
	if len(presented) > maxScopedBytes {
		return Scope{}, false
	}
	raw, err := base64.StdEncoding.DecodeString(presented)
	const digest = 44 // base64 of 32 bytes
	if err != nil || len(raw) < digest+prefixLength {
		return Scope{}, false
	}
	mac, prefix, params := raw[:digest], string(raw[digest:digest+prefixLength]), raw[digest+prefixLength:]
	for _, k := range candidates {
		if len(k.Value) < prefixLength || k.Value[:prefixLength] != prefix {
			continue
		}
		h := hmac.New(sha256.New, []byte(k.Value))
		h.Write(params)
		if !hmac.Equal(mac, []byte(base64.StdEncoding.EncodeToString(h.Sum(nil)))) {
			continue
		}
		s := Scope{Parent: k}
		if k.Expired(now) || len(k.Actions) != 1 || k.Actions[0] != SearchAction || json.Unmarshal(params, &s.Params) != nil || s.Params == nil {
			return Scope{}, false
		}
		if v, ok := s.Params["expires_at"]; ok {
			var at uint64
			if json.Unmarshal(v, &at) != nil || uint64(now.Unix()) > at {
				return Scope{}, false
			}
			delete(s.Params, "expires_at")
		}
		return s, true
	}
	return Scope{}, false
}
