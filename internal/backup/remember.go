package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// lastFile is the name in the kms's data directory of the file that says when the last backup was made. It is for people and metrics; no backup holds it.
const lastFile = "last-backup.json"

// Last is the newest backup that was made here.
type Last struct {
	ID     string    `json:"id"`
	MadeAt time.Time `json:"madeAt"`
}

// Remember writes into the kms's data directory that a backup was made.
func Remember(dir string, m Manifest) (err error) {
	text, err := json.Marshal(Last{m.ID, m.MadeAt})
	if err != nil {
		return fmt.Errorf("remember backup: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("remember backup: %w", err)
	}
	file, err := os.CreateTemp(dir, ".last-backup-*")
	if err != nil {
		return fmt.Errorf("remember backup: %w", err)
	}
	defer os.Remove(file.Name()) // is gone after Rename
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("remember backup: %w", err)
	}
	if err := os.Rename(file.Name(), filepath.Join(dir, lastFile)); err != nil {
		return fmt.Errorf("remember backup: %w", err)
	}
	return nil
}

// Recall returns the newest backup that was made here; the zero value when there is none.
func Recall(dir string) (last Last, err error) {
	text, err := os.ReadFile(filepath.Join(dir, lastFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Last{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &last)
	}
	if err != nil {
		return Last{}, fmt.Errorf("read when the last backup was made: %w", err)
	}
	return last, nil
}
