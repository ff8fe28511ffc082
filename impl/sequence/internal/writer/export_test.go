package writer

// Between has a function called before each transaction of a long reorder. Call it before the first.
func (w *Writer) Between(do func()) { w.between = do }
