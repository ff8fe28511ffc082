package store

// Named has plans name so many elements one by one at most.
func (s *Store) Named(n int) { s.named = n }

// Steps has the transactions of the order write so many elements at most.
func (o *Order) Steps(n int) { o.step = n }
