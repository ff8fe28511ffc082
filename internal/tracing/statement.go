package tracing

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Database makes the spans of one database. A nil Database makes none.
type Database struct {
	tracer     trace.Tracer
	name       string
	attributes []attribute.KeyValue
}

// Database returns a Database for a system, as the semantic conventions name it, and a name, as its service does.
func (t *Tracer) Database(system, name string) *Database {
	if t == nil {
		return nil
	}
	return &Database{t.tracer, name, []attribute.KeyValue{semconv.DBSystemNameKey.String(system), semconv.DBNamespace(name)}}
}

// Statement is the span of a running statement.
type Statement struct{ span trace.Span }

// Begin begins the span of a statement within a recorded request. Other statements have none: each would be a trace of its own.
func (d *Database) Begin(ctx context.Context, query string) Statement {
	if d == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return Statement{}
	}
	query = sanitize(query)
	operation, _, _ := strings.Cut(query, " ")
	_, span := d.tracer.Start(ctx, operation+" "+d.name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(d.attributes...),
		trace.WithAttributes(semconv.DBOperationName(operation), semconv.DBQueryText(query)))
	return Statement{span}
}

// End ends the span. A missing row is not a failure.
func (s Statement) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		Fail(s.span, errorType(err, 0))
	}
	s.span.End()
}

var literal = regexp.MustCompile(`'(?:[^']|'')*'`)

// sanitize returns the text of a statement on one line and without literals. Arguments are not in the text: each has a placeholder.
func sanitize(query string) string {
	return strings.Join(strings.Fields(literal.ReplaceAllString(query, "?")), " ")
}
