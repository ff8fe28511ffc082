package delivery

import (
	"time"
)

// Letter is a mail about a person's account, which the kms has written.
type Letter struct {
	About string    // what it is about: a key of Letters
	Link  string    // that the person opens; "" for none
	Until time.Time // when the link stops working
}

// LetterText is the text of a letter.
type LetterText struct {
	Title     string // for the subject
	Happened  string
	Otherwise string // what to do if it was not asked for
}

// Letters are the texts of letters, by what they are about.
var Letters = map[string]LetterText{
	"password_reset": {
		"choose a new password", "An administrator asks you to choose a new password for your account.",
		"If you did not expect this, ask an administrator. Your password stays valid until the link is used.",
	},
	"forgotten_password": {
		"choose a new password", "A new password was requested for your account.",
		"If you did not request it, ignore this mail: your password stays valid until the link is used. If you keep receiving such mails, tell an administrator.",
	},
	"password_changed": {
		"your password was changed", "A new password was chosen for your account with a reset link. Your sessions have ended; your second factors are unchanged.",
		"If it was not you, somebody else can read your mail: tell an administrator at once.",
	},
	"address_changed": {
		"your mail address was changed", "An administrator has changed the mail address of your account. No more mails about it are sent to this address, and links that were sent to it no longer work.",
		"If you did not expect this, tell an administrator at once.",
	},
	"invitation": {
		"your invitation", "You are invited to add a second factor to your account. Sign in with your user name and password; the invitation is in the link.",
		"If you did not expect this, tell an administrator. The link asks for your password, and stops working once you choose a new password with a reset link.",
	},
}

// untilForm is the layout of times in letters, which is clear in every country.
const untilForm = "2 January 2006, 15:04 MST"

// SampleLetter returns a letter for previews and for checking templates.
func SampleLetter() Message {
	return Message{ID: "preview", Channel: Email, Subject: "usr_preview", Letter: &Letter{
		About: "password_reset", Link: sampleLink, Until: time.Date(2026, 11, 29, 11, 0, 0, 0, time.UTC),
	}}
}

// sampleLink is the link of previews.
const sampleLink = "https://fountain.example/kms/v1/auth/password-reset#pr_preview"

// Brings reports whether the channel has a provider that delivers messages to people. The sender of development, which writes codes into the log, does not
// count.
func (r *Router) Brings(channel Channel) bool {
	for _, route := range r.routes[channel] {
		if _, log := route.sender.(logSender); !log {
			return true
		}
	}
	return false
}
