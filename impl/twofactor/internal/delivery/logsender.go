package delivery

import (
	"context"
	"log/slog"
)

// logSender writes messages into the log instead of sending them.
type logSender struct{ log *slog.Logger }

// NewLog returns the sender for development. It writes codes into the log, so that a reader of the log has the second factor of all users. Only the program
// that runs the whole family on one machine for trying it out may use it.
func NewLog(log *slog.Logger) Sender { return logSender{log} }

// Name implements Sender.
func (logSender) Name() string { return "log" }

// Send implements Sender.
func (s logSender) Send(ctx context.Context, m Message, _ Text) (Receipt, error) {
	if m.Notice != "" {
		s.log.WarnContext(ctx, "a notice in development, which is not sent", "channel", m.Channel, "target", m.Target, "notice", m.Notice)
		return Receipt{}, nil
	}
	s.log.WarnContext(ctx, "a code in development, which is not sent", "channel", m.Channel, "target", m.Target, "purpose", m.Purpose,
		"operation", m.Operation, "code", m.Code)
	return Receipt{}, nil
}
