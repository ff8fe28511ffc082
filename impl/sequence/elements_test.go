package sequence

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	database "github.com/fountainai/fountain/internal/store"
)

func TestCreateElement_numbersFromOneAndKeepsTheData(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		const data = `{"text":"Who's there? <b>&  é \u0041","n":1.0,"big":12345678901234567890,"nested":{"a":[1,null,true]}}`
		r := i.do(t, editor, http.MethodPost, linesPath, `{"id":"act1-line1","comment":"first","data":`+data+`}`)
		require.Equal(t, 201, r.status, string(r.body))
		require.Equal(t, `"1-1-active"`, r.header.Get("ETag"))
		var created element
		r.into(t, &created)
		require.EqualValues(t, 1, created.Number)
		require.EqualValues(t, 1, created.Version)
		require.Equal(t, "active", created.Status)
		require.Equal(t, "first", *created.Comment)
		require.Equal(t, data, string(created.Data), "the caller's bytes")
		require.Equal(t, created.CreatedAt, created.UpdatedAt)

		spaced := i.create(t, "/scopes/macbeth/spokenWord/elements", "{\"data\": {\"b\" : 1.50e1,\n\t\"a\": \"two  blanks\" } }")
		require.Equal(t, `{"b":1.50e1,"a":"two  blanks"}`, string(spaced.Data), "but the white space between its tokens")

		ours := i.create(t, linesPath, `{"data":{}}`)
		require.EqualValues(t, 2, ours.Number)
		require.Regexp(t, `^elm_[0-9A-Z]{26}$`, ours.ID)
		require.EqualValues(t, 1, i.create(t, "/scopes/hamlet/section/elements", `{"data":{}}`).Number, "each type counts by itself")
		require.EqualValues(t, 1, i.create(t, "/scopes/lear/spokenWord/elements", `{"data":{}}`).Number, "each scope counts by itself")

		r = i.do(t, reader, http.MethodGet, linesPath+"/act1-line1", nil)
		require.Equal(t, 200, r.status)
		require.Equal(t, `"1-1-active"`, r.header.Get("ETag"))
		var read element
		r.into(t, &read)
		require.Equal(t, created, read)
	})
}

