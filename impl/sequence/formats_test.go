package sequence

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	database "github.com/fountainai/fountain/internal/store"
)

const formatPath = "/scopes/books/invoice/number-format"

const invoices = `{"prefix":"INV-","padding":5,"resets":"never","timeZone":"Europe/Berlin"}`

type numbered struct {
	ID              string
	Number          int64
	FormattedNumber string
}

func (i *instance) invoice(t testing.TB, headers ...string) (out numbered) {
	r := i.do(t, editor, http.MethodPost, "/scopes/books/invoice/elements", `{"data":{}}`, headers...)
	require.Equal(t, 201, r.status, string(r.body))
	r.into(t, &out)
	return out
}

func (i *instance) next(t testing.TB) string {
	r := i.do(t, reader, http.MethodGet, formatPath, nil)
	require.Equal(t, 200, r.status)
	var out struct{ Next string }
	r.into(t, &out)
	return out.Next
}

func TestPutNumberFormat_formatsWhatIsCreatedFromThenOn(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		require.Equal(t, 404, i.do(t, reader, http.MethodGet, formatPath, nil).status)
		require.Empty(t, i.invoice(t).FormattedNumber, "from before")
		r := i.do(t, steppedAdmin, http.MethodPut, formatPath, invoices)
		require.Equal(t, 200, r.status, string(r.body))
		require.JSONEq(t, `{"scope":"books","elementType":"invoice","prefix":"INV-","padding":5,"resets":"never","timeZone":"Europe/Berlin","next":"INV-00001"}`, string(r.body))
		first := i.invoice(t, "Idempotency-Key", "invoice-once-0001")
		require.Equal(t, numbered{first.ID, 2, "INV-00001"}, first)
		require.Equal(t, first, i.invoice(t, "Idempotency-Key", "invoice-once-0001"), "a repeat is told the same")
		r = i.do(t, editor, http.MethodPost, "/scopes/books/invoice/element-batches", `{"elements":[{"data":{}},{"id":"third","data":{}}]}`)
		require.Equal(t, 201, r.status)
		var batch struct{ Items []numbered }
		r.into(t, &batch)
		require.Equal(t, "INV-00002", batch.Items[0].FormattedNumber)
		require.Equal(t, "INV-00003", batch.Items[1].FormattedNumber)
		require.Equal(t, 409, i.do(t, editor, http.MethodPost, "/scopes/books/invoice/elements", `{"id":"third","data":{}}`).status)
		require.Equal(t, "INV-00004", i.next(t), "a refused creation takes none")

		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, "/scopes/books/invoice/elements/third/move", fmt.Sprintf(`{"before":%q}`, first.ID)).status)
		var third numbered
		i.do(t, reader, http.MethodGet, "/scopes/books/invoice/elements/third", nil).into(t, &third)
		require.Equal(t, numbered{"third", 2, "INV-00003"}, third, "a new place takes no formatted number away")
		for _, step := range []struct{ method, path, body string }{
			{http.MethodPost, "/versions", `{"data":{"a":1}}`}, {http.MethodPatch, "", `{"a":2}`}, {http.MethodPost, "/versions/1/restore", `{}`}, {http.MethodPost, "/omit", ""}, {http.MethodPost, "/restore", ""},
		} {
			media := "application/json"
			if step.method == http.MethodPatch {
				media = mergePatch
			}
			r := i.do(t, stepped, step.method, "/scopes/books/invoice/elements/third"+step.path, step.body, "If-Match", "*", "Content-Type", media)
			require.Less(t, r.status, 300, "%s: %s", step.path, r.body)
			require.Contains(t, string(r.body), `"formattedNumber":"INV-00003"`, "%s %s", step.method, step.path)
		}
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, "/scopes/books/invoice/reorder", fmt.Sprintf(`{"order":[%q,"third"]}`, first.ID)).status)
		i.do(t, reader, http.MethodGet, "/scopes/books/invoice/elements/third", nil).into(t, &third)
		require.Equal(t, numbered{"third", 3, "INV-00003"}, third, "nor does anything else")

		require.Equal(t, 200, i.do(t, steppedAdmin, http.MethodPut, formatPath, invoices).status, "the same changes nothing")
		r = i.do(t, steppedAdmin, http.MethodPut, formatPath, strings.Replace(invoices, "INV", "BILL", 1))
		require.Equal(t, 409, r.status)
		code, _ := r.problem(t)
		require.Equal(t, "state_conflict", code)

		file := i.export(t, "books")
		require.Equal(t, 200, i.bringIn(t, steppedAdmin, "copy", file).status)
		require.Equal(t, strings.Split(file, "\n")[1:13], strings.Split(i.export(t, "copy"), "\n")[1:13])
		r = i.do(t, editor, http.MethodPost, "/scopes/copy/invoice/elements", `{"data":{}}`)
		require.Contains(t, string(r.body), `"INV-00004"`, "a copy goes on where the file ended")
		wrong := strings.Replace(file, `"INV-00003"`, `"INV-00002"`, 1)
		require.Equal(t, 422, i.bringIn(t, steppedAdmin, "wrong", sealed(wrong[:strings.LastIndex(wrong, `{"checksum"`)])).status, "one number twice")
		wrong = strings.Replace(file, `"last":3`, `"last":2`, 1)
		require.Equal(t, 422, i.bringIn(t, steppedAdmin, "wrong", sealed(wrong[:strings.LastIndex(wrong, `{"checksum"`)])).status, "a number would come twice")
		f.search.await(t, func(documents map[string]map[string]any) bool {
			third := documents["books:invoice:third"]
			return third != nil && strings.Contains(fmt.Sprint(third["text"]), "INV-00003")
		})
	})
}

