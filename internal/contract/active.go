package contract

import (
	"mime"
	"slices"
	"strings"
)

// activeTypes are the media types of documents in which a browser runs scripts or styles.
var activeTypes = []string{
	"text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "text/xsl", "text/css", "multipart/x-mixed-replace",
	"application/pdf", "application/x-shockwave-flash", "application/java-archive", "application/wasm", "text/cache-manifest",
}

// Active reports whether a browser may execute content of this Content-Type. A type that cannot be parsed counts as active. A missing one does not,
// because the gateway forbids browsers to sniff.
func Active(contentType string) bool {
	if contentType == "" {
		return false
	}
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil || strings.Contains(contentType, ",") { // browsers take the last of several
		return true
	}
	return slices.Contains(activeTypes, name) || strings.HasSuffix(name, "+xml") || strings.Contains(name, "javascript") || strings.Contains(name, "ecmascript") ||
		strings.Contains(name, "jscript") || strings.Contains(name, "livescript")
}
