// Package job carries out changes of documents in the background: what was sent is stored in parts, and a worker that has a lease writes one part after the other,
// in the order in which they came. A worker that dies is followed by another, which repeats at most the part that was under way.
//
// The jobs of one collection are carried out one after the other, in the order in which they were accepted, so that of two that change one document the later one counts.
package job

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/auth"
)

// State is where a job is.
type State string

// The states. Nobody but its receiver knows of a job that is received.
const (
	Receiving State = "receiving"
	Queued    State = "queued"
	Running   State = "running"
	Done      State = "done"
	Cancelled State = "cancelled"
	Failed    State = "failed"
)

// Bounds.
const (
	MaxUnderWay = 10        // jobs of one tenant, or of one caller without a tenant
	MaxWhose    = 256 << 20 // bytes that wait of these
	MaxWaiting  = 1 << 30   // bytes that wait of all
	MaxFailures = 10_000    // of one job
	PartItems   = 500
	PartBytes   = 1 << 20
	Life        = 3 * 24 * time.Hour // after its end
	Kept        = 100                // of one collection, that have ended
)

// What can be wrong with a request about a job. Nothing was changed.
var (
	ErrNone = errors.New("the collection has no such job")
	ErrPast = errors.New("the job has ended")
	ErrFull = errors.New("as many jobs are under way, or as much waits, as may")
)

// Every is the Reach of a job that may change the documents of every tenant.
const Every = "*"

// Sender is who has sent a job, as far as their access depends on it.
type Sender struct {
	Who    string // "service:<id>" or "user:<id>"
	Tenant string
	Roles  []string // of a user, as they were then
}

// SentBy is the Sender that a caller is.
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
	Claimed           time.Time // of the collection
	Sender            Sender
	Whose             string // the tenant or the caller that is counted for it
	Reach             string // the tenant whose documents it changes, or Every
	State             State
	Items             int64
	Parts, Next       int64 // how many there are, and which is next
	Succeeded, Failed int64
	Failure, Reason   string
	Attempts          int64 // since a part was carried out
	Created, Changed  time.Time
	Ended             time.Time // zero: not yet
}

// Collection is the collection of the job.
func (j *Job) Collection() *owner.Collection {
	return &owner.Collection{Name: j.Name, Claimed: j.Claimed}
}

// Item is a change of a document as it is stored: without a document it is a deletion.
type Item struct {
	ID       string          `json:"id"`
	Tenant   *string         `json:"tenant,omitempty"` // in a tenant-scoped collection
	Document json.RawMessage `json:"document,omitempty"`
	// IfVersion is the version that the document must have.
	IfVersion *int64 `json:"ifVersion,omitempty"`
}

// Part is some items of a job that follow each other.
type Part struct {
	Number int64
	First  int64  // the place of the first item, from 1
	Items  []byte // Item as lines of JSON
}

// Failure is an item that failed.
type Failure struct {
	Item             int64 // its place, from 1
	ID, Tenant, Code string
	Message          string
}