func TestCreateElement_refusesATakenIDAndBurnsNoNumber(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{}}`)
		r := i.do(t, editor, http.MethodPost, linesPath, `{"id":"a","data":{}}`)
		require.Equal(t, 409, r.status)
		code, pointers := r.problem(t)
		require.Equal(t, "already_exists", code)
		require.Equal(t, []string{"/id"}, pointers)
		require.EqualValues(t, 2, i.create(t, linesPath, `{"id":"b","data":{}}`).Number)
	})
}

func TestCreateElement_boundsTheData(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		exact := `{"text":"` + strings.Repeat("x", 64<<10-11) + `"}`
		require.Len(t, exact, 64<<10)
		i.create(t, linesPath, `{"data":`+exact+`}`)
		r := i.do(t, editor, http.MethodPost, linesPath, `{"data":`+exact[:9]+"y"+exact[9:]+`}`)
		require.Equal(t, 422, r.status)
		code, pointers := r.problem(t)
		require.Equal(t, "validation_failed", code)
		require.Equal(t, []string{"/data"}, pointers)
		r = i.do(t, editor, http.MethodPost, linesPath, `{"data":{"text":"`+strings.Repeat("x", 90<<10)+`"}}`)
		require.Equal(t, 413, r.status)
		for _, body := range []string{`{"data":[]}`, `{"data":"x"}`, `{}`, `{"data":{},"number":7}`, `{"data":{"a":1,"a":2}}`, `{"data":{}} {}`, `{"id":"a b","data":{}}`} {
			r := i.do(t, editor, http.MethodPost, linesPath, body)
			require.Contains(t, []int{400, 422}, r.status, body)
		}
		require.EqualValues(t, 2, i.create(t, linesPath, `{"data":{}}`).Number, "no refusal took a number")
	})
}

func TestCreateElements_isAllOrNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		const path = "/scopes/hamlet/spokenWord/element-batches"
		i.create(t, linesPath, `{"id":"taken","data":{}}`)
		var items []map[string]any
		for n := range 1000 {
			items = append(items, map[string]any{"id": fmt.Sprintf("line-%d", n), "data": map[string]any{"n": n}})
		}
		r := i.do(t, program, http.MethodPost, path, map[string]any{"elements": items})
		require.Equal(t, 201, r.status, string(r.body))
		var out struct{ Items []element }
		r.into(t, &out)
		require.Len(t, out.Items, 1000)
		for n, e := range out.Items {
			require.EqualValues(t, n+2, e.Number)
			require.Equal(t, fmt.Sprintf("line-%d", n), e.ID)
		}
		for body, want := range map[string]struct {
			status   int
			code     string
			pointers []string
		}{
			`{"elements":[{"id":"x","data":{}},{"id":"taken","data":{}},{"data":{}},{"id":"line-5","data":{}}]}`: {409, "already_exists", []string{"/elements/1/id", "/elements/3/id"}},
			`{"elements":[{"id":"x","data":{}},{"id":"x","data":{}}]}`:                                           {422, "validation_failed", []string{"/elements/1/id"}},
			`{"elements":[{"data":{}},{"data":{"t":"` + strings.Repeat("x", 70<<10) + `"}}]}`:                    {422, "validation_failed", []string{"/elements/1/data"}},
			`{"elements":[]}`: {422, "invalid_body", []string{"/elements"}},
		} {
			r := i.do(t, program, http.MethodPost, path, body)
			require.Equal(t, want.status, r.status, string(r.body))
			code, pointers := r.problem(t)
			require.Equal(t, want.code, code)
			require.Equal(t, want.pointers, pointers)
		}
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, linesPath+"/x", nil).status)
		require.EqualValues(t, 1002, i.create(t, linesPath, `{"data":{}}`).Number)
	})
}

func TestListElements_pagesByNumberWhileOthersAppend(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for n := range 5 {
			i.create(t, linesPath, fmt.Sprintf(`{"id":"e%d","data":{}}`, n))
		}
		var seen []string
		cursor := ""
		for {
			var list struct {
				Items      []element
				NextCursor string
			}
			r := i.do(t, reader, http.MethodGet, linesPath+"?limit=2"+cursor, nil)
			require.Equal(t, 200, r.status, string(r.body))
			r.into(t, &list)
			for _, e := range list.Items {
				seen = append(seen, e.ID)
			}
			if list.NextCursor == "" {
				break
			}
			if len(seen) == 2 {
				i.create(t, linesPath, `{"id":"e5","data":{}}`)
				foreign := i.do(t, reader, http.MethodGet, "/scopes/hamlet/section/elements?cursor="+list.NextCursor, nil)
				code, _ := foreign.problem(t)
				require.Equal(t, "invalid_cursor", code, "a cursor of another list")
				foreign = i.do(t, reader, http.MethodGet, linesPath+"?status=active&cursor="+list.NextCursor, nil)
				require.Equal(t, 400, foreign.status)
			}
			cursor = "&cursor=" + list.NextCursor
		}
		require.Equal(t, []string{"e0", "e1", "e2", "e3", "e4", "e5"}, seen)

		r := i.do(t, reader, http.MethodGet, "/scopes/hamlet/action/elements", nil)
		require.Equal(t, 200, r.status)
		require.JSONEq(t, `{"items":[]}`, string(r.body), "a known scope without this type")
		r = i.do(t, reader, http.MethodGet, "/scopes/Hamlet/spokenWord/elements", nil)
		require.Equal(t, 404, r.status, "an unknown scope")
	})
}

func TestOmitElement_keepsNumberAndPlace(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for _, id := range []string{"a", "b", "c"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{}}`)
		}
		var omitted, again element
		r := i.do(t, editor, http.MethodPost, linesPath+"/b/omit", nil)
		require.Equal(t, 401, r.status)
		require.Contains(t, r.header.Get("WWW-Authenticate"), "insufficient_user_authentication")
		r = i.do(t, stepped, http.MethodPost, linesPath+"/b/omit", nil)
		require.Equal(t, 200, r.status, string(r.body))
		r.into(t, &omitted)
		require.Equal(t, "omitted", omitted.Status)
		require.EqualValues(t, 2, omitted.Number)
		i.do(t, stepped, http.MethodPost, linesPath+"/b/omit", nil).into(t, &again)
		require.Equal(t, omitted, again, "repeating changes nothing")
		require.Equal(t, 404, i.do(t, stepped, http.MethodPost, linesPath+"/x/omit", nil).status)
		require.EqualValues(t, 4, i.create(t, linesPath, `{"data":{}}`).Number)
		for status, want := range map[string]int{"active": 3, "omitted": 1} {
			var list struct{ Items []element }
			i.do(t, reader, http.MethodGet, linesPath+"?status="+status, nil).into(t, &list)
			require.Len(t, list.Items, want, status)
		}
	})
}

