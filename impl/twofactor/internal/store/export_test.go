package store

// ForgetOne is the statement whose plan a test looks at.
const ForgetOne = forgetOne
