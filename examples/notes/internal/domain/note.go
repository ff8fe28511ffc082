// Package domain says what a note is. It knows neither HTTP nor SQL.
package domain

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Note is a short text of somebody.
type Note struct {
	Seq                  int64 // its place in its owner's list; others' notes leave gaps
	ID                   string
	Draft                Draft
	Version              int64 // 1 and up
	CreatedAt, UpdatedAt time.Time
}

// Draft is what its owner says of a note.
type Draft struct{ Title, Text string }

// The bounds of a draft, in characters, and of what one owner keeps.
const (
	MaxTitle = 200
	MaxText  = 16000
	MaxNotes = 10000
)

// The refusals.
var (
	ErrUnknown = errors.New("there is no such note")
	ErrStale   = errors.New("the note has changed")
	ErrFull    = fmt.Errorf("nobody keeps more than %d notes", MaxNotes)
	ErrInvalid = errors.New("the draft breaks a rule")
)

// Check refuses a draft that the contract does not allow. Behind the gateway none arrives.
func (d Draft) Check() error {
	if title := utf8.RuneCountInString(d.Title); title < 1 || title > MaxTitle || utf8.RuneCountInString(d.Text) > MaxText {
		return ErrInvalid
	}
	return nil
}

// NewID returns an id that nobody can guess.
func NewID() string { return "note_" + rand.Text() }
