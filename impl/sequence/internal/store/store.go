// Package store keeps elements, their versions and the counters of their groups. Its write functions take a transaction
// and apply many requests at once: a shared commit takes a handful of statements, whatever the number of its requests.
//
// Every change to a group begins with a lock on the group's counter. Lock locks all groups of a transaction in one order.
// Under the lock, what is read stays true until the commit. A number and its row commit together, so a crash leaves no gap.
package store

import (
	"context"
	"embed"
	"io/fs"
	"net/url"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the tables. Its files are numbered from 00100.
var Migrations, _ = fs.Sub(files, "migrations")

// Address returns a PostgreSQL address with the session parameter that this package's statements need: plan_cache_mode, unless
// the address sets it already. A plan that PostgreSQL caches while a table is small reads the whole table after it has grown
// (measured: 40 ms instead of 1 ms for an append at 200,000 elements). With the parameter every statement is planned for the
// present size of the tables. An empty address (SQLite), and one that can't be parsed, are returned unchanged.
func Address(address string) string {
	parsed, err := url.Parse(address)
	if address == "" || err != nil {
		return address // opening the database reports what is wrong with it
	}
	query := parsed.Query()
	if !query.Has("plan_cache_mode") {
		query.Set("plan_cache_mode", "force_custom_plan")
	}
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// Store reads elements.
type Store struct {
	db    *database.DB
	named int // most elements that Plan lists one by one
}

// New returns a Store on a migrated database.
func New(db *database.DB) *Store { return &Store{db: db, named: domain.MaxMoved} }

// row is an element with the data of its current version.
type row struct {
	Scope       string  `db:"scope"`
	ElementType string  `db:"element_type"`
	ID          string  `db:"id"`
	Number      int64   `db:"number"`
	Formatted   *string `db:"formatted"`
	Status      string  `db:"status"`
	Version     int64   `db:"version"`
	CreatedAt   int64   `db:"created_at"`
	UpdatedAt   int64   `db:"updated_at"`
	Data        []byte  `db:"data"`
	Comment     *string `db:"comment"`
}

func (r row) ref() domain.Ref {
	return domain.Ref{Group: domain.Group{Scope: r.Scope, ElementType: r.ElementType}, ID: r.ID}
}

func (r row) element() domain.Element {
	formatted := ""
	if r.Formatted != nil {
		formatted = *r.Formatted
	}
	return domain.Element{
		Ref: r.ref(), Number: r.Number, Formatted: formatted, Status: domain.Status(r.Status), Version: r.Version, Comment: r.Comment, Data: r.Data,
		CreatedAt: fromMicros(r.CreatedAt), UpdatedAt: fromMicros(r.UpdatedAt),
	}
}

func elements(rows []row) []domain.Element {
	out := make([]domain.Element, len(rows))
	for i, r := range rows {
		out[i] = r.element()
	}
	return out
}

func fromMicros(t int64) time.Time { return time.UnixMicro(t).UTC() }

// elementColumns are the columns of row, for elements e with shownMove. Subqueries look up the data of each row. With a join
// PostgreSQL could choose to read all versions instead, and does so while it has no statistics yet.
const elementColumns = shortColumns + `,
	(SELECT v.data ` + currentVersion + `) AS data, (SELECT v.comment ` + currentVersion + `) AS comment`

// shortColumns are elementColumns without the columns from versions.
const shortColumns = "e.scope, e.element_type, e.id, " + numberNow + " AS number, e.formatted, e.status, e.version, e.created_at, " + updatedNow + " AS updated_at"

// selectWanted selects the elements in the list wanted (selectIn).
const selectWanted = "SELECT " + elementColumns + " FROM elements e " + onWanted + shownMove

const currentVersion = "FROM versions v WHERE v.scope = e.scope AND v.element_type = e.element_type AND v.id = e.id AND v.version = e.version"

// chunk is how many rows one statement takes at most. With ten columns, the most that a statement has, that is under a third of
// the parameters that SQLite allows.
const chunk = 1000

// inChunks calls fn with the items in groups of at most chunk.
func inChunks[T any](items []T, fn func(part []T) error) error {
	for len(items) > 0 {
		n := min(chunk, len(items))
		if err := fn(items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// selectIn reads rows with a query that joins the VALUES list wanted: refs in the columns scope, element_type and id.
func selectIn(ctx context.Context, q database.Querier, refs []domain.Ref, query string) (out []row, err error) {
	err = inChunks(refs, func(part []domain.Ref) error {
		var rows []row
		args := make([]any, 0, 3*len(part))
		for _, r := range part {
			args = append(args, r.Scope, r.ElementType, r.ID)
		}
		with := "WITH wanted (scope, element_type, id) AS (" + database.Values(len(part), database.Text, database.Text, database.Text) + ") "
		if err := q.Select(ctx, &rows, with+query, args...); err != nil {
			return err
		}
		out = append(out, rows...)
		return nil
	})
	return out, err
}

// onWanted joins elements e with the VALUES list wanted.
const onWanted = "JOIN wanted w ON e.scope = w.scope AND e.element_type = w.element_type AND e.id = w.id"
