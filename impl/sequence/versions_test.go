package sequence

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	database "github.com/fountainai/fountain/internal/store"
)

const mergePatch = "application/merge-patch+json"

func TestUpdateElement_mergesIntoWhatIsCurrent(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{"z":1.50e1,"text":"x","big":12345678901234567890,"sub":{"k":1,"l":2}}}`)
		r := i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"text":null,"sub":{"k":9.0},"new":"é"}`, "If-Match", `"1"`, "Content-Type", mergePatch, "Idempotency-Key", "once-only")
		require.Equal(t, 200, r.status, string(r.body))
		require.Equal(t, `"2-1-active"`, r.header.Get("ETag"))
		var got element
		r.into(t, &got)
		const want = `{"z":1.50e1,"big":12345678901234567890,"sub":{"k":9.0,"l":2},"new":"é"}`
		require.Equal(t, want, string(got.Data), "what is not named keeps its text")
		again := i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"text":null,"sub":{"k":9.0},"new":"é"}`, "If-Match", `"1"`, "Content-Type", mergePatch, "Idempotency-Key", "once-only")
		require.Equal(t, string(r.body), string(again.body), "a repeat gets the first answer")
		require.Equal(t, 200, i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"n":1}`, "If-Match", `*`, "Content-Type", mergePatch).status)

		stale := i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"n":1}`, "If-Match", `"1"`, "Content-Type", mergePatch)
		require.Equal(t, 412, stale.status)
		require.Equal(t, 428, i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"n":1}`, "Content-Type", mergePatch).status)
		require.Equal(t, 404, i.do(t, editor, http.MethodPatch, linesPath+"/nobody", `{"n":1}`, "If-Match", `*`, "Content-Type", mergePatch).status)
		large := `{"more":"` + strings.Repeat("x", 64<<10-40) + `"}`
		r = i.do(t, editor, http.MethodPatch, linesPath+"/a", large, "If-Match", `*`, "Content-Type", mergePatch)
		require.Equal(t, 422, r.status, "the whole is bounded, not the patch")
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/a/omit", nil).status)
		r = i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"n":2}`, "If-Match", `*`, "Content-Type", mergePatch)
		require.Equal(t, 409, r.status)
	})
}

func TestRestoreVersion_makesTheOldOneTheNewest(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		const first = `{"text":"x","n":1.0}`
		i.create(t, linesPath, `{"id":"a","data":`+first+`}`)
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"y"}}`, "If-Match", `"1"`).status)
		path := linesPath + "/a/versions/1/restore"
		require.Equal(t, 412, i.do(t, editor, http.MethodPost, path, `{}`, "If-Match", `"1"`).status)
		r := i.do(t, editor, http.MethodPost, path, `{"comment":"again"}`, "If-Match", `"2"`, "Idempotency-Key", "once-only")
		require.Equal(t, 201, r.status, string(r.body))
		var got element
		r.into(t, &got)
		require.EqualValues(t, 3, got.Version)
		require.Equal(t, first, string(got.Data))
		require.Equal(t, "again", *got.Comment)
		require.Equal(t, string(r.body), string(i.do(t, editor, http.MethodPost, path, `{"comment":"again"}`, "If-Match", `"2"`, "Idempotency-Key", "once-only").body))
		require.Equal(t, 404, i.do(t, editor, http.MethodPost, linesPath+"/a/versions/9/restore", `{}`, "If-Match", `*`).status)
		require.Equal(t, 428, i.do(t, editor, http.MethodPost, path, `{}`).status)
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/a/omit", nil).status)
		require.Equal(t, 409, i.do(t, editor, http.MethodPost, path, `{}`, "If-Match", `*`).status)
		require.Equal(t, 422, i.do(t, editor, http.MethodPost, path, `{"other":1}`, "If-Match", `*`).status)
	})
}

