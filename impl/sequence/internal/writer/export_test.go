package writer

import "time"

// Between sets a function that is called before each transaction of a long reorder. Call it before the first.
func (w *Writer) Between(do func()) { w.between = do }

// Stepped sets a function that is called after each of them.
func (w *Writer) Stepped(do func()) { w.stepped = do }

// Settled waits for the settling of long reorders and moves.
func (w *Writer) Settled() { w.settling.Wait() }

// Patience sets how long Close waits for that. Call it before the first.
func (w *Writer) Patience(d time.Duration) { w.patience = d }

// Page sets how many unfinished orders are read at once. Call it before the first read.
func (w *Writer) Page(n int) { w.page = n }

// GivenOver returns a channel that is closed when Close no longer waits.
func (w *Writer) GivenOver() <-chan struct{} { return w.closing.Done() }

// Waiting returns how many changes wait for a commit.
func (w *Writer) Waiting() int { return w.commits.Waiting() }
