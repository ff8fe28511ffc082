package sequence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	database "github.com/fountainai/fountain/internal/store"
)

var steppedAdmin = caller{subject: "usr_admin", kind: auth.KindUser, scopes: "elements:read elements:write", roles: []string{"admin"}, acr: contract.ACRSecondFactor}

func (i *instance) export(t testing.TB, scope string) string {
	r := i.do(t, reader, http.MethodGet, "/scopes/"+scope+"/export", nil)
	require.Equal(t, 200, r.status, string(r.body))
	require.Equal(t, "application/x-ndjson", r.header.Get("Content-Type"))
	return string(r.body)
}

func (i *instance) bringIn(t testing.TB, who caller, scope, file string) reply {
	return i.do(t, who, http.MethodPost, "/scopes/"+scope+"/import", file, "Content-Type", "application/x-ndjson")
}

type scopeImport struct {
	Scope, SHA256      string
	Imported           bool
	Elements, Versions int64
}

// sealed appends the last line of an export to lines.
func sealed(lines string) string {
	sum := sha256.Sum256([]byte(lines))
	return lines + fmt.Sprintf(`{"checksum":{"elements":%d,"versions":%d,"sha256":%q}}`+"\n", strings.Count(lines, `{"element":`), strings.Count(lines, `{"version":{`), hex.EncodeToString(sum[:]))
}

const fileHead = `{"export":{"format":1,"scope":"hamlet"}}` + "\n"

// fileOf returns a file with the given number of elements of a type.
func fileOf(elementType string, n int) string {
	var out strings.Builder
	out.WriteString(fileHead)
	for k := 1; k <= n; k++ {
		fmt.Fprintf(&out, `{"element":{"elementType":%q,"id":"e%d","number":%d,"status":"active","version":1,"createdAt":"2026-11-23T10:00:00Z","updatedAt":"2026-11-23T10:00:00Z"}}`+"\n", elementType, k, k)
		fmt.Fprintf(&out, `{"version":{"version":1,"data":{"text":"word%d"},"createdAt":"2026-11-23T10:00:00Z","createdBy":"usr_author"}}`+"\n", k)
	}
	return sealed(out.String())
}