func TestCompareVersions_tellsWhatChanged(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{"text":"x","big":12345678901234567890,"gone":1,"list":[1,2]}}`)
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"y","big":12345678901234567891,"nil":null,"list":[1,2]}}`, "If-Match", `"1"`).status)
		r := i.do(t, reader, http.MethodGet, linesPath+"/a/versions/2/compare?from=1", nil)
		require.Equal(t, 200, r.status, string(r.body))
		var got struct {
			From, To int64
			Patch    []map[string]any
		}
		r.into(t, &got)
		require.EqualValues(t, 1, got.From)
		require.EqualValues(t, 2, got.To)
		require.Len(t, got.Patch, 4)
		require.Contains(t, string(r.body), `{"op":"replace","path":"/big","value":12345678901234567891}`)
		require.Contains(t, string(r.body), `{"op":"add","path":"/nil","value":null}`)
		require.Contains(t, string(r.body), `{"op":"remove","path":"/gone"}`)
		r = i.do(t, reader, http.MethodGet, linesPath+"/a/versions/2/compare?from=2", nil)
		require.JSONEq(t, `{"from":2,"to":2,"patch":[]}`, string(r.body))
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, linesPath+"/a/versions/2/compare?from=7", nil).status)
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, linesPath+"/a/versions/7/compare?from=1", nil).status)
	})
}

func TestScopes_areListedAndCounted(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		r := i.do(t, reader, http.MethodGet, "/scopes", nil)
		require.JSONEq(t, `{"items":[]}`, string(r.body))
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet", nil).status)
		for _, path := range []string{"/scopes/lear/line/elements", "/scopes/hamlet/line/elements", "/scopes/hamlet/line/elements", "/scopes/hamlet/action/elements"} {
			i.create(t, path, `{"data":{}}`)
		}
		one := i.create(t, "/scopes/hamlet/line/elements", `{"id":"x","data":{}}`)
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, "/scopes/hamlet/line/elements/x/omit", nil).status)
		r = i.do(t, reader, http.MethodGet, "/scopes/hamlet", nil)
		require.JSONEq(t, `{"scope":"hamlet","types":[{"elementType":"action","count":1,"omitted":0,"nextNumber":2},{"elementType":"line","count":3,"omitted":1,"nextNumber":4}]}`, string(r.body))
		require.EqualValues(t, 3, one.Number)
		r = i.do(t, reader, http.MethodGet, "/scopes?limit=1", nil)
		var list struct {
			Items []struct {
				Scope        string
				Types, Count int64
			}
			NextCursor string
		}
		r.into(t, &list)
		require.Equal(t, "hamlet", list.Items[0].Scope)
		require.EqualValues(t, 4, list.Items[0].Count)
		r = i.do(t, reader, http.MethodGet, "/scopes?cursor="+list.NextCursor, nil)
		require.JSONEq(t, `{"items":[{"scope":"lear","types":1,"count":1}]}`, string(r.body))
		require.Equal(t, 400, i.do(t, reader, http.MethodGet, "/scopes?cursor=bad", nil).status)
	})
}

func TestUpdateElement_keepsEveryCharacterThatItDoesNotName(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{"text":"<i>Hark</i> & hush\u2028","n":1}}`)
		r := i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"z":"<&>","y":[{"x":null}],"n":2}`, "If-Match", `"1"`, "Content-Type", mergePatch)
		require.Equal(t, 200, r.status, string(r.body))
		var got element
		r.into(t, &got)
		require.Equal(t, `{"text":"<i>Hark</i> & hush\u2028","n":2,"z":"<&>","y":[{"x":null}]}`, string(got.Data))
		r = i.do(t, editor, http.MethodPatch, linesPath+"/a", `{"n":3,"n":4}`, "If-Match", `"2"`, "Content-Type", mergePatch)
		code, _ := r.problem(t)
		require.Equal(t, "400 malformed_body", fmt.Sprint(r.status, " ", code), "which of two of a name is meant nobody knows")
	})
}
