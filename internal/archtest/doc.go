// Package archtest contains the tests that enforce the import rules (DESIGN section 3). It has no code of its own.
package archtest
