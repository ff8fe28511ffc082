// Package problems embeds the pages that explain the codes of problems: one Markdown file for each code of package problem's table, which people read here
// and the gateway serves at /problems/<code>.
package problems

import "embed"

// Files holds <code>.md for every code.
//
//go:embed *.md
var Files embed.FS
