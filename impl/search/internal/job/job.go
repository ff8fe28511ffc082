// Package job carries out changes of documents in the background. The request body is stored in parts. A worker that holds the lease of a
// job writes one part after the other, in the order of the body. If a worker dies, another one continues, and repeats at most the part that
// was being written.
//
// The jobs of one collection are carried out one after the other, in the order in which they were accepted. If two jobs change the same
// document, the later one therefore wins.
package job

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/auth"
)

// State is the state of a job.
type State string

// The states. A job that is still being received is visible to its receiver only.
const (
	Receiving State = "receiving"
	Queued    State = "queued"
	Running   State = "running"
	Done      State = "done"
	Cancelled State = "cancelled"
	Failed    State = "failed"
)

// Limits.
const (
	MaxUnderWay = 10        // jobs of one tenant, or of one caller without a tenant
	MaxWhose    = 256 << 20 // waiting bytes of one tenant or caller
	MaxWaiting  = 1 << 30   // waiting bytes in total
	MaxFailures = 10_000    // of one job
	PartItems   = 500
	PartBytes   = 1 << 20
	Life        = 3 * 24 * time.Hour // after its end
	Kept        = 100                // ended jobs of one collection
)

// Errors of requests that concern jobs. Nothing was changed.
var (
	ErrNone = errors.New("the collection has no such job")
	ErrPast = errors.New("the job has ended")
	ErrFull = errors.New("too many jobs are in progress, or too much data is waiting")
)

// Every is the Reach of a job that may change the documents of all tenants.
const Every = "*"

// Sender identifies the caller who sent a job, with the properties that determine their access.
type Sender struct {
	Who    string // "service:<id>" or "user:<id>"
	Tenant string
	Roles  []string // of a user, at the time of sending
}

// SentBy returns the Sender for a caller.
func SentBy(p *auth.Principal) Sender {
	return Sender{Who: p.Kind + ":" + p.Subject, Tenant: p.Tenant, Roles: p.Roles}
}

func (s Sender) principal() *auth.Principal {
	kind, subject, _ := strings.Cut(s.Who, ":")
	return &auth.Principal{Kind: kind, Subject: subject, Tenant: s.Tenant, Roles: s.Roles}
}

// Job is one job.
type Job struct {
	ID string
	owner.Name
	Claimed           time.Time // when the collection was claimed
	Sender            Sender
	Whose             string // the tenant or the caller against whose limits it counts
	Reach             string // the tenant whose documents it changes, or Every
	State             State
	Items             int64
	Parts, Next       int64 // the number of parts, and the next one
	Succeeded, Failed int64
	Failure, Reason   string
	Attempts          int64 // since the last part was carried out
	Created, Changed  time.Time
	Ended             time.Time // zero: not yet
}

// Collection returns the collection that the job was sent to.
func (j *Job) Collection() *owner.Collection {
	return &owner.Collection{Name: j.Name, Claimed: j.Claimed}
}

// Item is a change of a document in its stored form. Without a document it is a deletion.
type Item struct {
	ID       string          `json:"id"`
	Tenant   *string         `json:"tenant,omitempty"` // in a tenant-scoped collection
	Document json.RawMessage `json:"document,omitempty"`
	// IfVersion is the version that the document must have; nil for no condition.
	IfVersion *int64 `json:"ifVersion,omitempty"`
}

// Part is a sequence of consecutive items of a job.
type Part struct {
	Number int64
	First  int64  // the index of the first item, from 1
	Items  []byte // Item as lines of JSON
}

// Failure is an item that failed.
type Failure struct {
	Item             int64 // its index, from 1
	ID, Tenant, Code string
	Message          string
}
