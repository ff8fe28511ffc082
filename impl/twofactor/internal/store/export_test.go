package store

// ForgetOne is the statement whose query plan a test checks.
const ForgetOne = forgetOne
