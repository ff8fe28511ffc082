// Package browser proves in a real Chromium what a browser makes of what adopted services answer: nothing of it acts in the origin of the family's own
// pages; that people can sign in and manage their second factors on the family's page, with passkeys of a virtual authenticator; and that the console does every write
// that it offers, by a second factor where one is asked for, and shows what is refused; and that every page stays where it is on a reload. No browser asks another origin than the test names, and no page
// violates its policy, by construction (docs/decisions/0049). People's stories run behind a Caddy with the project's Caddyfile, by HTTPS; those about what strangers' services answer, and about codes that
// telephones read, run at the gateway itself: over HTTP nothing but its own checks is between the two, such as the browser's rule on mixed content. It is built with the tag
// browser only, because it needs more than Go:
//
//	make browser
//
// CADDY names the Caddy. SCREENSHOTS names a folder for pictures of each step of the page. CHROMIUM names the program; the default is "chromium", and without one the tests fail.
package browser
