package sequence

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/servicetest"
	database "github.com/fountainai/fountain/internal/store"
)

// change is the part of a feed entry that tests check.
type change struct {
	Position, Version, Number int64
	Kind, ElementType, By     string
	At                        time.Time
	ElementID                 string `json:"elementId"`
	Numbers                   []struct {
		ID       string
		From, To int64
	}
}

type changeList struct {
	Feed     string
	Position int64
	Items    []change
}

func (i *instance) changes(t testing.TB, query string, headers ...string) (out changeList) {
	r := i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes"+query, nil, headers...)
	require.Equal(t, 200, r.status, string(r.body))
	r.into(t, &out)
	return out
}

func (l changeList) told() (out []string) {
	for _, c := range l.Items {
		out = append(out, fmt.Sprintf("%d %s %s/%s v%d #%d %d", c.Position, c.Kind, c.ElementType, c.ElementID, c.Version, c.Number, len(c.Numbers)))
	}
	return out
}

func TestListChanges_tellsEveryChangeInOrder(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		r := i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes", nil)
		require.Equal(t, 404, r.status, "a scope begins with its first element")
		i.create(t, linesPath, `{"id":"a","data":{"text":"x"}}`)
		i.create(t, "/scopes/hamlet/section/elements", `{"id":"s","data":{}}`)
		i.create(t, "/scopes/lear/section/elements", `{"id":"elsewhere","data":{}}`)
		i.create(t, linesPath, `{"id":"b","data":{}}`)
		require.Equal(t, 409, i.do(t, editor, http.MethodPost, linesPath, `{"id":"b","data":{}}`).status)
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"y"}}`, "If-Match", `"1"`).status)
		for range 2 {
			require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/b/omit", nil).status)
		}
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/b/restore", nil).status)
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, "/scopes/hamlet/spokenWord/reorder", `{"order":["b","a"]}`).status)
		all := i.changes(t, "")
		require.Equal(t, []string{
			"1 created spokenWord/a v1 #1 0", "2 created section/s v1 #1 0", "3 created spokenWord/b v1 #2 0", "4 revised spokenWord/a v2 #1 0",
			"5 omitted spokenWord/b v0 #2 0", "6 restored spokenWord/b v0 #2 0", "7 reordered spokenWord/ v0 #0 2",
		}, all.told(), "what failed or changed nothing is no change")
		require.Equal(t, editor.subject, all.Items[0].By)
		require.EqualValues(t, 7, all.Position)
		part := i.changes(t, "?after=2&limit=3")
		require.Equal(t, all.told()[2:5], part.told())
		require.EqualValues(t, 5, part.Position, "what to ask after next")
		require.Empty(t, i.changes(t, "?after=7").Items)
		r = i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes?after=8", nil)
		require.Equal(t, 422, r.status, "the caller knows what the database does not")
		code, _ := r.problem(t)
		require.Equal(t, "validation_failed", code)
	})
}

func TestListChanges_waitsForTheNextChange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{}}`)
		require.Empty(t, i.changes(t, "?after=1", "Prefer", "wait=0").Items)
		got := make(chan changeList, 1)
		go func() { got <- i.changes(t, "?after=1", "Prefer", "wait=25") }()
		i.create(t, linesPath, `{"id":"b","data":{}}`)
		require.Equal(t, []string{"2 created spokenWord/b v1 #2 0"}, (<-got).told())
	})
}

// TestListChanges_skipsNothingWhileManyWrite follows the feed while writers commit to it, on PostgreSQL through two replicas. Positions arrive without a
// gap, and in the end every element has arrived once.
func TestListChanges_skipsNothingWhileManyWrite(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		replicas := []*instance{f.start(t, db)}
		if db.URL != "" {
			replicas = append(replicas, f.start(t, db))
		}
		replicas[0].create(t, linesPath, `{"id":"first","data":{}}`)
		const writers, each = 8, 12
		var group sync.WaitGroup
		for n := range writers {
			group.Go(func() {
				i := replicas[n%len(replicas)]
				for m := range each {
					path := fmt.Sprintf("/scopes/hamlet/type%d/elements", m%3)
					if r := i.do(t, editor, http.MethodPost, path, fmt.Sprintf(`{"id":"w%d-%d","data":{}}`, n, m)); r.status != 201 {
						t.Errorf("append: %d", r.status)
					}
				}
			})
		}
		var seen []string
		after := int64(0)
		follower := replicas[len(replicas)-1]
		for len(seen) < 1+writers*each && !t.Failed() {
			page := follower.changes(t, fmt.Sprintf("?after=%d&limit=7", after), "Prefer", "wait=5")
			for _, c := range page.Items {
				require.Equal(t, after+1, c.Position, "nothing comes late")
				after = c.Position
				seen = append(seen, c.ElementType+"/"+c.ElementID)
			}
		}
		group.Wait()
		slices.Sort(seen)
		require.Len(t, slices.Compact(seen), 1+writers*each)
	})
}

