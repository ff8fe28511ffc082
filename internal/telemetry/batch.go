package telemetry

import (
	"io"
	"sync"
	"time"
)

const (
	maxBatch = 64 << 10               // bytes of lines that wait for one write
	maxWait  = 100 * time.Millisecond // how long a line waits for others
)

// batch writes whole lines, one after the other, and where it batches several of them with one system call, which costs more than making a line.
type batch struct {
	mu      sync.Mutex
	w       io.Writer
	batches bool
	text    []byte      // lines that wait
	timer   *time.Timer // writes them; runs while text is not empty
}

// Write takes one line or more, all of it.
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

// write writes what waits. What can't be written is lost, as a line that is written at once would be.
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
	_ = b.write() // a log that can't be written can't be told either
}

// end writes what waits, and from then on every line at once.
func (b *batch) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.write()
	b.batches = false
}
