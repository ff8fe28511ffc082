package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kinds of actors.
const (
	User    = "user"
	Service = "service"
	System  = "system" // the service itself: a rotation by schedule, a sweep
)

// Outcomes.
const (
	OK     = "ok"
	Denied = "denied" // somebody was not allowed to
	Failed = "failed" // it was tried and did not happen
)

// maxBody bounds one stored event, in bytes.
const maxBody = 16 << 10

// Event is one thing somebody did. No field may hold a secret or a value that a caller sent as one; identifiers are enough.
type Event struct {
	At        time.Time         // kept in microseconds; zero: now
	Action    string            // the operationId, or a verbNoun of the service's own; required
	Actor     string            // subject of whoever did it; empty for System and for the unauthenticated
	ActorKind string            // User, Service or System; required
	Target    string            // identifier of what it was done to
	Outcome   string            // OK, Denied or Failed; required
	RequestID string            // the request it came with
	Address   string            // network address of whoever asked, as the service's trusted proxies tell it; empty: nobody did
	Detail    map[string]string // what else matters: session, roles and scopes that were granted, error code, hashes of before and after
}

// body is the stored form. Its field order and names are part of the chain: add at the end, with omitempty.
type body struct {
	At        string            `json:"at"`
	Action    string            `json:"action"`
	Actor     string            `json:"actor"`
	ActorKind string            `json:"actorKind"`
	Target    string            `json:"target"`
	Outcome   string            `json:"outcome"`
	RequestID string            `json:"requestId"`
	Detail    map[string]string `json:"detail,omitempty"` // encoding/json sorts the keys
	Address   string            `json:"address,omitempty"`
}

const timeLayout = "2006-01-02T15:04:05.000000Z"

// encode returns the event as it will be read back, and its stored bytes.
func (e Event) encode() (Event, []byte, error) {
	if e.Action == "" || e.ActorKind == "" || e.Outcome == "" {
		return e, nil, errors.New("audit event lacks its action, actor kind or outcome")
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.At = e.At.UTC().Truncate(time.Microsecond)
	for _, field := range []*string{&e.Action, &e.Actor, &e.ActorKind, &e.Target, &e.Outcome, &e.RequestID, &e.Address} {
		*field = clean(*field)
	}
	text, err := json.Marshal(body{
		At: e.At.Format(timeLayout), Action: e.Action, Actor: e.Actor, ActorKind: e.ActorKind, Target: e.Target,
		Outcome: e.Outcome, RequestID: e.RequestID, Detail: e.Detail, Address: e.Address,
	})
	if err != nil {
		return e, nil, fmt.Errorf("encode audit event: %w", err)
	}
	if len(text) > maxBody {
		return e, nil, fmt.Errorf("audit event is larger than %d bytes", maxBody)
	}
	return e, text, nil
}

// clean makes any text storable on both databases: a user name that was tried may be any bytes, and its trace must be written.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func decode(stored []byte) (Event, error) {
	var b body
	if err := json.Unmarshal(stored, &b); err != nil {
		return Event{}, fmt.Errorf("decode audit event: %w", err)
	}
	at, err := time.Parse(timeLayout, b.At)
	if err != nil {
		return Event{}, fmt.Errorf("decode time of audit event: %w", err)
	}
	return Event{
		At: at, Action: b.Action, Actor: b.Actor, ActorKind: b.ActorKind, Target: b.Target, Outcome: b.Outcome,
		RequestID: b.RequestID, Detail: b.Detail, Address: b.Address,
	}, nil
}
