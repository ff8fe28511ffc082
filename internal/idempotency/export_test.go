package idempotency

// LookFor is the statement whose plan a test looks at.
var LookFor = lookFor
