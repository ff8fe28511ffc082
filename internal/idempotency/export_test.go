package idempotency

// ReleaseOne is the statement whose plan a test looks at.
const ReleaseOne = releaseOne
