package groupcommit

import "time"

const (
	// firstReturn is how many times Options.Company a commit waits for the first of the callers whom the last commit answered. All of them are answered
	// at once, so on few processors the first one comes back only after the answers of the others were written.
	firstReturn = 4
	// maxGaps bounds how many times in a row a commit waits, however steadily requests arrive.
	maxGaps = 8
)

// awaitCompany waits for the callers whom the last commit answered. Most of them send their next request at once, and without the wait the first of
// them would be committed without the others. The wait ends when as many requests are queued as there were then, when none has arrived for
// Options.Company (for the first one: firstReturn times as long), or after maxGaps such intervals. After a commit of one request with an empty queue
// it does not wait, so a single caller pays nothing. The goroutine must hold the turn.
func (c *Committer[Req, Res]) awaitCompany() {
	expected := min(c.expected, c.o.MaxBatch)
	c.expected = 0
	if c.o.Company <= 0 || expected < 2 {
		return
	}
	c.quorum.Store(int64(expected))
	defer c.quorum.Store(0)
	timer := time.NewTimer(firstReturn * c.o.Company)
	defer timer.Stop()
	before := c.queue.len()
	for gaps := 1; c.queue.len() < expected; {
		select {
		case _, open := <-c.wake:
			if !open {
				return
			}
		case <-timer.C:
			now := c.queue.len()
			if now == before || gaps == maxGaps {
				return
			}
			before = now
			gaps++
			timer.Reset(c.o.Company)
		}
	}
}

// rouse wakes the committer to look into the queue. While the committer waits for company, it is woken only when all expected requests are there.
func (c *Committer[Req, Res]) rouse() {
	if quorum := c.quorum.Load(); quorum > 0 && int64(c.queue.len()) < quorum {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default: // the committer has not looked since the last wake-up
	}
}

// leaveTurn ends the turn of a caller that committed in its own goroutine. If that commit had other requests too, the committer is woken to wait for
// their next ones.
func (c *Committer[Req, Res]) leaveTurn() {
	company := c.o.Company > 0 && c.expected > 1
	c.turn.Unlock()
	if !company {
		return
	}
	c.closing.RLock()
	defer c.closing.RUnlock()
	if !c.closed {
		c.rouse()
	}
}
