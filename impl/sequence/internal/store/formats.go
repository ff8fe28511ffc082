package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	database "github.com/fountainai/fountain/internal/store"
)

type formatRow struct {
	Scope       string `db:"scope"`
	ElementType string `db:"element_type"`
	Prefix      string `db:"prefix"`
	Padding     int    `db:"padding"`
	Resets      string `db:"resets"`
	TimeZone    string `db:"time_zone"`
	Period      string `db:"period"`
	Last        int64  `db:"last"`
}

func (r formatRow) format() domain.Format {
	return domain.Format{
		Group: domain.Group{Scope: r.Scope, ElementType: r.ElementType}, Prefix: r.Prefix, Padding: r.Padding, Reset: domain.Reset(r.Resets), TimeZone: r.TimeZone, Period: r.Period, Last: r.Last,
	}
}

const selectFormats = "SELECT f.scope, f.element_type, f.prefix, f.padding, f.resets, f.time_zone, f.period, f.last FROM number_formats f "

// Format returns the format of a group, or domain.ErrNoFormat.
func (s *Store) Format(ctx context.Context, g domain.Group) (domain.Format, error) {
	var r formatRow
	err := s.db.Read(ctx).Get(ctx, &r, selectFormats+"WHERE f.scope = ? AND f.element_type = ? AND NOT EXISTS (SELECT 1 FROM scope_loads l WHERE l.scope = f.scope)", g.Scope, g.ElementType)
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Format{}, domain.ErrNoFormat
	}
	if err != nil {
		return domain.Format{}, fmt.Errorf("read number format: %w", err)
	}
	return r.format(), nil
}

// PutFormat sets the format of a group. Errors: domain.ErrFormatUsed when another format has given numbers, domain.ErrImporting. Putting a format again that has given
// numbers succeeds, and changed is false.
func PutFormat(ctx context.Context, tx *database.Tx, f domain.Format) (changed bool, err error) {
	if err := lockScope(ctx, tx, f.Scope); err != nil {
		return false, err
	}
	loads, err := loading(ctx, tx, []string{f.Scope})
	if err != nil || loads[f.Scope] {
		return false, errors.Join(err, domain.ErrImporting)
	}
	rows, err := tx.Exec(ctx, `INSERT INTO number_formats (scope, element_type, prefix, padding, resets, time_zone, period, last) VALUES (?, ?, ?, ?, ?, ?, '', 0)
		ON CONFLICT (scope, element_type) DO UPDATE SET prefix = excluded.prefix, padding = excluded.padding, resets = excluded.resets, time_zone = excluded.time_zone
		WHERE number_formats.last = 0`, f.Scope, f.ElementType, f.Prefix, f.Padding, string(f.Reset), f.TimeZone)
	if err != nil {
		return false, fmt.Errorf("give number format: %w", err)
	}
	if rows > 0 {
		return true, nil
	}
	var there formatRow
	if err := tx.Get(ctx, &there, selectFormats+"WHERE f.scope = ? AND f.element_type = ?", f.Scope, f.ElementType); err != nil {
		return false, fmt.Errorf("read number format: %w", err)
	}
	if now := there.format(); !now.Same(&f) {
		return false, domain.ErrFormatUsed
	}
	return false, nil
}

// formatted sets the formatted numbers of elements that were just numbered, where their group has a format. The elements of each group must be in the order of their numbers. One statement reserves
// a block for each group, in the transaction that inserts the elements, so that no formatted number is skipped or given twice.
func (b *batch) formatted(ctx context.Context, all []domain.Element) error {
	count := map[domain.Group]int64{}
	var groups []domain.Group
	for _, e := range all {
		if count[e.Group]++; count[e.Group] == 1 {
			groups = append(groups, e.Group)
		}
	}
	slices.SortFunc(groups, domain.Group.Compare)
	formats := map[domain.Group]*domain.Format{}
	err := inChunks(groups, func(part []domain.Group) error {
		args := make([]any, 0, 2*len(part))
		for _, g := range part {
			args = append(args, g.Scope, g.ElementType)
		}
		var rows []formatRow
		err := b.tx.Select(ctx, &rows, "WITH wanted (scope, element_type) AS ("+database.Values(len(part), database.Text, database.Text)+") "+
			selectFormats+"JOIN wanted w ON f.scope = w.scope AND f.element_type = w.element_type", args...)
		for _, r := range rows {
			formats[r.format().Group] = new(r.format())
		}
		return err
	})
	if err != nil || len(formats) == 0 {
		return err
	}
	if err := b.advanceFormats(ctx, formats, count); err != nil {
		return err
	}
	for i := range all {
		if f := formats[all[i].Group]; f != nil {
			f.Last++
			all[i].Formatted = f.Text(f.Period, f.Last)
		}
	}
	return nil
}

// advanceFormats reserves a block of numbers in each format. It sets Period to the period of the block and Last to the number before the block. Error: domain.ErrExhausted.
func (b *batch) advanceFormats(ctx context.Context, formats map[domain.Group]*domain.Format, count map[domain.Group]int64) error {
	args := make([]any, 0, 4*len(formats))
	for g, f := range formats {
		period, err := f.PeriodAt(fromMicros(b.at))
		if err != nil {
			return err
		}
		args = append(args, g.Scope, g.ElementType, period, count[g])
	}
	var rows []formatRow
	err := b.tx.Select(ctx, &rows, "WITH wanted (scope, element_type, period, n) AS ("+database.Values(len(formats), database.Text, database.Text, database.Text, database.Bigint)+`)
		UPDATE number_formats SET last = wanted.n + CASE WHEN number_formats.period = wanted.period THEN number_formats.last ELSE 0 END, period = wanted.period FROM wanted
		WHERE number_formats.scope = wanted.scope AND number_formats.element_type = wanted.element_type
		RETURNING number_formats.scope, number_formats.element_type, number_formats.period, number_formats.last`, args...)
	if err != nil {
		return fmt.Errorf("advance formatted numbers: %w", err)
	}
	for _, r := range rows {
		g := domain.Group{Scope: r.Scope, ElementType: r.ElementType}
		if formats[g].Period, formats[g].Last = r.Period, r.Last-count[g]; r.Last > domain.MaxNumber {
			return domain.ErrExhausted
		}
	}
	return nil
}
