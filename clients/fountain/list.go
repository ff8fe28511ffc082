package fountain

import (
	"context"
	"errors"
	"iter"

	"github.com/fountainai/fountain/clients/common"
)

// maxPage is the largest page that the contracts allow.
const maxPage = 200

var errCursorLoop = errors.New("the list gave the same cursor twice")

// pages iterates over a list page by page. fetch takes the limit and the cursor of a page and returns its items and the
// next cursor. The iteration ends after the last page, or with the first error, which is yielded with a zero item.
func pages[T any](ctx context.Context, opts []CallOption,
	fetch func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]T, *string, error),
) iter.Seq2[T, error] {
	limit := newCallOptions(opts).pageSize
	if limit == 0 {
		limit = maxPage
	}
	return func(yield func(T, error) bool) {
		var zero T
		var cursor *common.Cursor
		for {
			items, next, err := fetch(ctx, &limit, cursor)
			if err == nil && next != nil && cursor != nil && *next == *cursor {
				err = errCursorLoop
			}
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == nil || *next == "" {
				return
			}
			cursor = next
		}
	}
}

// Collect reads an iterator to its end. If the iterator yields an error, Collect returns it with the items before it.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var out []T
	for item, err := range seq {
		if err != nil {
			return out, err
		}
		out = append(out, item)
	}
	return out, nil
}

// Ptr returns a pointer to v, for the optional fields of the generated types.
func Ptr[T any](v T) *T { return &v }
