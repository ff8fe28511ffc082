package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scoped creates a key as the documentation describes.
func scoped(parent, params string) string {
	h := hmac.New(sha256.New, []byte(parent))
	h.Write([]byte(params))
	return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(h.Sum(nil)) + parent[:4] + params))
}

func TestScoped_takesOnlyWhatItsParentMade(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	parent := Key{ID: 1, Value: "parent-one", Actions: []string{"documents:search"}, Collections: []string{"c"}, ExpiresAt: Forever}
	other := Key{ID: 2, Value: "parent-two", Actions: []string{"documents:search"}, Collections: []string{"*"}, ExpiresAt: Forever} // the same first letters
	s, ok := Scoped(scoped("parent-two", `{"filter_by":"a:1","expires_at":1700000001}`), []Key{parent, other}, now)
	require.True(t, ok)
	require.EqualValues(t, 2, s.Parent.ID)
	require.Equal(t, `"a:1"`, string(s.Params["filter_by"]))
	require.NotContains(t, s.Params, "expires_at", "it is no parameter of a search")

	admin := Key{ID: 3, Value: "parent-admin", Actions: []string{"*"}, Collections: []string{"*"}, ExpiresAt: Forever}
	ended := Key{ID: 4, Value: "parent-ended", Actions: []string{"documents:search"}, Collections: []string{"*"}, ExpiresAt: 1}
	short := Key{ID: 5, Value: "abc", Actions: []string{"documents:search"}, Collections: []string{"*"}, ExpiresAt: Forever}
	tampered := scoped("parent-one", `{"filter_by":"a:1"}`)
	raw, err := base64.StdEncoding.DecodeString(tampered)
	require.NoError(t, err)
	raw[len(raw)-3] = '2'
	for name, presented := range map[string]string{
		"other parent":   scoped("parent-six", `{}`),
		"parent may all": scoped("parent-admin", `{}`),
		"parent ended":   scoped("parent-ended", `{}`),
		"ended":          scoped("parent-one", `{"expires_at":1}`),
		"no object":      scoped("parent-one", `[]`),
		"no JSON":        scoped("parent-one", `{`),
		"tampered":       base64.StdEncoding.EncodeToString(raw),
		"no base64":      "%%%", "empty": "", "short": base64.StdEncoding.EncodeToString([]byte("abc")),
	} {
		_, ok := Scoped(presented, []Key{parent, other, admin, ended, short}, now)
		require.False(t, ok, name)
	}
}

func TestAllows_followsActionsAndCollections(t *testing.T) {
	for _, c := range []struct {
		actions, collections []string
		action, collection   string
		may                  bool
	}{
		{[]string{"*"}, []string{"*"}, "keys:create", "", true},
		{[]string{"documents:*"}, []string{"items"}, "documents:get", "items", true},
		{[]string{"documents:*"}, []string{"items"}, "documents:get", "items2", false},
		{[]string{"documents:*"}, []string{"items"}, "collections:get", "items", false},
		{[]string{"documents:search"}, []string{"sh.*"}, "documents:search", "shop", true},
		{[]string{"documents:search"}, []string{"sh.*"}, "documents:search", "my_shop", false},
		{[]string{"documents:search"}, []string{"sh.*"}, "documents:search", "", false},
		{[]string{"collections:list"}, []string{"*"}, "collections:list", "", true},
		{[]string{"documents:search"}, []string{"("}, "documents:search", "shop", false},
	} {
		k := Key{Actions: c.actions, Collections: c.collections}
		require.Equal(t, c.may, k.Allows(c.action, c.collection), "%v", c)
	}
}
