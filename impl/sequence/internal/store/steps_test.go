package store

// Named sets how many elements a plan lists one by one at most.
func (s *Store) Named(n int) { s.named = n }

// Steps sets how many elements a transaction of the order writes at most.
func (o *Order) Steps(n int) { o.step = n }
