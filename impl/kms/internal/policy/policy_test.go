package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// Every operation that takes a secret's name is in the table, with a capability of the contract. A new one fails this test until its capability is chosen.
func TestOperations_areThoseOfTheContract(t *testing.T) {
	c, err := contract.Load("kms")
	require.NoError(t, err)
	known := map[string]bool{}
	for _, op := range Operations() {
		known[op.ID] = true
		require.Contains(t, Capabilities(), op.Needs, op.ID)
		require.NotEmpty(t, op.Absent, op.ID)
	}
	var missing []string
	for _, op := range c.Operations {
		if !strings.Contains(op.Path, "{secretName}") || op.ID == "explainSecretAccess" { // that looks at policies alone
			continue
		}
		if !known[op.ID] {
			missing = append(missing, op.ID)
		}
		delete(known, op.ID)
		require.Empty(t, op.Policy.Roles.AnyOf, "%s: roles are asked of policies", op.ID)
	}
	require.Empty(t, missing)
	require.Empty(t, known, "no such operation")
}

func of(kind, id, path string, may ...Capability) Policy {
	return Policy{Name: kind + id + path, Subject: Subject{kind, id}, Path: path, Capabilities: may}
}

func TestGrants_areOfWholeWordsAndTogether(t *testing.T) {
	user := asker{kind: OfUser, id: "usr_1", roles: []string{"payments", "reader"}}
	g := Grants{user, []Policy{
		of(OfRole, "payments", "team.payments", Read), of(OfUser, "usr_1", "team", List), of(OfRole, "admin", Everything, Capabilities()...), of(OfService, Each, "shared", Read),
		of(OfUser, "usr_2", "team.payments", Write), of(OfRole, "reader", "team.payments.db", Rotate, Destroy), of(OfRole, "reader", Own, Read),
	}}
	for name, want := range map[string][]Capability{
		"team": {List}, "team.payments": {List, Read}, "team.payments.db": {List, Read, Destroy, Rotate}, "team.payments.db.x": {List, Read, Destroy, Rotate},
		"team.payments2": {List}, "team.payments-x": {List}, "team.payment": {List}, "teams": nil, "tea": nil, "x.team": nil, "shared": nil, "": nil, ".": nil, "team.": {List}, "TEAM": nil,
	} {
		require.Equal(t, want, g.Of(name), name)
	}
	service := Grants{asker{kind: OfService, id: "svc_1", own: "search"}, []Policy{
		of(OfService, Each, Own, Read), of(OfService, "svc_1", "shared", Read), of(OfService, "svc_2", "other", Read), of(OfRole, "search", "other", Read), of(OfUser, "svc_1", "other", Read),
	}}
	for name, want := range map[string]bool{"search": true, "search.key": true, "searchx": false, "search-x": false, "shared.a": true, "other": false, "{service}": false} {
		require.Equal(t, want, len(service.Of(name)) > 0, name)
	}
	nobody := Grants{asker{kind: OfService, id: "", own: ""}, []Policy{of(OfService, "", Everything, Read), of(OfService, Each, Own, Read), of(OfUser, "", Everything, Read)}}
	require.Empty(t, nobody.Of("search"), "no name is not every name")
	require.Empty(t, nobody.Ranges(Read))
	require.Empty(t, Grants{}.Of("search"))
}

// A list has exactly the names for which the capability is granted.
func TestRanges_areWhatOfAllows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string { return []string{"a", "b", "a-", "aa", "a0", "0", "z"}[random.IntN(7)] }
	path := func() string {
		words := []string{word()}
		for random.IntN(2) == 0 && len(words) < 4 {
			words = append(words, word())
		}
		return strings.Join(words, ".")
	}
	var names []string
	for range 500 {
		names = append(names, path())
	}
	for round := range 500 {
		g := Grants{asker: asker{kind: OfService, id: "svc_1", own: word()}}
		for range random.IntN(6) {
			p := of(OfService, []string{"svc_1", Each, "svc_2"}[random.IntN(3)], path(), []Capability{List, Read}[random.IntN(2)])
			switch random.IntN(20) {
			case 0:
				p.Path = Everything
			case 1:
				p.Path = Own
			}
			g.policies = append(g.policies, p)
		}
		ranges := g.Ranges(List)
		for i, r := range ranges {
			if i > 0 {
				require.LessOrEqual(t, ranges[i-1].Before, r.From, "they follow each other")
			}
		}
		for _, name := range names {
			in := slices.ContainsFunc(ranges, func(r Range) bool { return r.From <= name && (r.Before == "" || name < r.Before) })
			require.Equal(t, slices.Contains(g.Of(name), List), in, "%d: %s in %v by %v", round, name, ranges, g.policies)
		}
	}
}

// The database is asked for all paths that a name can be within.
func TestAbove_isEveryPathThatANameIsWithin(t *testing.T) {
	require.Equal(t, []string{"a.b-c.d", "a.b-c", "a"}, above("a.b-c.d"))
	require.Equal(t, []string{"a"}, above("a"))
	for _, path := range above("a.b.c.d.e.f.g.h") {
		require.True(t, within("a.b.c.d.e.f.g.h", path))
	}
	require.Len(t, above("a.b.c.d.e.f.g.h"), 8)
}

// A path covers a name if and only if the words of the name begin with the words of the path.
func FuzzWithin(f *testing.F) {
	for _, pair := range [][2]string{
		{"team.payments.db", "team.payments"}, {"team.payments2", "team.payments"}, {"team/../x", "team"}, {"team%2epayments", "team"}, {"TEAM.payments", "team"}, {"team..x", "team."}, {"", ""},
		{".", ""}, {"team\x00.x", "team"}, {"team.\u212a", "team"}, {"ｔeam.x", "team"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, name, path string) {
		words, first := strings.Split(name, "."), strings.Split(path, ".")
		want := path != "" && len(words) >= len(first) && slices.Equal(words[:len(first)], first)
		if got := within(name, path); got != want {
			t.Fatalf("%q within %q: %v", name, path, got)
		}
		if want != slices.Contains(above(name), path) && path != "" && !strings.HasPrefix(name, ".") {
			t.Fatalf("%q above %q", path, name)
		}
		g := Grants{asker{kind: OfUser, id: "usr_1"}, []Policy{of(OfUser, "usr_1", path, Read)}}
		if path != Everything && path != Own && len(g.Of(name)) > 0 != want {
			t.Fatalf("%q by %q", name, path)
		}
	})
}
