package upkeep

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// diagnosisFile is the name of what the doctor found last.
const diagnosisFile = "doctor.json"

// Diagnosis is what fountain doctor has found.
type Diagnosis struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"` // of the doctor
	Quick    bool      `json:"quick"`   // what reads the whole of a database was left out
	Worst    string    `json:"worst"`   // level of the worst finding
	Findings []Finding `json:"findings"`
}

// Finding is what one check has found.
type Finding struct {
	Service string `json:"service"` // a service's word; "" for what is of all
	Check   string `json:"check"`
	Level   string `json:"level"`        // ok, warning or error
	What    string `json:"what"`         // a sentence
	Do      string `json:"do,omitempty"` // what to do; "" when there is nothing to do
}

// KeepDiagnosis keeps what the doctor has found instead of what was found before. The kms's data directory must be there.
func KeepDiagnosis(dir string, d Diagnosis) error {
	data, err := open(dir)
	if err == nil {
		err = errors.Join(write(data, diagnosisFile, d), data.Close())
	}
	if err != nil {
		return fmt.Errorf("keep what the doctor found: %w", err)
	}
	return nil
}

// LastDiagnosis returns what is kept. known is false when nothing is.
func LastDiagnosis(dir string) (d Diagnosis, known bool, err error) {
	data, err := open(dir)
	if err == nil {
		defer data.Close()
		err = read(data, diagnosisFile, &d)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return Diagnosis{}, false, nil
	}
	if err != nil {
		return Diagnosis{}, false, fmt.Errorf("read what the doctor found: %w", err)
	}
	return d, true, nil
}