func TestRestoreElement_takesItIntoUseAgain(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for _, id := range []string{"a", "b"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{"text":"one"}}`)
		}
		require.Equal(t, 200, i.do(t, program, http.MethodPost, linesPath+"/a/omit", nil).status)
		for _, tag := range []string{`"1"`, `*`, `"1-1-omitted"`} {
			r := i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"two"}}`, "If-Match", tag)
			require.Equal(t, 409, r.status, tag)
			code, _ := r.problem(t)
			require.Equal(t, "element_omitted", code)
		}
		r := i.do(t, editor, http.MethodPost, linesPath+"/a/restore", nil)
		require.Equal(t, 401, r.status)
		require.Contains(t, r.header.Get("WWW-Authenticate"), "insufficient_user_authentication")
		require.Equal(t, 404, i.do(t, stepped, http.MethodPost, linesPath+"/x/restore", nil).status)
		require.Equal(t, 403, i.do(t, reader, http.MethodPost, linesPath+"/a/restore", nil).status)
		for range 2 {
			r = i.do(t, stepped, http.MethodPost, linesPath+"/a/restore", nil)
			require.Equal(t, 200, r.status, string(r.body))
			require.Equal(t, `"1-1-active"`, r.header.Get("ETag"))
		}
		var now element
		r.into(t, &now)
		require.Equal(t, "active", now.Status)
		require.EqualValues(t, 1, now.Number)
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"two"}}`, "If-Match", `"1-1-active"`).status)
	})
}

// A caller that read an element before it was omitted, restored or renumbered can't change it with the tag that was read (RFC 9110, section 13.1.1).
func TestCreateVersion_refusesTheTagOfAnEarlierState(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for _, id := range []string{"a", "b"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{"text":"one"}}`)
		}
		read := i.do(t, reader, http.MethodGet, linesPath+"/a", nil).header.Get("ETag")
		refused := func(current string) {
			t.Helper()
			r := i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"two"}}`, "If-Match", read)
			require.Equal(t, 412, r.status)
			require.Equal(t, current, r.header.Get("ETag"))
		}
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, "/scopes/hamlet/spokenWord/reorder", `{"order":["b","a"]}`).status)
		refused(`"1-2-active"`)
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/a/omit", nil).status)
		refused(`"1-2-omitted"`)
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/a/restore", nil).status)
		refused(`"1-2-active"`)
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"two"}}`, "If-Match", `"1-2-active"`).status)
	})
}

