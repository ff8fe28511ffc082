// Package docsui holds the files of the documentation page: Swagger UI as the
// npm package swagger-ui-dist has it (dist/, refreshed by `make docs-ui`, never
// edited) and our own page and start script (page/). Everything is embedded
// and served from the gateway's origin; the page contains no inline script or
// style, so that CSP can be strict.
//
// The page reads /openapi/<word>.yaml of every service, and, because the
// contracts refer to it, /openapi/common.yaml.
package docsui

import (
	"embed"
	"path"
)

// CSP is the Content-Security-Policy that belongs on every answer of /docs.
// Swagger UI lives with it: its styles are one file or are set by script (but
// for its logo, which init.js replaces), its pictures are that file's data:
// URLs, and its requests (contracts, Try it out) go to its own origin.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed dist page
var files embed.FS

// assets maps the names under /docs/ to embedded files. The names of the
// licences are in small letters, as every name is that the contract allows.
var assets = map[string]string{
	"":                                "page/index.html",
	"index.html":                      "page/index.html",
	"init.js":                         "page/init.js",
	"page.css":                        "page/page.css",
	"swagger-ui.css":                  "dist/swagger-ui.css",
	"swagger-ui-bundle.js":            "dist/swagger-ui-bundle.js",
	"swagger-ui-standalone-preset.js": "dist/swagger-ui-standalone-preset.js",
	"favicon-32x32.png":               "dist/favicon-32x32.png",
	"license.txt":                     "dist/LICENSE",
	"notice.txt":                      "dist/NOTICE",
	"license-bundle.txt":              "dist/swagger-ui-bundle.js.LICENSE.txt",
	"license-standalone-preset.txt":   "dist/swagger-ui-standalone-preset.js.LICENSE.txt",
}

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".png":  "image/png",
}

// Asset returns the file that stands under a name in /docs/, and its media
// type; "" is the page itself. ok is false for every other name.
func Asset(name string) (content []byte, contentType string, ok bool) {
	file, ok := assets[name]
	if !ok {
		return nil, "", false
	}
	content, err := files.ReadFile(file)
	if err != nil {
		return nil, "", false
	}
	if contentType, ok = contentTypes[path.Ext(file)]; !ok {
		contentType = "text/plain; charset=utf-8"
	}
	return content, contentType, true
}
