// Package docsui has the gateway's start page and its documentation page. The documentation page uses Swagger UI from the npm package swagger-ui-dist
// (dist/, refreshed by `make docs-ui`, never edited) with our own page and scripts (page/). Everything is embedded and served from the gateway's origin. The
// pages have no inline scripts or styles, so that the CSP can be strict. Sign-in uses the shared modules of package console, which are served beside the
// pages' own.
//
// The documentation page reads /openapi/<word>.yaml of every service, and /openapi/common.yaml, which the contracts reference.
package docsui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/fountainai/fountain/console"
)

// CSP is the Content-Security-Policy of the pages. Swagger UI works with it: its styles are in one file or set by script, its images are data: URLs in
// that file, and its requests (contracts, Try it out) go to its own origin.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed dist page
var files embed.FS

// folders are the places of the embedded files, by the names that they are served under. Names of licences are in lower case, as the contract requires for all
// names.
var folders = map[string]string{
	"swagger-ui.css":       "dist/swagger-ui.css.gz",
	"swagger-ui-bundle.js": "dist/swagger-ui-bundle.js.gz",
	"favicon-32x32.png":    "dist",
	"license.txt":          "dist/LICENSE",
	"notice.txt":           "dist/NOTICE",
	"license-bundle.txt":   "dist/swagger-ui-bundle.js.LICENSE.txt",
	"index.html":           "page",
	"start.html":           "page",
	"init.js":              "page",
	"refusals.js":          "page",
	"services.js":          "page",
	"account.js":           "page",
	"start.js":             "page",
	"tryit.js":             "page",
	"page.css":             "page",
	"favicon.ico":          "page",
	"unknown.html":         "page",
}

var mediaTypes = map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain"}

// File is a file as it is served.
type File struct {
	Content   []byte
	MediaType string // without parameters
	ETag      string // quoted (RFC 9110, section 8.8.3): a hash of the content
}

// served has all files by name. They are unpacked when the first one is requested: most processes serve none.
var served = sync.OnceValue(read)

func read() map[string]File {
	out := make(map[string]File, len(folders))
	for name, where := range folders {
		if !strings.Contains(where, "/") {
			where = path.Join(where, name)
		}
		content, err := unpacked(where)
		if err != nil {
			panic(err) // it is embedded, and a test reads all of them
		}
		sum := sha256.Sum256(content)
		out[name] = File{Content: content, MediaType: mediaTypes[path.Ext(name)], ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`}
	}
	return out
}

// unpacked returns an embedded file, decompressed if its name ends in .gz.
func unpacked(name string) ([]byte, error) {
	content, err := files.ReadFile(name)
	if err != nil || path.Ext(name) != ".gz" {
		return content, err
	}
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// StartPage returns the page at the gateway's root.
func StartPage() File { return served()["start.html"] }

// DocsPage returns the documentation page.
func DocsPage() File { return served()["index.html"] }

// UnknownPage returns the page for addresses where there is nothing.
func UnknownPage() File { return served()["unknown.html"] }

// Favicon returns the icon that browsers request when a page names none.
func Favicon() File { return served()["favicon.ico"] }

// Asset returns the file that is served under a name in /docs/; false for all other names.
func Asset(name string) (File, bool) {
	if file, ok := served()[name]; ok {
		return file, file.MediaType != "text/html" && file.MediaType != "image/x-icon"
	}
	shared, ok := console.Asset(name)
	return File(shared), ok && (shared.MediaType == "text/javascript" || name == "form.css")
}
