package handlers

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/auth"
)

// endless produces lines of one size until it has produced that many bytes.
type endless struct {
	line       string
	left, gave int64
	rest       string
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		if e.left <= 0 {
			return 0, io.EOF
		}
		e.rest = e.line
		e.left -= int64(len(e.line))
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	e.gave += int64(n)
	return n, nil
}

// ahead records the maximum number of bytes that were read before they were stored.
type ahead struct {
	body        *endless
	seen, worst int64
	stored      int64
}

// BeginJob implements job.SpoolRows.
func (*ahead) BeginJob(context.Context, *job.Job, lease.Lease) error { return nil }

// AddPart implements job.SpoolRows.
func (a *ahead) AddPart(_ context.Context, _ *job.Job, _ lease.Lease, items []byte, n int64) error {
	a.worst = max(a.worst, a.body.gave-a.seen)
	a.seen = a.body.gave
	a.stored += n
	return nil
}

// AcceptJob implements job.SpoolRows.
func (*ahead) AcceptJob(context.Context, *job.Job, lease.Lease) error { return nil }

// DropJob implements job.SpoolRows.
func (*ahead) DropJob(context.Context, string, lease.Lease) error { return nil }

// Of a body of 64 MiB no more than a part and a line is held in memory: it is stored as it arrives, whatever the size of its lines.
func TestReceive_holdsAPartOfTheBody(t *testing.T) {
	c := hold(&owner.Collection{Owner: owner.Administrators}, &auth.Principal{Kind: auth.KindUser, Roles: []string{"admin"}})
	for _, size := range []int{10, 10 << 10, 1 << 20} {
		line := `{"op":"upsert","id":"1","document":{"t":"` + strings.Repeat("x", size) + `"}}` + "\n"
		rows := &ahead{body: &endless{line: line, left: min(64<<20, int64(len(line))*20_000)}}
		s, err := job.NewSpool(t.Context(), rows, &job.Job{})
		require.NoError(t, err)
		require.NoError(t, receive(t.Context(), s, c, searchapi.SyncDocumentsRequestObject{Body: rows.body}))
		require.NoError(t, s.Accept(t.Context()))
		require.Equal(t, rows.body.gave/int64(len(line)), rows.stored)
		require.Less(t, rows.worst, int64(5<<20), "lines of %d bytes", len(line))
	}
}
