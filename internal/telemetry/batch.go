package telemetry

import (
	"io"
	"sync"
	"time"
)

const (
	maxBatch = 64 << 10               // maximum bytes of pending lines
	maxWait  = 100 * time.Millisecond // maximum delay of a line
)

// batch writes whole lines in order and, where it batches, several with one system call, which costs more than formatting a line.
type batch struct {
	mu      sync.Mutex
	w       io.Writer
	batches bool
	text    []byte      // pending lines
	timer   *time.Timer // writes them; runs while text is not empty
}

// Write takes one or more lines and never writes only part of them.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.batches {
		return b.w.Write(p)
	}
	if len(b.text)+len(p) > maxBatch {
		if err := b.write(); err != nil {
			return 0, err
		}
	}
	if len(p) > maxBatch {
		return b.w.Write(p)
	}
	if len(b.text) == 0 {
		b.start()
	}
	b.text = append(b.text, p...)
	return len(p), nil
}

// start starts the timer; a write stops it.
func (b *batch) start() {
	if b.timer == nil {
		b.timer = time.AfterFunc(maxWait, b.flush)
		return
	}
	b.timer.Reset(maxWait)
}

// write writes the pending lines. Lines that cannot be written are lost, as an unbatched line would be.
func (b *batch) write() error {
	if len(b.text) == 0 {
		return nil
	}
	b.timer.Stop()
	_, err := b.w.Write(b.text)
	b.text = b.text[:0]
	return err
}

func (b *batch) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.write() // an error of the log cannot be logged
}

// end writes the pending lines; later lines are written at once.
func (b *batch) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.write()
	b.batches = false
}
