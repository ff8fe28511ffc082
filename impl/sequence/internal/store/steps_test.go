package store

// Steps has the transactions of the order write so many elements at most.
func (o *Order) Steps(n int) { o.step = n }
