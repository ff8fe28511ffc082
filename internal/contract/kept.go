package contract

// Kept returns the value that owner stores with the operation; the first call makes it with first. The value lives as long as the operation, so when
// contracts are reloaded nothing is kept of the old ones. owner must be a pointer. Kept is safe for concurrent use; first may be called more than
// once, and only one of its results is used.
func Kept[T any](op *Operation, owner any, first func() T) T {
	if known, ok := op.kept.Load(owner); ok {
		return known.(T)
	}
	known, _ := op.kept.LoadOrStore(owner, first())
	return known.(T)
}