func TestPutNumberFormat_refusesWhatIsWrong(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for body, pointer := range map[string]string{
			strings.Replace(invoices, "Europe/Berlin", "Europe/Nowhere", 1): "/timeZone", strings.Replace(invoices, "Europe/Berlin", "Local", 1): "/timeZone",
			strings.Replace(invoices, "never", "week", 1): "/resets", strings.Replace(invoices, "5", "19", 1): "/padding",
			strings.Replace(invoices, "INV-", "INV ", 1): "/prefix",
		} {
			r := i.do(t, steppedAdmin, http.MethodPut, formatPath, body)
			require.Equal(t, 422, r.status, body)
			_, pointers := r.problem(t)
			require.Equal(t, []string{pointer}, pointers, body)
		}
		require.Equal(t, 401, i.do(t, admin, http.MethodPut, formatPath, invoices).status, "a second factor is asked for")
		require.Equal(t, 403, i.do(t, stepped, http.MethodPut, formatPath, invoices).status, "an editor")
		require.Equal(t, 401, i.send(t, "", http.MethodGet, formatPath, nil).status)
		require.Equal(t, 200, i.do(t, steppedAdmin, http.MethodPut, formatPath, invoices).status)
		require.Equal(t, 200, i.do(t, steppedAdmin, http.MethodPut, formatPath, strings.Replace(invoices, "INV", "BILL", 1)).status, "none was given yet")
		require.Contains(t, i.next(t), "BILL-")
		require.Equal(t, 409, i.bringIn(t, steppedAdmin, "books", fileOf("line", 1)).status, "a scope with a format is taken")
	})
}

// TestFormattedNumbers_haveNoGapWhileManyWrite creates invoices of two types by many writers, on PostgreSQL through two replicas, with refusals and batches in between.
func TestFormattedNumbers_haveNoGapWhileManyWrite(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		replicas := []*instance{f.start(t, db)}
		if db.URL != "" {
			replicas = append(replicas, f.start(t, db))
		}
		for _, kind := range []string{"invoice", "credit"} {
			require.Equal(t, 200, replicas[0].do(t, steppedAdmin, http.MethodPut, "/scopes/books/"+kind+"/number-format", `{"prefix":"N","padding":3,"resets":"never","timeZone":"UTC"}`).status)
		}
		const writers, each = 8, 10
		var mu sync.Mutex
		given := map[string][]string{}
		var group sync.WaitGroup
		for n := range writers {
			group.Go(func() {
				i := replicas[n%len(replicas)]
				for m := range each {
					kind := []string{"invoice", "credit"}[m%2]
					path := "/scopes/books/" + kind + "/elements"
					r := i.do(t, editor, http.MethodPost, path, `{"data":{}}`)
					var one numbered
					r.into(t, &one)
					_ = i.do(t, editor, http.MethodPost, path, fmt.Sprintf(`{"id":%q,"data":{}}`, one.ID)) // taken: it takes no number
					var two struct{ Items []numbered }
					i.do(t, editor, http.MethodPost, "/scopes/books/"+kind+"/element-batches", `{"elements":[{"data":{}},{"data":{}}]}`).into(t, &two)
					mu.Lock()
					given[kind] = append(given[kind], one.FormattedNumber)
					for _, e := range two.Items {
						given[kind] = append(given[kind], e.FormattedNumber)
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		for kind, all := range given {
			slices.Sort(all)
			require.Len(t, all, writers*each/2*3, kind)
			for n, one := range all {
				require.Equal(t, fmt.Sprintf("N%03d", n+1), one, kind)
			}
		}
	})
}
