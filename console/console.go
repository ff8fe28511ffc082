// Package console holds the pages that people use in a browser. It knows nothing of the services. Who serves a page says where (the pages of second
// factors and of web apps name their files below /twofactor/v1/assets, the console below /console), and sends the headers that belong to it.
//
// page/ has the page of second factors and what all pages share: HTML, style, and ES modules as they are served, without a framework or a build step.
// page/signin.js is the sign-in of every page: a module that a later page imports as this one does.
//
// dist/ is the console as `make console` builds it from app/. It is committed, so that nothing but Go is needed to build the binary.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"path"
)

// CSP is the Content-Security-Policy that belongs on the page: everything is of its own origin, pictures may be made in the page (QR codes), no form
// is sent by the browser itself, no text becomes markup, and the page is nobody's frame.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

//go:embed page dist
var files embed.FS

// The pages. Each is served by itself, and not as a file of a page.
const (
	enrolment     = "enroll.html"    // where people manage their second factors
	authorization = "authorize.html" // where people sign in at a web app
	signOut       = "signout.html"   // where a web app signs people out
	passwordReset = "reset.html"     // where people choose a new password with a reset token
	consolePage   = "console.html"   // in dist
)

// File is a file as it is served.
type File struct {
	Content   []byte
	MediaType string // without parameters
	ETag      string // quoted (RFC 9110, section 8.8.3): a hash of the content
}

// mediaTypes are those of the files by their extension. A file with another is not served.
var mediaTypes = map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}

// served are all files of the page of second factors by their names, built those of the console.
var served, built = read("page"), read("dist")

// read returns the embedded files of a folder by their names.
func read(folder string) map[string]File {
	entries, err := files.ReadDir(folder)
	if err != nil {
		panic(err) // the folder is embedded
	}
	out := make(map[string]File, len(entries))
	for _, entry := range entries {
		content, err := files.ReadFile(path.Join(folder, entry.Name()))
		mediaType, known := mediaTypes[path.Ext(entry.Name())]
		if err != nil || !known {
			continue
		}
		sum := sha256.Sum256(content)
		out[entry.Name()] = File{Content: content, MediaType: mediaType, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`}
	}
	return out
}

// EnrolmentPage returns the page where people manage their second factors. Its policy is CSP.
func EnrolmentPage() File { return served[enrolment] }

// AuthorizationPage returns the page where people sign in at a web app. Its policy is CSP.
func AuthorizationPage() File { return served[authorization] }

// SignOutPage returns the page where a web app signs people out. Its policy is CSP.
func SignOutPage() File { return served[signOut] }

// PasswordResetPage returns the page where people choose a new password with a reset token. Its policy is CSP.
func PasswordResetPage() File { return served[passwordReset] }

// Asset returns a file that a page loads; false where there is none of that name.
func Asset(name string) (File, bool) {
	file, ok := served[name]
	return file, ok && file.MediaType != mediaTypes[".html"]
}

// Page returns the console. Its policy is CSP.
func Page() File { return built[consolePage] }

// PageAsset returns a file that the console loads: one of its own or one that all pages share; false where there is none of that name.
func PageAsset(name string) (File, bool) {
	if file, ok := built[name]; ok {
		return file, name != consolePage
	}
	return Asset(name)
}
