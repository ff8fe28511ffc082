// Package archtest holds the tests that keep who may import whom (DESIGN section 3). It has no code of its own.
package archtest