func TestReorderElements_isAtomicAndAsksForASecondFactor(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		const path = "/scopes/hamlet/spokenWord/reorder"
		for _, id := range []string{"a", "b", "c", "d"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{}}`)
		}
		i.create(t, "/scopes/hamlet/section/elements", `{"id":"other","data":{}}`)
		r := i.do(t, editor, http.MethodPost, path, `{"order":["d","a"]}`)
		require.Equal(t, 401, r.status)
		require.Contains(t, r.header.Get("WWW-Authenticate"), "insufficient_user_authentication")

		r = i.do(t, stepped, http.MethodPost, path, `{"order":["d","b","a"],"comment":"the ghost first"}`)
		require.Equal(t, 200, r.status, string(r.body))
		require.JSONEq(t, `{"changes":[{"id":"d","from":4,"to":1},{"id":"a","from":1,"to":4}]}`, string(r.body))
		numbers := func() (out []string) {
			var list struct{ Items []element }
			i.do(t, reader, http.MethodGet, linesPath, nil).into(t, &list)
			for _, e := range list.Items {
				out = append(out, fmt.Sprint(e.Number, e.ID))
			}
			return out
		}
		require.Equal(t, []string{"1d", "2b", "3c", "4a"}, numbers())
		for body, want := range map[string][]string{
			`{"order":["a","other","c","x"]}`: {"/order/1", "/order/3"},
			`{"order":["a","b","a"]}`:         nil, // the contract's uniqueItems, before us
			`{"order":["a"]}`:                 nil,
		} {
			r := i.do(t, stepped, http.MethodPost, path, body)
			require.Equal(t, 422, r.status, string(r.body))
			code, pointers := r.problem(t)
			if want == nil {
				require.Equal(t, "invalid_body", code)
				continue
			}
			require.Equal(t, "validation_failed", code)
			require.Equal(t, want, pointers)
		}
		require.Equal(t, []string{"1d", "2b", "3c", "4a"}, numbers(), "refusals changed nothing")
		require.Equal(t, 404, i.do(t, stepped, http.MethodPost, "/scopes/lear/spokenWord/reorder", `{"order":["a","b"]}`).status)
		require.Equal(t, 200, i.do(t, program, http.MethodPost, path, `{"order":["a","b"]}`).status, "the second factor is asked of users")
	})
}

func TestIdempotencyKey_givesTheSameNumber(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		post := func(path, body string, headers ...string) reply {
			return i.do(t, editor, http.MethodPost, path, body, headers...)
		}
		const key = "Idempotency-Key"
		const batches = "/scopes/hamlet/spokenWord/element-batches"
		large := `{"elements":[` + strings.TrimSuffix(strings.Repeat(`{"data":{"text":"`+strings.Repeat("x", 4000)+`"}},`, 1000), ",") + `]}`
		for _, c := range []struct{ path, body string }{
			{linesPath, `{"data":{"text":"a"}}`}, {linesPath, `{"id":"named","comment":"c","data":{ "text" : "a"}}`}, {batches, large},
		} {
			first := post(c.path, c.body, key, "key-of-"+fmt.Sprint(len(c.body)))
			require.Equal(t, 201, first.status, string(first.body[:min(300, len(first.body))]))
			again := post(c.path, c.body, key, "key-of-"+fmt.Sprint(len(c.body)))
			require.Equal(t, 201, again.status)
			require.Equal(t, string(first.body), string(again.body))
			require.Equal(t, first.header.Get("ETag"), again.header.Get("ETag"))
		}
		conflict := post(linesPath, `{"data":{"text":"b"}}`, key, "key-of-21")
		code, _ := conflict.problem(t)
		require.Equal(t, "idempotency_conflict", code)
		require.Equal(t, 422, conflict.status)

		// A refused request does not store its key.
		require.Equal(t, 409, post(linesPath, `{"id":"named","data":{}}`, key, "key-refused").status)
		require.Equal(t, 201, post(linesPath, `{"id":"free","data":{}}`, key, "key-refused").status)
		// Another subject has keys of its own.
		require.Equal(t, 201, i.do(t, program, http.MethodPost, linesPath, `{"data":{"text":"b"}}`, key, "key-of-21").status)
		require.EqualValues(t, 1005, i.create(t, linesPath, `{"data":{}}`).Number)
	})
}

func TestIdempotencyKey_holdsWhenManyRepeatAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		var group sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for range 32 {
			group.Go(func() {
				for {
					r := i.do(t, editor, http.MethodPost, linesPath, `{"data":{}}`, "Idempotency-Key", "one-key-for-all")
					if r.status == 409 {
						continue // in flight
					}
					mu.Lock()
					answers[string(r.body)]++
					mu.Unlock()
					return
				}
			})
		}
		group.Wait()
		require.Len(t, answers, 1)
		require.EqualValues(t, 2, i.create(t, linesPath, `{"data":{}}`).Number)
	})
}

func TestRequests_areRefusedAsTheContractSays(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	require.Equal(t, 401, i.send(t, "", http.MethodGet, linesPath, nil).status)
	require.Equal(t, 401, i.send(t, "nonsense", http.MethodGet, linesPath, nil).status)
	require.Equal(t, 403, i.do(t, reader, http.MethodPost, linesPath, `{"data":{}}`).status)
	noRole := editor
	noRole.roles = nil
	require.Equal(t, 403, i.do(t, noRole, http.MethodPost, linesPath, `{"data":{}}`).status)
	require.Equal(t, 400, i.do(t, reader, http.MethodGet, linesPath+"?limit=0", nil).status)
	require.Equal(t, 400, i.do(t, reader, http.MethodGet, linesPath+"?limit=5&limit=6", nil).status)
	require.Equal(t, 400, i.do(t, reader, http.MethodGet, "/scopes/ham%20let/spokenWord/elements", nil).status)
	require.Equal(t, 400, i.do(t, reader, http.MethodGet, "/scopes/hamlet/Spoken/elements", nil).status)
	require.Equal(t, 415, i.do(t, editor, http.MethodPost, linesPath, `{"data":{}}`, "Content-Type", "text/plain").status)
	r := i.send(t, "", http.MethodGet, "/health", nil)
	require.JSONEq(t, `{"status":"ok","service":"sequence","version":"test"}`, string(r.body))
	require.Equal(t, 200, i.send(t, "", http.MethodGet, "/ready", nil).status)
}

func TestCreateElement_underConcurrencyNumbersExactlyOneToN(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		replicas := []*instance{f.start(t, db)}
		if db.URL != "" {
			replicas = append(replicas, f.start(t, db))
		}
		const writers, each = 50, 6
		var group sync.WaitGroup
		var mu sync.Mutex
		var numbers []int64
		for w := range writers {
			group.Go(func() {
				i := replicas[w%len(replicas)]
				for n := range each {
					path := fmt.Sprintf("/scopes/hamlet/%s/elements", []string{"spokenWord", "section"}[n%2])
					e := i.create(t, path, `{"data":{}}`)
					if n%2 == 0 {
						mu.Lock()
						numbers = append(numbers, e.Number)
						mu.Unlock()
					}
				}
			})
		}
		group.Wait()
		slices.Sort(numbers)
		require.Len(t, numbers, writers*each/2)
		for i, n := range numbers {
			require.EqualValues(t, i+1, n)
		}
	})
}

func TestRun_keepsEverythingThroughARestart(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		created := i.create(t, linesPath, `{"id":"a","data":{"text":"x"}}`)
		r := i.do(t, editor, http.MethodPost, linesPath, `{"data":{}}`, "Idempotency-Key", "before-the-restart")
		i.Stop(t)
		i = f.start(t, db)
		var read element
		i.do(t, reader, http.MethodGet, linesPath+"/a", nil).into(t, &read)
		require.Equal(t, created, read)
		again := i.do(t, editor, http.MethodPost, linesPath, `{"data":{}}`, "Idempotency-Key", "before-the-restart")
		require.Equal(t, string(r.body), string(again.body))
		require.EqualValues(t, 3, i.create(t, linesPath, `{"data":{}}`).Number)
	})
}

func TestCreateVersion_followsOnlyTheVersionItWasMadeFrom(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{"text":"one"}}`)
		const path = linesPath + "/a/versions"
		r := i.do(t, editor, http.MethodPost, path, `{"data":{"text":"two"}}`)
		require.Equal(t, 428, r.status)
		r = i.do(t, editor, http.MethodPost, path, `{"data":{"text":"two"},"comment":"why"}`, "If-Match", `"1"`)
		require.Equal(t, 201, r.status, string(r.body))
		require.Equal(t, `"2-1-active"`, r.header.Get("ETag"))
		var now element
		r.into(t, &now)
		require.EqualValues(t, 2, now.Version)
		require.EqualValues(t, 1, now.Number)
		for _, tag := range []string{`"1"`, `"3"`, `"x"`, `"02"`, `W/"2"`, `"1", "3"`, `"12"`, `"%2"`} {
			r = i.do(t, editor, http.MethodPost, path, `{"data":{"text":"SECRET"}}`, "If-Match", tag)
			require.Equal(t, 412, r.status, tag)
			require.Equal(t, `"2-1-active"`, r.header.Get("ETag"), "names the current state")
			require.NotContains(t, string(r.body), "two")
		}
		require.Equal(t, 404, i.do(t, editor, http.MethodPost, linesPath+"/x/versions", `{"data":{}}`, "If-Match", `"1"`).status)
		require.Equal(t, 404, i.do(t, editor, http.MethodPost, linesPath+"/x/versions", `{"data":{}}`, "If-Match", `*`).status)
		for _, malformed := range []string{`1`, `"1`, `"1" "2"`, `*, "1"`, `"1",`, `"a b"`, strings.Repeat(`"1", `, 8) + `"2"`} {
			require.Equal(t, 400, i.do(t, editor, http.MethodPost, path, `{"data":{}}`, "If-Match", malformed).status, malformed)
		}

		var list struct {
			Items []struct {
				Version   int64
				Data      json.RawMessage
				CreatedBy string
				Comment   *string
			}
			NextCursor string
		}
		i.do(t, reader, http.MethodGet, path+"?limit=1", nil).into(t, &list)
		require.Len(t, list.Items, 1)
		require.Equal(t, `{"text":"one"}`, string(list.Items[0].Data))
		i.do(t, reader, http.MethodGet, path+"?limit=1&cursor="+list.NextCursor, nil).into(t, &list)
		require.Equal(t, `{"text":"two"}`, string(list.Items[0].Data))
		require.Equal(t, "usr_editor", list.Items[0].CreatedBy)
		require.Equal(t, "why", *list.Items[0].Comment)
		r = i.do(t, reader, http.MethodGet, path+"/1", nil)
		require.Equal(t, 200, r.status)
		require.Equal(t, `"1"`, r.header.Get("ETag"))
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, path+"/3", nil).status)
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, linesPath+"/x/versions", nil).status)
		require.Equal(t, 400, i.do(t, reader, http.MethodGet, path+"/0", nil).status)
	})
}

