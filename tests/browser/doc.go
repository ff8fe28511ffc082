// Package browser proves in a real Chromium what a browser makes of what adopted services answer: nothing of it acts in the origin of the family's own
// pages. It is built with the tag browser only, because it needs more than Go:
//
//	make browser
//
// CHROMIUM names the program; the default is "chromium", and without one the tests fail.
package browser
