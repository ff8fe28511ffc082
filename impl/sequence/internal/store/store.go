// Package store keeps elements, their versions and the counters of their groups. Its write methods take the transaction
// and work on many requests at once: a shared commit costs a handful of statements, whatever the number of its requests.
//
// Every change to a group begins with a lock on the group's counter, and Batch locks all its groups in one order. Inside
// the lock a look before a write is exact; the number and its row commit together, so that a crash leaves no gap.
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

// Migrations creates the tables (from 00100).
var Migrations, _ = fs.Sub(files, "migrations")

// Address returns a PostgreSQL address with the session parameter that this package's statements need. A plan that PostgreSQL keeps
// from the time when a table was small reads all of it when it has grown (measured: 40 ms instead of 1 ms for an append at
// 200,000 elements), so every statement is planned for the tables as they are. An empty address (SQLite) stays empty.
func Address(address string) string {
	parsed, err := url.Parse(address)
	if address == "" || err != nil {
		return address // whoever opens it says what is wrong with it
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
	named int // elements that a change of the order names one by one at most
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

// elementColumns are those of row, of elements e with shownMove. The data are looked up row by row: a
// join would leave PostgreSQL the choice to read all versions instead, which it makes while it has no statistics yet.
const elementColumns = shortColumns + `,
	(SELECT v.data ` + currentVersion + `) AS data, (SELECT v.comment ` + currentVersion + `) AS comment`

// shortColumns are elementColumns without what stands in versions.
const shortColumns = "e.scope, e.element_type, e.id, " + numberNow + " AS number, e.formatted, e.status, e.version, e.created_at, " + updatedNow + " AS updated_at"

// selectWanted selects the elements that a VALUES list names.
const selectWanted = "SELECT " + elementColumns + " FROM elements e " + onWanted + shownMove

const currentVersion = "FROM versions v WHERE v.scope = e.scope AND v.element_type = e.element_type AND v.id = e.id AND v.version = e.version"

// chunk is how many rows one statement takes at most: with eight columns a quarter of the parameters SQLite allows.
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

// selectIn reads rows that join a VALUES list named wanted with the columns scope, element_type and id.
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

// onWanted joins the elements e that the VALUES list names.
const onWanted = "JOIN wanted w ON e.scope = w.scope AND e.element_type = w.element_type AND e.id = w.id"