func TestCreateVersion_takesOneOfSeveralVersionsAndAny(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{"text":"one"}}`)
		for at, match := range []string{`"7", "1"`, `*`, `W/"3","3"`, `*`} {
			r := i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"more"}}`, "If-Match", match)
			require.Equal(t, 201, r.status, "%s: %s", match, r.body)
			require.Equal(t, fmt.Sprintf(`"%d-1-active"`, at+2), r.header.Get("ETag"))
		}
	})
}

// A caller that already has the current state gets no body, also for HEAD. All others get one.
func TestGetElement_answersOnlyWhatIsNew(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{"text":"one"}}`)
		for path, tag := range map[string]string{linesPath + "/a": `"1-1-active"`, linesPath + "/a/versions/1": `"1"`} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for said, want := range map[string]int{tag: 304, `W/` + tag: 304, `*`: 304, `"0", ` + tag: 304, `"2"`: 200, `1`: 200} {
					r := i.do(t, reader, method, path, nil, "If-None-Match", said)
					require.Equal(t, want, r.status, "%s %s %s: %s", method, path, said, r.body)
					require.Equal(t, tag, r.header.Get("ETag"))
					require.Equal(t, want == 200 && method == http.MethodGet, len(r.body) > 0)
				}
			}
		}
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, linesPath+"/x", nil, "If-None-Match", "*").status)
	})
}

// An element's number and status can change without a new version. A conditional request shows such a change, and a new version can be based on the tag that it returns.
func TestGetElement_tellsOfANewNumberAndStatus(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{}}`)
		i.create(t, linesPath, `{"id":"b","data":{}}`)
		seen := i.do(t, reader, http.MethodGet, linesPath+"/a", nil).header.Get("ETag")
		changed := func() {
			t.Helper()
			r := i.do(t, reader, http.MethodGet, linesPath+"/a", nil, "If-None-Match", seen)
			require.Equal(t, 200, r.status)
			require.NotEqual(t, seen, r.header.Get("ETag"))
			seen = r.header.Get("ETag")
			require.Equal(t, 304, i.do(t, reader, http.MethodGet, linesPath+"/a", nil, "If-None-Match", seen).status)
		}
		require.Equal(t, 200, i.do(t, program, http.MethodPost, "/scopes/hamlet/spokenWord/reorder", `{"order":["b","a"]}`).status)
		changed()
		for _, verb := range []string{"/omit", "/restore"} {
			restated := i.do(t, stepped, http.MethodPost, linesPath+"/a"+verb, nil)
			require.Equal(t, 200, restated.status)
			changed()
			require.Equal(t, seen, restated.header.Get("ETag"))
		}
		r := i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{}}`, "If-Match", seen)
		require.Equal(t, 201, r.status, string(r.body))
		changed()
	})
}
