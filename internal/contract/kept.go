package contract

// Kept returns what owner keeps beside the operation, which first makes at its first call. It goes with the operation: who reads contracts anew
// while it runs keeps nothing of those before. owner is a pointer. Kept is safe for concurrent use; first may be called more than once, and one
// of its results counts.
func Kept[T any](op *Operation, owner any, first func() T) T {
	if known, ok := op.kept.Load(owner); ok {
		return known.(T)
	}
	known, _ := op.kept.LoadOrStore(owner, first())
	return known.(T)
}
