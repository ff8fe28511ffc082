package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/openapi"
)

// checkRelease refuses a data directory of fountain up if any of its databases was changed by a newer release, belongs
// to an unfinished restore, or was moved away. The services refuse such a database too, but each only at its own start,
// when earlier services have already begun to write.
func checkRelease(ctx context.Context, data string) error {
	var errs []error
	for _, word := range openapi.Words() {
		p := programs[word]()
		if p.parts == nil {
			continue
		}
		p.service.DataDir, p.service.Log = filepath.Join(data, word), slog.New(slog.DiscardHandler)
		parts, err := p.parts()
		if err != nil {
			return err
		}
		for _, part := range parts {
			errs = append(errs, refused(ctx, part.Database))
		}
	}
	return errors.Join(errs...)
}

// refused returns why this release must not open a database. It returns nil if it may, and also for any other fault,
// which the service itself reports.
func refused(ctx context.Context, c store.Config) error {
	err := store.Settled(c)
	if err == nil {
		db, opened := store.Inspect(ctx, c)
		if opened != nil {
			return nil
		}
		_, err = db.Standing(ctx, c)
		err = errors.Join(err, db.Close())
	}
	switch {
	case errors.Is(err, store.ErrNewer), errors.Is(err, store.ErrUnfinished), errors.Is(err, store.ErrMoved):
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

// newerReleaseHint says what to do about a database of a newer release, whichever command was refused. It returns "" for every
// other error.
func newerReleaseHint(err error) string {
	if !errors.Is(err, store.ErrNewer) {
		return ""
	}
	return "; this is release " + version + ", and nothing was changed: run the newer release, or restore a backup from before the upgrade"
}