// play creates a scope with everything that an export can contain.
func (i *instance) play(t testing.TB) {
	for _, id := range []string{"a", "b", "c"} {
		i.create(t, linesPath, fmt.Sprintf(`{"id":%q,"comment":"first <of> %s","data":{"text":"%s  &amp; <b>\u0041","n":1.0,"big":12345678901234567890}}`, id, id, id))
	}
	i.create(t, "/scopes/hamlet/act/elements", `{"id":"i","data":{ "x" : [ 1 , 2 ] }}`)
	require.Equal(t, 201, i.do(t, admin, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"new"}}`, "If-Match", `"1"`).status)
	require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/b/omit", nil).status)
	require.Equal(t, 200, i.do(t, stepped, http.MethodPost, "/scopes/hamlet/spokenWord/reorder", `{"order":["c","a"]}`).status)
}

func TestImportScope_makesTheScopeThatWasExported(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.play(t)
		file := i.export(t, "hamlet")
		require.Equal(t, file, i.export(t, "hamlet"), "the same bytes for the same elements")
		r := i.bringIn(t, steppedAdmin, "denmark", file)
		require.Equal(t, 200, r.status, string(r.body))
		var done scopeImport
		r.into(t, &done)
		require.True(t, done.Imported)
		require.EqualValues(t, 4, done.Elements)
		require.EqualValues(t, 5, done.Versions)

		lines := func(text string) []string { all := strings.Split(text, "\n"); return all[1 : len(all)-2] }
		require.Equal(t, lines(file), lines(i.export(t, "denmark")), "numbers, statuses, versions, comments, data, times and authors")
		for _, path := range []string{"/spokenWord/elements", "/act/elements", "/spokenWord/elements?status=omitted", "/spokenWord/elements/a/versions"} {
			was, is := i.do(t, reader, http.MethodGet, "/scopes/hamlet"+path, nil), i.do(t, reader, http.MethodGet, "/scopes/denmark"+path, nil)
			require.JSONEq(t, strings.ReplaceAll(string(was.body), `"hamlet"`, `"denmark"`), string(is.body), path)
		}
		r = i.do(t, reader, http.MethodGet, "/scopes/denmark/changes", nil)
		var feed changeList
		r.into(t, &feed)
		require.Equal(t, []string{
			"1 created act/i v1 #1 0", "2 created spokenWord/c v1 #1 0", "3 created spokenWord/b v1 #2 0", "4 omitted spokenWord/b v0 #2 0",
			"5 created spokenWord/a v1 #3 0", "6 revised spokenWord/a v2 #3 0",
		}, feed.told())
		require.Equal(t, editor.subject, feed.Items[1].By, "the author of the file")
		require.Equal(t, i.changes(t, "").Items[0].At, feed.Items[5-1].At, "the time of the file")
		require.Equal(t, []time.Time{i.changes(t, "").Items[4].At, i.changes(t, "").Items[5].At}, []time.Time{feed.Items[5].At, feed.Items[3].At}, "of a revision, and of an omission")
		require.Equal(t, admin.subject, feed.Items[5].By)

		r = i.do(t, reader, http.MethodGet, "/scopes/denmark", nil)
		var counts struct {
			Origin struct {
				By, SHA256 string
				At         time.Time
			}
		}
		r.into(t, &counts)
		require.Equal(t, steppedAdmin.subject, counts.Origin.By, "who answers for the authors")
		require.Equal(t, done.SHA256, counts.Origin.SHA256)
		require.NotContains(t, string(i.do(t, reader, http.MethodGet, "/scopes/hamlet", nil).body), "origin")

		created := i.create(t, "/scopes/denmark/spokenWord/elements", `{"id":"next","data":{}}`)
		require.EqualValues(t, 4, created.Number, "numbers go on without a gap")
		f.search.await(t, func(documents map[string]map[string]any) bool {
			return documents["denmark:spokenWord:a"] != nil && documents["denmark:act:i"] != nil
		})
	})
}

func TestImportScope_isIdempotentAndRefusesAnotherFile(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		file := fileOf("line", 3)
		for n := range 3 {
			r := i.bringIn(t, steppedAdmin, "hamlet", file)
			require.Equal(t, 200, r.status, string(r.body))
			var done scopeImport
			r.into(t, &done)
			require.Equal(t, n == 0, done.Imported)
			require.EqualValues(t, 3, done.Elements)
		}
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, "/scopes/hamlet/line/elements/e1/versions", `{"data":{"text":"changed"}}`, "If-Match", `"1"`).status)
		before := i.export(t, "hamlet")
		require.Equal(t, 200, i.bringIn(t, steppedAdmin, "hamlet", file).status, "the file that it came from, also when it was changed since")
		for name, other := range map[string]string{"another": fileOf("line", 4), "its own export": before} {
			r := i.bringIn(t, steppedAdmin, "hamlet", other)
			require.Equal(t, 409, r.status, name)
			code, _ := r.problem(t)
			require.Equal(t, "already_exists", code, name)
		}
		require.Equal(t, 422, i.bringIn(t, steppedAdmin, "hamlet", strings.Replace(file, "word2", "wordz", 1)).status)
		require.Equal(t, before, i.export(t, "hamlet"), "nothing was changed")

		i.create(t, "/scopes/own/line/elements", `{"data":{}}`)
		require.Equal(t, 409, i.bringIn(t, steppedAdmin, "own", file).status, "a scope that was not imported")
	})
}

func TestImportScope_refusesWhatIsDamagedAndLeavesNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		file := fileOf("line", 600) // several transactions
		lines := strings.SplitAfter(file, "\n")
		last := len(lines) - 2
		join := func(part ...[]string) string {
			var out strings.Builder
			for _, p := range part {
				out.WriteString(strings.Join(p, ""))
			}
			return out.String()
		}
		for name, damaged := range map[string]string{
			"a changed byte":             strings.Replace(file, "word599", "word59x", 1),
			"cut":                        join(lines[:last]),
			"cut in a line":              file[:len(file)/2],
			"a line is missing":          sealed(join(lines[:1001], lines[1003:last])),
			"an element twice":           sealed(strings.Replace(join(lines[:last]), `"id":"e600"`, `"id":"e1"`, 1)),
			"two elements swapped":       sealed(join(lines[:1], lines[3:5], lines[1:3], lines[5:last])),
			"lines behind the last":      file + lines[1],
			"no version":                 sealed(join(lines[:last-1])),
			"a version more":             sealed(join(lines[:last]) + lines[last-1]),
			"another checksum":           file[:len(file)-8] + "0000\"}}\n",
			"another count":              strings.Replace(file, `"elements":600`, `"elements":601`, 1),
			"no beginning":               sealed(join(lines[1:last])),
			"empty":                      sealed(fileHead),
			"a time beyond what is kept": sealed(strings.Replace(join(lines[:last]), "10:00:00Z", "10:00:00.0000001Z", 1)),
			"a year beyond in UTC":       sealed(strings.Replace(join(lines[:last]), "2026-11-23T10:00:00Z", "9999-12-31T23:30:00-01:00", 1)),
			"a year before in UTC":       sealed(strings.Replace(join(lines[:last]), "2026-11-23T10:00:00Z", "0001-01-01T00:30:00+01:00", 1)),
			"something else":             `{"document":{}}` + "\n",
		} {
			r := i.bringIn(t, steppedAdmin, "hamlet", damaged)
			require.Contains(t, []int{400, 422}, r.status, "%s: %s", name, r.body)
			require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet", nil).status, name)
			require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet/line/elements", nil).status, name)
		}
		require.EqualValues(t, 1, i.create(t, "/scopes/hamlet/line/elements", `{"id":"e5","data":{}}`).Number, "as if nobody had tried")
		require.Len(t, strings.Split(i.export(t, "hamlet"), "\n"), 5)
	})
}

// sending is an import whose file is sent piece by piece.
type sending struct {
	write  *io.PipeWriter
	answer chan *http.Response
}

func (i *instance) sendIn(t testing.TB, ctx context.Context, scope string) *sending {
	read, write := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL+"/sequence/v1/scopes/"+scope+"/import", read)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+i.family.token(t, steppedAdmin))
	request.Header.Set("Content-Type", "application/x-ndjson")
	s := &sending{write: write, answer: make(chan *http.Response, 1)}
	go func() {
		answer, err := (&http.Client{}).Do(request)
		if err != nil {
			close(s.answer)
			return
		}
		s.answer <- answer
	}()
	return s
}

// awaitImport waits until an import has reserved its scope.
func (f *family) awaitImport(t testing.TB) {
	require.Eventually(t, func() bool { return strings.Contains(f.log.String(), "import began") }, 60*time.Second, 10*time.Millisecond)
}

// No read shows a scope that is being imported, and no other request can create it. Other scopes are written meanwhile. After the last line the whole scope is visible.
func TestImportScope_isSeenByNobodyBeforeItsEnd(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		file := fileOf("line", 2000)
		sent := i.sendIn(t, t.Context(), "hamlet")
		half := strings.LastIndexByte(file[:len(file)/2], '\n') + 1
		_, err := io.WriteString(sent.write, file[:half])
		require.NoError(t, err)
		f.awaitImport(t)
		r := i.do(t, editor, http.MethodPost, "/scopes/hamlet/line/elements", `{"data":{}}`)
		require.Equal(t, 409, r.status)
		code, _ := r.problem(t)
		require.Equal(t, "state_conflict", code)
		_, err = io.WriteString(sent.write, file[half:half+1]) // the reader has taken what was before
		require.NoError(t, err)
		for _, path := range []string{"", "/line/elements", "/line/elements/e1", "/line/elements/e1/versions", "/line/elements/e1/versions/1", "/changes", "/export", "/changes/stream"} {
			require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet"+path, nil).status, path)
		}
		require.NotContains(t, string(i.do(t, reader, http.MethodGet, "/scopes", nil).body), "hamlet")
		require.Equal(t, 404, i.do(t, reader, http.MethodPost, "/scopes/hamlet/search", `{"q":"*"}`).status)
		for path, body := range map[string]string{"/line/elements/e1/omit": "", "/line/elements/e1/move": `{"before":"e2"}`, "/line/elements/e1/move/preview": `{"before":"e2"}`} {
			require.Equal(t, 404, i.do(t, stepped, http.MethodPost, "/scopes/hamlet"+path, body).status, path)
		}
		require.Contains(t, []int{404, 422}, i.do(t, stepped, http.MethodPost, "/scopes/hamlet/line/reorder", `{"order":["e1","e2"]}`).status)
		require.Equal(t, 404, i.do(t, editor, http.MethodPost, "/scopes/hamlet/line/elements/e1/versions", `{"data":{}}`, "If-Match", `"1"`).status)
		r = i.bringIn(t, steppedAdmin, "hamlet", fileOf("line", 1))
		require.Equal(t, 409, r.status)
		code, _ = r.problem(t)
		require.Equal(t, "state_conflict", code)
		i.create(t, "/scopes/lear/line/elements", `{"data":{}}`)
		_, err = io.WriteString(sent.write, file[half+1:])
		require.NoError(t, err)
		require.NoError(t, sent.write.Close())
		answer := <-sent.answer
		require.NotNil(t, answer)
		defer answer.Body.Close()
		require.Equal(t, 200, answer.StatusCode)
		require.Equal(t, file, i.export(t, "hamlet"))
	})
}

// Nothing is left of an import whose caller disconnects, or whose process ends.
func TestImportScope_leavesNothingWhenItEndsHalfway(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		file := fileOf("line", 2000)
		ctx, leave := context.WithCancel(t.Context())
		sent := i.sendIn(t, ctx, "hamlet")
		_, err := io.WriteString(sent.write, file[:len(file)/2])
		require.NoError(t, err)
		f.awaitImport(t)
		leave()
		require.Eventually(t, func() bool {
			return i.do(t, editor, http.MethodPost, "/scopes/hamlet/line/elements", `{"id":"e7","data":{}}`).status == 201
		}, 60*time.Second, 20*time.Millisecond)
		require.Len(t, strings.Split(i.export(t, "hamlet"), "\n"), 5)
	})
}

func TestTransfer_asksForWhatTheContractSays(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet/export", nil).status)
		require.Equal(t, 401, i.send(t, "", http.MethodGet, "/scopes/hamlet/export", nil).status)
		stranger := caller{subject: "usr_x", kind: auth.KindUser, scopes: "other:read", acr: contract.ACRPassword}
		require.Equal(t, 403, i.do(t, stranger, http.MethodGet, "/scopes/hamlet/export", nil).status)
		file := fileOf("line", 1)
		require.Equal(t, 403, i.bringIn(t, stepped, "hamlet", file).status, "an editor")
		require.Equal(t, 401, i.bringIn(t, admin, "hamlet", file).status, "a second factor is asked for")
		require.Equal(t, 422, i.bringIn(t, steppedAdmin, "hamlet", `{"element":{"elementType":"line"}}`+"\n").status)
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet", nil).status)
	})
}

func TestExportScope_writesElementsWithManyVersions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		var lines bytes.Buffer
		lines.WriteString(fileHead)
		for n, versions := range []int{3, 450, 1, 200, 2} {
			text, err := json.Marshal(map[string]any{"element": map[string]any{"elementType": "line", "id": fmt.Sprint("e", n), "number": n + 1, "status": "active", "version": versions,
				"createdAt": "2026-11-23T10:00:00Z", "updatedAt": "2026-11-23T10:00:00.000001Z"}})
			require.NoError(t, err)
			lines.Write(append(text, '\n'))
			for v := range versions {
				fmt.Fprintf(&lines, `{"version":{"version":%d,"data":{"n":%d},"createdAt":"2026-11-23T10:00:00Z","createdBy":"svc"}}`+"\n", v+1, v)
			}
		}
		r := i.bringIn(t, steppedAdmin, "hamlet", sealed(lines.String()))
		require.Equal(t, 200, r.status, string(r.body))
		out := i.export(t, "hamlet")
		require.Equal(t, strings.Count(lines.String(), "\n"), strings.Count(out, "\n")-1)
		require.Equal(t, 200, i.bringIn(t, steppedAdmin, "again", out).status, "what comes out goes in")
	})
}

// No read shows what a killed process has left of an import. It is deleted: at the next start where only one process can use the database, otherwise after a long silence.
func TestRun_takesAwayWhatAKilledImportHasLeft(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		settings := f.settings(t, db)
		require.NoError(t, Migrate(t.Context(), settings))
		where, err := schema.Database(word, settings.Service)
		require.NoError(t, err)
		opened, err := database.Open(t.Context(), where)
		require.NoError(t, err)
		load := &store.Load{Scope: "hamlet", ID: "imp_dead"}
		at := time.Now()
		if opened.Dialect() == database.PostgreSQL {
			at = at.Add(-time.Hour) // another replica may be alive
		}
		part := &store.Part{}
		for n := range 1500 {
			ref := domain.Ref{Group: domain.Group{Scope: "hamlet", ElementType: "line"}, ID: fmt.Sprint("e", n)}
			part.Elements = append(part.Elements, domain.Element{Ref: ref, Number: int64(n + 1), Status: domain.Active, Version: 1, CreatedAt: at, UpdatedAt: at})
			part.Versions = append(part.Versions, store.LoadedVersion{Ref: ref, Version: domain.Version{Version: 1, Data: []byte("{}"), CreatedAt: at, CreatedBy: "usr_1"}})
			part.Changes = append(part.Changes, domain.Change{Kind: domain.Created, ElementType: "line", ID: ref.ID, Version: 1, Number: int64(n + 1), At: at})
		}
		require.NoError(t, opened.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error { return store.BeginLoad(ctx, tx, load, at) }))
		require.NoError(t, opened.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error { return load.Add(ctx, tx, at, part) }))
		require.NoError(t, opened.Close())
		i := f.start(t, db)
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet/line/elements/e3", nil).status)
		require.Eventually(t, func() bool {
			return i.do(t, editor, http.MethodPost, "/scopes/hamlet/line/elements", `{"id":"e7","data":{}}`).status == 201
		}, 60*time.Second, 20*time.Millisecond)
		require.Len(t, strings.Split(i.export(t, "hamlet"), "\n"), 5)
		i.Stop(t)
		opened, err = database.Open(t.Context(), where)
		require.NoError(t, err)
		load.Added(part)
		err = opened.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error { return load.Finish(ctx, tx, domain.Origin{At: at}) })
		require.ErrorIs(t, err, domain.ErrImportLost, "whoever comes back finds it lost")
		require.NoError(t, opened.Close())
	})
}
