package owner

import "errors"

// Errors of requests that concern owners and grants of collections. Nothing was changed.
var (
	ErrTaken      = errors.New("another has a collection of this name")
	ErrBusy       = errors.New("an earlier collection of this name may still be written")
	ErrGone       = errors.New("the collection does not exist")
	ErrManyGrants = errors.New("the collection has as many grants as it may have")
	ErrNoGrant    = errors.New("the collection has no such grant")
)
