package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/id"
)

// receiveLast is how long the upload of a job may pause before it is considered abandoned.
const receiveLast = 2 * time.Minute

// Spool receives the items of one job. It buffers one part in memory.
type Spool struct {
	Job   *Job
	rows  SpoolRows
	lease lease.Lease
	part  bytes.Buffer
	n     int64
}

// NewSpool starts to receive a job. Its errors are those of SpoolRows.BeginJob.
func NewSpool(ctx context.Context, rows SpoolRows, j *Job) (*Spool, error) {
	s := &Spool{Job: j, rows: rows, lease: lease.New(receiveLast)}
	j.ID, j.State = id.New("job"), Receiving
	return s, rows.BeginJob(ctx, j, s.lease)
}

// Add appends an item.
func (s *Spool) Add(ctx context.Context, item engine.Item) error {
	line, err := json.Marshal(Item{ID: item.ID, Tenant: item.Tenant, Document: item.Document, IfVersion: item.IfVersion})
	if err != nil {
		return fmt.Errorf("write item: %w", err)
	}
	if s.n > 0 && s.part.Len()+len(line) > PartBytes {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.part.Write(line)
	s.part.WriteByte('\n')
	if s.n++; s.n >= PartItems {
		return s.flush(ctx)
	}
	return nil
}

func (s *Spool) flush(ctx context.Context) error {
	if s.n == 0 {
		return nil
	}
	if err := s.rows.AddPart(ctx, s.Job, s.lease, s.part.Bytes(), s.n); err != nil {
		return err
	}
	s.Job.Parts++
	s.Job.Items += s.n
	s.part.Reset()
	s.n = 0
	return nil
}

// Accept ends the upload. From then on the job is carried out, whether or not the caller is still connected.
func (s *Spool) Accept(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.rows.AcceptJob(ctx, s.Job, s.lease)
}

// Drop deletes what was received, and returns cause.
func (s *Spool) Drop(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease.CallLimit)
	defer cancel()
	return errors.Join(cause, s.rows.DropJob(ctx, s.Job.ID, s.lease))
}

// items decodes a part of a job. An item with a condition gets a mark. If the part is carried out again, the mark identifies the job's own
// earlier write, so that it is not taken for the write of somebody else.
func (p Part) items(job string) ([]engine.Item, error) {
	var all []engine.Item
	for in := json.NewDecoder(bytes.NewReader(p.Items)); in.More(); {
		var item Item
		if err := in.Decode(&item); err != nil {
			return nil, fmt.Errorf("read stored items: %w", err)
		}
		next := engine.Item{ID: item.ID, Tenant: item.Tenant, Document: item.Document, IfVersion: item.IfVersion}
		if next.IfVersion != nil {
			next.Mark = job + "/" + strconv.FormatInt(p.First+int64(len(all)), 10)
		}
		all = append(all, next)
	}
	return all, nil
}
