package idempotency

// LookFor is the statement whose query plan a test checks.
var LookFor = lookFor
