package kmsdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/internal/store"
)

// Requests are read in pages, oldest first, without duplicates or gaps even for equal times. Only the old ones are deleted.
func TestMails_pageAndForgetRequests(t *testing.T) {
	each(t, func(s suite) {
		rows := kmsdb.Mails{}
		at := map[string]time.Time{"c": noon, "b": noon.Add(time.Second), "a": noon.Add(time.Second), "d": noon.Add(2 * time.Second)}
		for asked, created := range at {
			s.write(func(ctx context.Context, tx *store.Tx) error {
				return rows.Ask(ctx, tx, []byte(asked), []byte("sealed "+asked), created)
			})
		}
		all := func() (order string) {
			last := mail.Request{Asked: []byte{}}
			for {
				page, err := rows.Asked(s.Context(), s.q(), last, 1)
				require.NoError(s, err)
				if len(page) == 0 {
					return order
				}
				require.Len(s, page, 1)
				last = page[0]
				order += string(last.Asked)
				require.Equal(s, "sealed "+string(last.Asked), string(last.Sealed))
				require.Equal(s, at[string(last.Asked)], last.At)
			}
		}
		require.Equal(s, "cabd", all())
		s.write(func(ctx context.Context, tx *store.Tx) error {
			n, err := rows.Forget(ctx, tx, noon.Add(time.Second))
			require.EqualValues(s, 1, n)
			return err
		})
		require.Equal(s, "abd", all())
	})
}
