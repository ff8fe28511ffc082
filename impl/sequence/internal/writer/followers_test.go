package writer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// looks returns a function that looks twice.
func looks(t *testing.T, f *Followers, log *bytes.Buffer, ends Ends) (twice func()) {
	l := poller{of: f, ends: ends, log: slog.New(slog.NewTextHandler(log, nil))}
	return func() { l.look(t.Context()); l.look(t.Context()) }
}

func told(changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	default:
		return false
	}
}

func TestFollowers_areWokenByWhatOthersCommitInOneLook(t *testing.T) {
	var f Followers
	var asked [][]string
	last := map[string]int64{"hamlet": 3, "lear": 7, "macbeth": 1}
	twice := looks(t, &f, &bytes.Buffer{}, func(_ context.Context, scopes []string) (map[string]int64, error) {
		slices.Sort(scopes)
		asked = append(asked, scopes)
		out := map[string]int64{}
		for _, scope := range scopes {
			out[scope] = last[scope]
		}
		return out, nil
	})
	twice()
	require.Empty(t, asked, "without a follower nothing is asked")
	hamlet, doneHamlet := f.Follow("hamlet", 3)
	second, doneSecond := f.Follow("hamlet", 3)
	lear, doneLear := f.Follow("lear", 7)
	behind, doneBehind := f.Follow("macbeth", 0)
	twice()
	require.Equal(t, []string{"hamlet", "lear", "macbeth"}, asked[0], "one statement for all")
	require.Equal(t, []string{"hamlet", "lear"}, asked[1])
	require.True(t, told(behind), "it came between the look and the wait")
	require.False(t, told(hamlet) || told(lear))
	last["hamlet"] = 4
	twice()
	require.True(t, told(hamlet) && told(second))
	require.False(t, told(lear))
	doneHamlet()
	doneSecond()
	doneBehind()
	asked = nil
	twice()
	require.Equal(t, [][]string{{"lear"}, {"lear"}}, asked, "who was told follows anew")
	doneLear()
	asked = nil
	twice()
	require.Empty(t, asked)
}

func TestFollowers_sayWhenTheyAreBlind(t *testing.T) {
	var f Followers
	var log bytes.Buffer
	var fail error
	twice := looks(t, &f, &log, func(context.Context, []string) (map[string]int64, error) { return map[string]int64{"hamlet": 2}, fail })
	changed, done := f.Follow("hamlet", 1)
	defer done()
	fail = errors.New("the database is away")
	twice()
	require.False(t, told(changed))
	require.Equal(t, 1, strings.Count(log.String(), "can't be seen"), "once")
	fail = nil
	twice()
	require.True(t, told(changed))
	require.Equal(t, 1, strings.Count(log.String(), "seen again"))
}
