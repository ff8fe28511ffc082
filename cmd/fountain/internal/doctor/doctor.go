// Package doctor checks the files, databases and running services of an installation. It reports what is wrong and what
// to do. It changes nothing, needs no secret except those it checks, and reports none.
package doctor

import (
	"net/http"
	"time"

	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
)

// Level is the severity of a finding.
type Level string

// Levels, from good to bad.
const (
	OK      Level = "ok"      // checked, and as it should be
	Warning Level = "warning" // it works now, but not for ever, or not after a failure
	Error   Level = "error"   // something does not work or is not safe
)

// Names of checks. Scripts use them, so they do not change.
const (
	Settings    = "settings"
	Modes       = "modes"
	Keys        = "keys"
	Disk        = "disk"
	Database    = "database"
	Version     = "version"
	Restore     = "restore"
	Audit       = "audit"
	Clock       = "clock"
	Certificate = "certificate"
	Issuer      = "issuer"
	Backup      = "backup"
	Running     = "running"
	Contract    = "contract"
)

// Finding is the result of one check.
type Finding struct {
	Service string `json:"service"` // name of the service; "" for all of them
	Check   string `json:"check"`
	Level   Level  `json:"level"`
	What    string `json:"what"`         // a sentence
	Do      string `json:"do,omitempty"` // what to do; "" if there is nothing to do
}

// Report is all findings, in the order of the checks.
type Report []Finding

// Worst returns the level of the worst finding.
func (r Report) Worst() Level {
	worst := OK
	for _, f := range r {
		if f.Level == Error || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// Place says where one service stores its data and where it responds.
type Place struct {
	Word    string
	Service config.Service
	Parts   []backup.Part // its databases, the one with the audit trail first; none for the gateway
	RootKey string        // file of the root key; "" except for the kms
	Issuer  string        // issuer of the next start; "" if only the kms's database knows it
	URL     string        // base URL of the running service, without /<word>/v1; "" sends no requests
}

// Doctor holds the dependencies and results of the checks.
type Doctor struct {
	Clock   clock.Clock
	Version string                             // of this program
	Digest  func(word string) string           // digest of the contract in this program
	Free    func(dir string) (uint64, error)   // free bytes on the disk of a directory
	Client  *http.Client                       // for requests to running services
	Quick   bool                               // skip checks that read a whole database
	Facts   func(facts map[string]string) Said // what the kms's database says about itself
	Outside bool                               // check only running services, through the public gateway: a service that does not respond there is an error

	report   Report
	restored map[string]string // service -> id of the backup that it was restored from
	word     string            // service being checked
}

// Said is what the database of the kms says about itself.
type Said struct {
	Roots  []string // ids of the root keys that seal its data
	Issuer string
}

// Limits of the checks.
const (
	spareDisk     = 1 << 30             // bytes; less is a warning
	spareLife     = 21 * 24 * time.Hour // remaining validity of a certificate
	backupEvery   = 26 * time.Hour      // as in the alert FountainBackupTooOld
	checkEvery    = 8 * 24 * time.Hour  // as in the alert FountainBackupUnchecked
	maxClockSkew  = 15 * time.Second    // as services allow between them and the kms
	answerWithin  = 5 * time.Second
	connectWithin = 10 * time.Second
)

func (d *Doctor) find(check string, level Level, what, do string) {
	d.report = append(d.report, Finding{Service: d.word, Check: check, Level: level, What: what, Do: do})
}

func (d *Doctor) ok(check, what string)        { d.find(check, OK, what, "") }
func (d *Doctor) warn(check, what, do string)  { d.find(check, Warning, what, do) }
func (d *Doctor) wrong(check, what, do string) { d.find(check, Error, what, do) }

// Add adds a finding from elsewhere to the report.
func (d *Doctor) Add(f Finding) { d.report = append(d.report, f) }

// Report returns the findings so far.
func (d *Doctor) Report() Report { return d.report }
