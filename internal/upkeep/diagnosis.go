package upkeep

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// diagnosisFile contains the last result of the doctor.
const diagnosisFile = "doctor.json"

// Diagnosis is a result of fountain doctor.
type Diagnosis struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"` // of the doctor
	Quick    bool      `json:"quick"`   // checks that read a whole database were left out
	Worst    string    `json:"worst"`   // level of the worst finding
	Findings []Finding `json:"findings"`
}

// Finding is the result of one check.
type Finding struct {
	Service string `json:"service"` // a service's word; "" when it concerns all
	Check   string `json:"check"`
	Level   string `json:"level"`        // ok, warning or error
	What    string `json:"what"`         // a sentence
	Do      string `json:"do,omitempty"` // what to do; "" for nothing
}

// KeepDiagnosis replaces the stored result of the doctor. The kms's data directory must exist.
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

// LastDiagnosis returns the stored result. known is false when there is none.
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
