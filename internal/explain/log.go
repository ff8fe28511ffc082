package explain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Bounds on what is kept of a log.
const (
	maxLine  = 1 << 20  // bytes of a line; longer ones are passed over
	maxLines = 4000     // of one request
	maxKept  = 32 << 20 // bytes of all lines that are kept
)

// Story is what a log contains about one request.
type Story struct {
	RequestID string         `json:"requestId"`
	Lines     []Line         `json:"lines"`             // by time
	Dropped   int            `json:"dropped,omitempty"` // lines of the request beyond the bounds
	Unread    int            `json:"unread,omitempty"`  // lines that are no JSON object, or too long: they may be of the request
	Refusal   *LoggedRefusal `json:"refusal,omitempty"`
}

// Line is a line of the log. For a line of the access log, Access holds the known fields and Fields the others.
type Line struct {
	Time    time.Time                  `json:"time"`
	Level   string                     `json:"level"`
	Service string                     `json:"service,omitempty"`
	Message string                     `json:"msg"`
	Access  *Access                    `json:"access,omitempty"`
	Fields  map[string]json.RawMessage `json:"fields,omitempty"`
}

// Access is a line of the access log. Times are in milliseconds.
type Access struct {
	Method      string   `json:"method"`
	Route       string   `json:"route"`
	OperationID string   `json:"operationId"`
	Status      int      `json:"status"`
	RefusedBy   string   `json:"refusedBy,omitempty"`
	Code        string   `json:"code,omitempty"`
	TookMS      float64  `json:"tookMs"`
	OwnMS       *float64 `json:"ownMs,omitempty"`
	UpstreamMS  *float64 `json:"upstreamMs,omitempty"`
}

// LoggedRefusal says who refused the request, and what the current contract demands there.
type LoggedRefusal struct {
	Service     string   `json:"service,omitempty"`
	OperationID string   `json:"operationId"`
	RefusedBy   string   `json:"refusedBy,omitempty"` // the check of its server; "": a rule behind all checks
	Status      int      `json:"status"`
	Code        string   `json:"code,omitempty"`
	Origin      string   `json:"origin,omitempty"` // of the operation; "" where today's contracts do not have it
	Demands     []Demand `json:"demands,omitempty"`
}

// accessMessage is the msg of the lines of the access log.
const accessMessage = "request"

// ReadLog reads JSON lines of the gateway and the services, in any order, to the end and keeps those of one request. It keeps at most maxKept bytes.
func (e *Explainer) ReadLog(log io.Reader, requestID string) (*Story, error) {
	s := &Story{RequestID: requestID, Lines: []Line{}}
	kept := 0
	err := eachLine(log, func(text []byte, whole bool) {
		switch {
		case !whole:
			s.Unread++
		case !bytes.Contains(text, []byte(requestID)):
		default:
			line, of, ok := readLine(text)
			switch {
			case !ok:
				s.Unread++
			case of != requestID: // the ID is in another field of the line
			case len(s.Lines) >= maxLines || kept+len(text) > maxKept:
				s.Dropped++
			default:
				kept += len(text)
				s.Lines = append(s.Lines, line)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	slices.SortStableFunc(s.Lines, func(a, b Line) int { return a.Time.Compare(b.Time) })
	s.Refusal = e.refusal(s.Lines)
	return s, nil
}

// eachLine visits each non-empty line. For a line that is too long, whole is false and there is no text. The text is valid until the next visit.
func eachLine(from io.Reader, visit func(text []byte, whole bool)) error {
	in := bufio.NewReaderSize(from, maxLine)
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			visit(nil, false)
		} else if text = bytes.TrimSpace(text); len(text) > 0 {
			visit(text, true)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// readLine parses a line and returns its request ID.
func readLine(text []byte) (line Line, requestID string, ok bool) {
	if json.Unmarshal(text, &line.Fields) != nil || line.Fields == nil {
		return Line{}, "", false
	}
	take := func(name string, to any) {
		if raw, there := line.Fields[name]; there && json.Unmarshal(raw, to) == nil {
			delete(line.Fields, name)
		}
	}
	take("requestId", &requestID)
	take("time", &line.Time)
	take("level", &line.Level)
	take("service", &line.Service)
	take("msg", &line.Message)
	if line.Message == accessMessage {
		a := &Access{}
		line.Access = a
		for name, to := range map[string]any{
			"method": &a.Method, "route": &a.Route, "operationId": &a.OperationID, "status": &a.Status, "refusedBy": &a.RefusedBy, "code": &a.Code,
			"tookMs": &a.TookMS, "ownMs": &a.OwnMS, "upstreamMs": &a.UpstreamMS,
		} {
			take(name, to)
		}
	}
	return line, requestID, true
}

// refusal finds who refused: the first line with a check or a code, because the outermost server writes its line last.
func (e *Explainer) refusal(lines []Line) *LoggedRefusal {
	for _, line := range lines {
		a := line.Access
		if a == nil || a.RefusedBy == "" && a.Code == "" {
			continue
		}
		r := &LoggedRefusal{Service: line.Service, OperationID: a.OperationID, RefusedBy: a.RefusedBy, Status: a.Status, Code: a.Code}
		if op := e.operations[a.OperationID]; op != nil {
			r.Origin, r.Demands = op.Origin.String(), demandsOf(op, a.RefusedBy)
		}
		return r
	}
	return nil
}
