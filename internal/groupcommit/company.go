package groupcommit

import "time"

// maxGaps bounds how many times Options.Company a commit waits for company, however steadily it comes.
const maxGaps = 8

// awaitCompany waits for those whom the last commit has answered: most callers come back with their next request at once, and whoever came first would else commit without
// them. It ends when as many wait as were there, or nobody has come for Options.Company. After a commit of one, behind which nobody waits, it does not wait: who is alone pays for nobody.
// The caller has the turn.
func (c *Committer[Req, Res]) awaitCompany() {
	expected := min(c.expected, c.o.MaxBatch)
	c.expected = 0
	if c.o.Company <= 0 || expected < 2 {
		return
	}
	c.quorum.Store(int64(expected))
	defer c.quorum.Store(0)
	timer := time.NewTimer(c.o.Company)
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

// rouse has the committer look into the queue. While it waits for company it is let sleep until all have come.
func (c *Committer[Req, Res]) rouse() {
	if quorum := c.quorum.Load(); quorum > 0 && int64(c.queue.len()) < quorum {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default: // it has not looked since the last
	}
}

// leaveTurn ends the turn of a caller who has committed. Where others were in that commit the committer waits for them.
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
