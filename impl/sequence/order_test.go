package sequence

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	database "github.com/fountainai/fountain/internal/store"
)

// order returns the ids of the spoken words in the order of their numbers.
func (i *instance) order(t testing.TB) (out string) {
	r := i.do(t, reader, http.MethodGet, linesPath, nil)
	require.Equal(t, 200, r.status)
	var list struct{ Items []element }
	r.into(t, &list)
	for n, e := range list.Items {
		require.EqualValues(t, n+1, e.Number)
		out += e.ID
	}
	return out
}

// TestListElements_consistentlyShowsOneOrderOrEnds lists page by page while elements are appended, revised and omitted, and while the order changes.
func TestListElements_consistentlyShowsOneOrderOrEnds(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			i.create(t, linesPath, fmt.Sprintf(`{"id":%q,"data":{}}`, id))
		}
		pages := func(query string, between func()) (ids string, status int) {
			cursor := ""
			for {
				r := i.do(t, reader, http.MethodGet, linesPath+"?limit=2"+query+cursor, nil)
				if r.status != 200 {
					if r.status == 409 {
						code, _ := r.problem(t)
						require.Equal(t, "order_changed", code)
					}
					return ids, r.status
				}
				var list struct {
					Items      []element
					NextCursor *string
				}
				r.into(t, &list)
				for _, e := range list.Items {
					ids += e.ID
				}
				if list.NextCursor == nil {
					return ids, 200
				}
				cursor = "&cursor=" + *list.NextCursor
				between()
			}
		}
		n := 0
		busy := func() {
			n++
			i.create(t, linesPath, fmt.Sprintf(`{"id":"new%d","data":{}}`, n))
			i.create(t, "/scopes/hamlet/section/elements", `{"data":{}}`)
			require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/e/omit", nil).status)
			require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/a/move", `{"before":"b"}`).status, "it is there")
		}
		ids, status := pages("&consistent=true", busy)
		require.Equal(t, 200, status)
		require.Equal(t, "abcde", ids, "nothing that came later")
		ids, _ = pages("&consistent=true&status=active", func() {})
		require.Equal(t, "abcdnew1new2", ids)
		moves := 0
		move := func() {
			moves++
			body := fmt.Sprintf(`{%q:"e"}`, []string{"before", "after"}[moves%2])
			require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/a/move", body).status)
		}
		ids, status = pages("&consistent=true", move)
		require.Equal(t, 409, status)
		require.Equal(t, "ab", ids)
		_, status = pages("", move)
		require.Equal(t, 200, status)
		// A cursor is valid for one kind of listing only.
		r := i.do(t, reader, http.MethodGet, linesPath+"?limit=2", nil)
		var list struct{ NextCursor string }
		r.into(t, &list)
		require.Equal(t, 400, i.do(t, reader, http.MethodGet, linesPath+"?limit=2&consistent=true&cursor="+list.NextCursor, nil).status)
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/nobody/line/elements?consistent=true", nil).status)
	})
}

func TestMoveElement_takesThePlaceBesideAnother(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			i.create(t, linesPath, fmt.Sprintf(`{"id":%q,"data":{}}`, id))
		}
		for _, step := range []struct{ id, body, want string }{
			{"e", `{"before":"b"}`, "aebcd"}, {"a", `{"after":"d"}`, "ebcda"}, {"e", `{"after":"b"}`, "becda"}, {"a", `{"before":"b"}`, "abecd"}, {"a", `{"before":"b"}`, "abecd"}, {"c", `{"after":"e"}`, "abecd"},
		} {
			before := i.order(t)
			preview := i.do(t, reader, http.MethodPost, linesPath+"/"+step.id+"/move/preview", step.body)
			require.Equal(t, 200, preview.status, string(preview.body))
			require.Equal(t, before, i.order(t), "a preview changes nothing")
			r := i.do(t, stepped, http.MethodPost, linesPath+"/"+step.id+"/move", step.body)
			require.Equal(t, 200, r.status, string(r.body))
			require.Equal(t, step.want, i.order(t))
			require.JSONEq(t, string(preview.body), string(r.body), "the preview told what would change")
		}
	})
}

