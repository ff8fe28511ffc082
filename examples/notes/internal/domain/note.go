// Package domain defines notes. It knows neither HTTP nor SQL.
package domain

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Note is a short text with an owner.
type Note struct {
	Seq                  int64 // position in its owner's list; notes of others leave gaps
	ID                   string
	Draft                Draft
	Version              int64 // starts at 1
	CreatedAt, UpdatedAt time.Time
}

// Draft is the part of a note that its owner writes.
type Draft struct{ Title, Text string }

// Limits of a draft, in characters, and of the notes of one owner.
const (
	MaxTitle = 200
	MaxText  = 16000
	MaxNotes = 10000
)

// Errors of the domain.
var (
	ErrUnknown = errors.New("there is no such note")
	ErrStale   = errors.New("the note has changed")
	ErrFull    = fmt.Errorf("nobody keeps more than %d notes", MaxNotes)
	ErrInvalid = errors.New("the draft breaks a rule")
)

// Check refuses a draft that the contract does not allow. Behind the gateway there are none.
func (d Draft) Check() error {
	if title := utf8.RuneCountInString(d.Title); title < 1 || title > MaxTitle || utf8.RuneCountInString(d.Text) > MaxText {
		return ErrInvalid
	}
	return nil
}

// NewID returns an id that cannot be guessed.
func NewID() string { return "note_" + rand.Text() }
