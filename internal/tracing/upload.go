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
	retryPause = time.Second     // before the second attempt; twice that before the third
	maxPause   = 5 * time.Second // however long Retry-After says
	maxAnswer  = 64 << 10        // bytes that are read of an answer, so that its connection can be used again
)

// uploader is the client of an OTLP/HTTP collector (OTLP specification, section OTLP/HTTP). The library's own brings gRPC into the program,
// for one message: TracesData has the same form as ExportTraceServiceRequest.
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

// UploadTraces implements otlptrace.Client. It tries again when the collector says that it may pass, and when it is not reached.
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

// refusedError is an answer that is not 200. The answer's text stays unread: nobody knows what a collector repeats there.
type refusedError struct {
	status int
	after  time.Duration
}

func (e *refusedError) Error() string { return fmt.Sprintf("the collector answers %d", e.status) }

// passes reports whether the same batch may be taken later (OTLP specification, section Retryable Response Codes).
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
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // of an answer the status is all that counts
	if res.StatusCode/100 != 2 {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date, or none: the usual pause
		return &refusedError{res.StatusCode, time.Duration(min(max(seconds, 0), 60)) * time.Second}
	}
	return nil
}
