package apikey

import "sync"

const (
	// maxTrades bounds the concurrent exchanges of keys.
	maxTrades = 256
	// maxOfNetwork bounds those of one client network, so that a client with many unknown keys leaves room for others.
	maxOfNetwork = 64
)

// places counts the running exchanges.
type places struct {
	mu    sync.Mutex
	taken int
	of    map[string]int // by network; only those with running exchanges
}

// take counts an exchange for a client of the network; false when a limit is reached.
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