// A move over more than ten thousand elements is answered at once and describes the others by a range. From the answer on all reads have the new order.
func TestMoveElement_tellsOfManyByTheirRange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		const count = 10_200
		for n := 0; n < count; n += 850 {
			var batch []string
			for k := n; k < n+850; k++ {
				batch = append(batch, fmt.Sprintf(`{"id":"e%d","data":{}}`, k+1))
			}
			r := i.do(t, editor, http.MethodPost, "/scopes/hamlet/spokenWord/element-batches", `{"elements":[`+strings.Join(batch, ",")+`]}`)
			require.Equal(t, 201, r.status, string(r.body))
		}
		const body, want = `{"after":"e10200"}`, `{"changes":[{"id":"e1","from":1,"to":10200}],"shifted":{"from":2,"to":10200,"by":-1}}`
		preview := i.do(t, reader, http.MethodPost, linesPath+"/e1/move/preview", body)
		require.JSONEq(t, want, string(preview.body))
		r := i.do(t, stepped, http.MethodPost, linesPath+"/e1/move", body)
		require.Equal(t, 200, r.status, string(r.body))
		require.JSONEq(t, want, string(r.body))
		var e struct{ Number int64 }
		for id, number := range map[string]int64{"e1": count, "e2": 1, "e5000": 4999, "e10200": count - 1} {
			i.do(t, reader, http.MethodGet, linesPath+"/"+id, nil).into(t, &e)
			require.Equal(t, number, e.Number, id)
		}
		var feed struct {
			Items []struct {
				Kind             string
				Numbers, Shifted json.RawMessage
			}
		}
		i.do(t, reader, http.MethodGet, fmt.Sprintf("/scopes/hamlet/changes?after=%d", count), nil).into(t, &feed)
		require.Len(t, feed.Items, 1)
		require.Equal(t, "reordered", feed.Items[0].Kind)
		require.JSONEq(t, `[{"id":"e1","from":1,"to":10200}]`, string(feed.Items[0].Numbers))
		require.JSONEq(t, `{"from":2,"to":10200,"by":-1}`, string(feed.Items[0].Shifted))
	})
}

func TestMoveElement_refusesWhatIsWrong(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{}}`)
		i.create(t, linesPath, `{"id":"b","data":{}}`)
		for _, path := range []string{"/a/move", "/a/move/preview"} {
			for _, wrong := range []struct{ body, pointer string }{{`{"before":"nobody"}`, "/before"}, {`{"after":"a"}`, "/after"}} {
				r := i.do(t, stepped, http.MethodPost, linesPath+path, wrong.body)
				require.Equal(t, 422, r.status, string(r.body))
				_, pointers := r.problem(t)
				require.Equal(t, []string{wrong.pointer}, pointers)
			}
			require.Equal(t, 422, i.do(t, stepped, http.MethodPost, linesPath+path, `{"before":"b","after":"b"}`).status)
			require.Equal(t, 422, i.do(t, stepped, http.MethodPost, linesPath+path, `{}`).status)
		}
		require.Equal(t, 404, i.do(t, stepped, http.MethodPost, linesPath+"/nobody/move", `{"before":"a"}`).status)
		require.Equal(t, 404, i.do(t, stepped, http.MethodPost, linesPath+"/nobody/move/preview", `{"before":"a"}`).status)
		r := i.do(t, editor, http.MethodPost, linesPath+"/b/move", `{"before":"a"}`)
		require.Equal(t, 401, r.status, "a second factor is asked for")
		require.Equal(t, 403, i.do(t, reader, http.MethodPost, linesPath+"/b/move", `{"before":"a"}`).status)
		require.Equal(t, "ab", i.order(t))
	})
}

func TestPreviewReorder_tellsWhatWouldChange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		const path = "/scopes/hamlet/spokenWord/reorder/preview"
		require.Equal(t, 404, i.do(t, reader, http.MethodPost, path, `{"order":["a","b"]}`).status)
		for _, id := range []string{"a", "b", "c"} {
			i.create(t, linesPath, fmt.Sprintf(`{"id":%q,"data":{}}`, id))
		}
		r := i.do(t, reader, http.MethodPost, path, `{"order":["c","a"]}`)
		require.Equal(t, 200, r.status)
		require.JSONEq(t, `{"changes":[{"id":"c","from":3,"to":1},{"id":"a","from":1,"to":3}]}`, string(r.body), "a part of the elements will do")
		require.Equal(t, "abc", i.order(t))
		r = i.do(t, reader, http.MethodPost, path, `{"order":["c","nobody"]}`)
		require.Equal(t, 422, r.status)
		_, pointers := r.problem(t)
		require.Equal(t, []string{"/order/1"}, pointers)
	})
}
