// Package tried says in an error what was tried. It is deferred at the door of a package, so that no error leaves it bare:
//
//	func (s *Keys) Revoke(ctx context.Context, id string) (err error) {
//		defer tried.To(&err, "revoke key")
package tried

import "fmt"

// To puts what was tried before *err and wraps it, unless it is nil.
func To(err *error, what string) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", what, *err)
	}
}