func TestStreamChanges_goesOnBehindTheLastEvent(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		r := i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes/stream", nil)
		require.Equal(t, 404, r.status)
		i.create(t, linesPath, `{"id":"a","data":{}}`)
		i.create(t, linesPath, `{"id":"b","data":{}}`)
		require.Equal(t, 422, i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes/stream?after=9", nil).status)
		r = i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes/stream?limit=2", nil, "Accept", "text/event-stream")
		require.Equal(t, 200, r.status)
		require.Equal(t, "text/event-stream", r.header.Get("Content-Type"))
		events := strings.Split(strings.TrimSuffix(string(r.body), "\n\n"), "\n\n")
		require.Len(t, events, 2)
		feed := i.changes(t, "").Feed
		require.True(t, strings.HasPrefix(events[0], "id: "+feed+"-1\nevent: change\ndata: {"), events[0])
		for _, last := range []string{feed + "-1", "1"} {
			r = i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes/stream?limit=1&after=0&feed="+elsewhere, nil, "Last-Event-Id", last)
			require.True(t, strings.HasPrefix(string(r.body), "id: "+feed+"-2\n"), string(r.body))
		}
		for _, last := range []string{elsewhere + "-1", feed + "-9", "9"} {
			require.Equal(t, 422, i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes/stream?limit=1", nil, "Last-Event-Id", last).status, last)
		}
	})
}

func TestStreamChanges_endsWithTheService(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	i.create(t, linesPath, `{"id":"a","data":{}}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.URL+"/sequence/v1/scopes/hamlet/changes/stream", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+f.token(t, reader))
	answer, err := (&http.Client{}).Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	i.Stop(t)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err, "it ends as it should, after whole events")
	require.Contains(t, string(body), "-1\nevent: change\n")
}

func TestStreamChanges_endsWithItsSession(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	i.create(t, linesPath, `{"id":"a","data":{}}`)
	claims := servicetest.User(word, time.Now())
	claims.Scope, claims.Roles = reader.scopes, reader.roles
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.URL+"/sequence/v1/scopes/hamlet/changes/stream", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+f.kms.Token(t, claims))
	answer, err := (&http.Client{}).Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, 200, answer.StatusCode)
	f.kms.End("session", claims.SessionID, 0)
	body, err := io.ReadAll(answer.Body) // it ends, or the test hangs
	require.NoError(t, err, "after whole events")
	require.Contains(t, string(body), "-1\nevent: change\n")
}

func TestStreamChanges_sendsWhatComesLater(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{}}`)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL+"/sequence/v1/scopes/hamlet/changes/stream?after=1&limit=1", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+f.token(t, reader))
		answer, err := (&http.Client{}).Do(request) // the client of the tests reads whole answers
		require.NoError(t, err)
		defer answer.Body.Close()
		require.Equal(t, 200, answer.StatusCode)
		i.create(t, linesPath, `{"id":"b","data":{}}`)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), "-2\nevent: change\n")
	})
}

// elsewhere is a name that no feed has.
const elsewhere = "AAAAAAAAAAAAAAAAAAAAAAAAAA"

// TestRestore_refusesFollowersOfTheFeedFromBefore lets the restored feed pass the follower's position again, so that only the feed's name shows the restore.
func TestRestore_refusesFollowersOfTheFeedFromBefore(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{}}`)
		before := i.changes(t, "")
		require.Empty(t, i.changes(t, "?after=1&feed="+before.Feed).Items)
		i.Stop(t)
		i = f.start(t, db)
		require.Equal(t, before.Feed, i.changes(t, "").Feed, "a restart is no restore")
		i.Stop(t)

		settings := f.settings(t, db)
		part, err := BackupPart(settings.Service)
		require.NoError(t, err)
		opened, err := database.Open(t.Context(), part.Database)
		require.NoError(t, err)
		require.NoError(t, opened.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			return part.Mark(ctx, tx, &backup.Restored{At: time.Now()})
		}))
		require.NoError(t, opened.Close())

		i = f.start(t, db)
		i.create(t, linesPath, `{"id":"other","data":{}}`)
		for _, query := range []string{"?after=1&feed=" + before.Feed, "?feed=" + before.Feed} {
			for _, path := range []string{"/scopes/hamlet/changes", "/scopes/nobody/changes", "/scopes/hamlet/changes/stream"} {
				r := i.do(t, reader, http.MethodGet, path+query, nil)
				require.Equal(t, 422, r.status, path)
				code, _ := r.problem(t)
				require.Equal(t, "validation_failed", code)
				require.Contains(t, string(r.body), "begin again")
			}
		}
		require.Equal(t, 422, i.do(t, reader, http.MethodGet, "/scopes/hamlet/changes/stream", nil, "Last-Event-Id", before.Feed+"-1").status)
		again := i.changes(t, "")
		require.NotEqual(t, before.Feed, again.Feed)
		require.Len(t, again.Items, 2)
		require.Empty(t, i.changes(t, "?after=2&feed="+again.Feed).Items)
	})
}

// TestListChanges_isToldWhatAnotherReplicaCommits fails when the request waits for its whole time.
func TestListChanges_isToldWhatAnotherReplicaCommits(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		if db.URL == "" {
			return // SQLite has one replica
		}
		one, other := f.start(t, db), f.start(t, db)
		one.create(t, linesPath, `{"id":"a","data":{}}`)
		feed := one.changes(t, "").Feed
		require.Equal(t, feed, other.changes(t, "").Feed)
		got := make(chan changeList, 1)
		go func() { got <- one.changes(t, "?after=1&feed="+feed, "Prefer", "wait=25") }()
		other.create(t, linesPath, `{"id":"b","data":{}}`)
		select {
		case page := <-got:
			require.Equal(t, []string{"2 created spokenWord/b v1 #2 0"}, page.told())
		case <-time.After(20 * time.Second):
			t.Fatal("nobody tells of it")
		}
	})
}
