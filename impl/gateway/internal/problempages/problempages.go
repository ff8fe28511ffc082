// Package problempages renders the pages about problem codes from the texts in docs/problems: as HTML for people, and as their parts for JSON.
package problempages

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/fountainai/fountain/docs/problems"
	"github.com/fountainai/fountain/internal/problem"
)

// Page is the page of one code. The texts are Markdown.
type Page struct {
	Code    problem.Code
	Meaning string
	Remedy  string
	HTML    []byte // the whole document
}

// Pages has all pages.
type Pages struct {
	List   []*Page // by status, then by code
	HTML   []byte  // the document that lists them
	byCode map[string]*Page
}

// Page returns the page of a code, or nil.
func (p *Pages) Page(code string) *Page { return p.byCode[code] }

// Load returns the pages. They are rendered on the first call; there are about 80 short ones.
var Load = sync.OnceValues(load)

func load() (*Pages, error) {
	all := &Pages{byCode: map[string]*Page{}}
	for _, code := range problem.Codes() {
		page, err := read(code)
		if err != nil {
			return nil, fmt.Errorf("page of %s: %w", code, err)
		}
		all.List, all.byCode[string(code)] = append(all.List, page), page
	}
	slices.SortFunc(all.List, func(a, b *Page) int {
		return cmp.Or(a.Code.Status()-b.Code.Status(), strings.Compare(string(a.Code), string(b.Code)))
	})
	var out bytes.Buffer
	if err := documents.ExecuteTemplate(&out, "list.html", all.List); err != nil {
		return nil, fmt.Errorf("write the list: %w", err)
	}
	all.HTML = out.Bytes()
	return all, nil
}

// The marks before the two parts of a page.
const (
	meaningMark = "**What it means.** "
	remedyMark  = "**What to do.** "
)

//go:embed page
var templates embed.FS

var documents = template.Must(template.ParseFS(templates, "page/*.html"))

// markdown omits raw HTML and script links, which is goldmark's default.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table))

func read(code problem.Code) (*Page, error) {
	text, err := problems.Files.ReadFile(string(code) + ".md")
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	_, body, found := strings.Cut(string(text), meaningMark)
	meaning, remedy, both := strings.Cut(body, remedyMark)
	if !found || !both {
		return nil, fmt.Errorf("it does not have the sections %q and %q", meaningMark, remedyMark)
	}
	var rendered, out bytes.Buffer
	if err := markdown.Convert(text, &rendered); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	// The template inserts the body unescaped: goldmark has already escaped it.
	err = documents.ExecuteTemplate(&out, "page.html", struct {
		Title string
		Body  template.HTML
	}{code.Title(), template.HTML(rendered.String())})
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return &Page{Code: code, Meaning: strings.TrimSpace(meaning), Remedy: strings.TrimSpace(remedy), HTML: out.Bytes()}, nil
}
