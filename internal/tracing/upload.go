package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	attempts   = 3
	retryPause = time.Second     // before the second attempt, doubled before the third
	maxPause   = 5 * time.Second // maximum, whatever Retry-After says
	maxAnswer  = 64 << 10        // bytes of an answer that are read, so that its connection can be reused
)

// uploader is the client of an OTLP/HTTP collector (OTLP specification, section OTLP/HTTP). The library's own client would add gRPC to the program
// for one message: TracesData has the same encoding as ExportTraceServiceRequest.
type uploader struct {
	url    string
	header http.Header
	client *http.Client
	pause  time.Duration
}

// Start implements otlptrace.Client.
func (*uploader) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (*uploader) Stop(context.Context) error { return nil }

// UploadTraces implements otlptrace.Client. It retries when the collector reports a temporary failure or cannot be reached.
func (u *uploader) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	for attempt := 1; ; attempt++ {
		err = u.post(ctx, body)
		var refused *refusedError
		again := !errors.As(err, &refused) || refused.passes()
		if err == nil || !again || attempt == attempts {
			return err
		}
		pause := u.pause << (attempt - 1)
		if refused != nil {
			pause = max(pause, refused.after)
		}
		timer := time.NewTimer(min(pause, maxPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// refusedError is an answer other than 200. Its body is not used, because a collector may repeat anything there.
type refusedError struct {
	status int
	after  time.Duration
}

func (e *refusedError) Error() string { return fmt.Sprintf("the collector answers %d", e.status) }

// passes reports whether the same batch may be accepted later (OTLP specification, section Retryable Response Codes).
func (e *refusedError) passes() bool {
	switch e.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (u *uploader) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call the collector: %w", err)
	}
	for name, values := range u.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	res, err := u.client.Do(r)
	if err != nil {
		return fmt.Errorf("call the collector: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // only the status matters
	if res.StatusCode/100 != 2 {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date or a missing header: the usual pause
		return &refusedError{res.StatusCode, time.Duration(min(max(seconds, 0), 60)) * time.Second}
	}
	return nil
}
