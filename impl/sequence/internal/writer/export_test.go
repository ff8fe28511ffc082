package writer

import "time"

// Between has a function called before each transaction of a long reorder. Call it before the first.
func (w *Writer) Between(do func()) { w.between = do }

// Stepped has a function called behind each of them.
func (w *Writer) Stepped(do func()) { w.stepped = do }

// Settled waits for the long reorders that were shown.
func (w *Writer) Settled() { w.settling.Wait() }

// Patience sets how long Close waits for them. Call it before the first.
func (w *Writer) Patience(d time.Duration) { w.patience = d }

// Page sets how many orders that were left are looked for at once. Call it before the first look.
func (w *Writer) Page(n int) { w.page = n }

// GivenOver is closed when Close waits no longer.
func (w *Writer) GivenOver() <-chan struct{} { return w.closing.Done() }

// Waiting is how many changes wait for a commit.
func (w *Writer) Waiting() int { return w.commits.Waiting() }
