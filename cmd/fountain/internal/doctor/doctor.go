// Package doctor looks at the places and the running services of a family and says what is wrong with them, and what to do. It changes nothing, needs no
// secret but what it looks at, and says none.
package doctor

import (
	"net/http"
	"time"

	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
)

// Level says how bad a finding is.
type Level string

// The levels, from good to bad.
const (
	OK      Level = "ok"      // it was looked at and is as it should be
	Warning Level = "warning" // it works, and will not for ever, or not after a mishap
	Error   Level = "error"   // something does not work, or is not safe
)

// Names of checks. They are told to scripts and stay.
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

// Finding is what one check has found.
type Finding struct {
	Service string `json:"service"` // a service's word; "" for what is of all
	Check   string `json:"check"`
	Level   Level  `json:"level"`
	What    string `json:"what"`         // a sentence
	Do      string `json:"do,omitempty"` // what to do; "" when there is nothing to do
}

// Report is all findings, in the order in which things were looked at.
type Report []Finding

// Worst is the level of the worst finding.
func (r Report) Worst() Level {
	worst := OK
	for _, f := range r {
		if f.Level == Error || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// Place is where one service keeps what it has, and where it answers.
type Place struct {
	Word    string
	Service config.Service
	Parts   []backup.Part // its databases, the one with the audit trail first; none for the gateway
	RootKey string        // file of the root key; "" for all but the kms
	Issuer  string        // that the next start takes; "" when the kms's database alone knows it
	URL     string        // base of the running service, without /<word>/v1; "" asks nobody
}

// Doctor is what the checks need of the world.
type Doctor struct {
	Clock   clock.Clock
	Version string                             // of this program
	Digest  func(word string) string           // of the contract that this program has
	Free    func(dir string) (uint64, error)   // bytes on the disk of a directory
	Client  *http.Client                       // asks running services
	Quick   bool                               // leave out what reads the whole of a database
	Facts   func(facts map[string]string) Said // what the kms's database says of itself
	Outside bool                               // only what runs is looked at, by a door that everybody can use: what does not answer there is wrong

	report   Report
	restored map[string]string // id of the backup that a service was restored from
	word     string            // that is looked at
}

// Said is what the database of the kms says of itself.
type Said struct {
	Roots  []string // ids of the root keys that seal it
	Issuer string
}

// The bounds of the checks.
const (
	spareDisk     = 1 << 30             // bytes, below which is warned
	spareLife     = 21 * 24 * time.Hour // of a certificate
	backupEvery   = 26 * time.Hour      // as the alert FountainBackupTooOld has it
	checkEvery    = 8 * 24 * time.Hour  // as FountainBackupUnchecked has it
	maxClockSkew  = 15 * time.Second    // as services have it between them and the kms
	answerWithin  = 5 * time.Second
	connectWithin = 10 * time.Second
)

func (d *Doctor) find(check string, level Level, what, do string) {
	d.report = append(d.report, Finding{Service: d.word, Check: check, Level: level, What: what, Do: do})
}

func (d *Doctor) ok(check, what string)        { d.find(check, OK, what, "") }
func (d *Doctor) warn(check, what, do string)  { d.find(check, Warning, what, do) }
func (d *Doctor) wrong(check, what, do string) { d.find(check, Error, what, do) }

// Add takes a finding from elsewhere into the report.
func (d *Doctor) Add(f Finding) { d.report = append(d.report, f) }

// Report is what was found so far.
func (d *Doctor) Report() Report { return d.report }
