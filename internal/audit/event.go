package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kinds of actors.
const (
	User    = "user"
	Service = "service"
	System  = "system" // the service itself, for example a scheduled rotation
)

// Outcomes.
const (
	OK     = "ok"
	Denied = "denied" // it was not allowed
	Failed = "failed" // it was tried and did not happen
)

// maxBody bounds one stored event, in bytes.
const maxBody = 16 << 10

// Event records one action. No field may contain a secret or a value that a caller sent as one; identifiers are enough.
type Event struct {
	At        time.Time         // microsecond precision; zero: now
	Action    string            // operationId, or a verbNoun of the service's own; required
	Actor     string            // subject of the actor; empty for System and for unauthenticated callers
	ActorKind string            // User, Service or System; required
	Target    string            // identifier of the thing that was acted on
	Outcome   string            // OK, Denied or Failed; required
	RequestID string            // ID of the request
	Address   string            // client address as the service's trusted proxies report it; empty when there was no request
	Detail    map[string]string // further details: session, granted roles and scopes, error code, hashes of before and after
}

// body is the stored form. Hashes depend on the order and the names of its fields: new fields are added at the end, with omitempty.
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

// row returns the event in its stored form, without its place in the chain. It fails when a required field is missing or the body is larger than
// maxBody.
func (e Event) row() (row, error) {
	if e.Action == "" || e.ActorKind == "" || e.Outcome == "" {
		return row{}, errors.New("audit event lacks its action, actor kind or outcome")
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	e.At = e.At.UTC().Truncate(time.Microsecond)
	for _, field := range []*string{&e.Action, &e.Actor, &e.ActorKind, &e.Target, &e.Outcome, &e.RequestID, &e.Address} {
		*field = clean(*field)
	}
	buffer := texts.Get().(*[]byte)
	defer texts.Put(buffer)
	*buffer = e.appendText((*buffer)[:0])
	if len(*buffer) > maxBody {
		return row{}, fmt.Errorf("audit event is larger than %d bytes", maxBody)
	}
	return row{At: e.At.UnixMicro(), Action: e.Action, Actor: e.Actor, Target: e.Target, Body: bytes.Clone(*buffer)}, nil
}

// texts are buffers for events whose size is not known yet.
var texts = sync.Pool{New: func() any { return new([]byte) }}

// appendText appends what encoding/json makes of the event's body, but without reflection, because every event of every service is encoded.
func (e Event) appendText(out []byte) []byte {
	out = append(e.At.AppendFormat(append(out, `{"at":"`...), timeLayout), '"')
	for _, field := range [...]struct{ name, value string }{
		{`,"action":`, e.Action}, {`,"actor":`, e.Actor}, {`,"actorKind":`, e.ActorKind}, {`,"target":`, e.Target}, {`,"outcome":`, e.Outcome}, {`,"requestId":`, e.RequestID},
	} {
		out = appendText(append(out, field.name...), field.value)
	}
	if len(e.Detail) > 0 {
		before, few := `,"detail":{`, [8]string{}
		names := few[:0]
		for name := range e.Detail {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			out = append(appendText(append(out, before...), name), ':')
			out, before = appendText(out, e.Detail[name]), ","
		}
		out = append(out, '}')
	}
	if e.Address != "" {
		out = appendText(append(out, `,"address":`...), e.Address)
	}
	return append(out, '}')
}

// appendText appends a JSON string. Most strings need no escape; others are left to encoding/json.
func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // encoding a string never fails
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}

// clean makes a text storable in both databases. An unknown user name may consist of any bytes, and the attempt must still be recorded.
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
