// Package tried adds to an error what was tried. It is deferred in the exported methods of a package, so that no error leaves it without context:
//
//	func (s *Keys) Revoke(ctx context.Context, id string) (err error) {
//		defer tried.To(&err, "revoke key")
package tried

import "fmt"

// To wraps *err with what was tried, unless it is nil.
func To(err *error, what string) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", what, *err)
	}
}
