package apikey

import "sync"

const (
	// maxTrades bounds how many keys are traded at the same time.
	maxTrades = 256
	// maxOfNetwork bounds those of one client's network, so that who sends many unknown keys leaves room for others.
	maxOfNetwork = 64
)

// places are those of the trades that run now.
type places struct {
	mu    sync.Mutex
	taken int
	of    map[string]int // by network; one that has none is not here
}

// take takes a place for a client of the network; false: there is none for it.
func (p *places) take(network string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= maxTrades || p.of[network] >= maxOfNetwork {
		return false
	}
	if p.of == nil {
		p.of = map[string]int{}
	}
	p.taken++
	p.of[network]++
	return true
}

func (p *places) leave(network string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.of[network]--; p.of[network] == 0 {
		delete(p.of, network)
	}
}
