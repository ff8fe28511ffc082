package adoption

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
)

// check refuses drafts that are invalid whatever the document says, with domain.ValidationFailed, and sorts files and lists.
func (d *Draft) check() error {
	d.Files, d.Public, d.Upstreams = slices.Clone(d.Files), sorted(d.Public), unique(d.Upstreams)
	slices.SortFunc(d.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	if err := checkFiles(d.Document); err != nil {
		return err
	}
	if d.Shadow {
		if len(d.Upstreams) > 0 || d.ActiveContent {
			return invalidDraft("/shadow", "exclusive", "can't be combined with upstreams and activeContent, which belong to the live document")
		}
		return nil
	}
	if len(d.Upstreams) == 0 {
		return invalidDraft("/upstreams", "required", "is required: it says where the service listens")
	}
	for _, upstream := range d.Upstreams {
		if !address(upstream) {
			return invalidDraft("/upstreams", "format", "must be http://host:port or https://host:port, with a port from 1 to 65535")
		}
	}
	return nil
}

func checkFiles(d Document) error {
	size, found := 0, false
	for i, f := range d.Files {
		if i > 0 && f.Name == d.Files[i-1].Name {
			return invalidDraft("/files", "unique", "contains two files with the same name")
		}
		if strings.ContainsFunc(f.Text, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }) {
			return invalidDraft("/files", "text", "contains a file with control characters")
		}
		found = found || f.Name == d.File
		size += len(f.Text)
	}
	if !found {
		return invalidDraft("/file", "enum", "is not the name of one of the files")
	}
	if size > MaxText {
		return invalidDraft("/files", "maxLength", "has more than 8 MiB")
	}
	text, err := json.Marshal(d.Files)
	if err != nil || len(text) > maxAnswer {
		return invalidDraft("/files", "maxLength", "has more than 12 MiB as JSON").Because(err)
	}
	return nil
}

func invalidDraft(pointer, rule, message string) *domain.Refusal {
	return domain.Refuse(domain.ValidationFailed, "The contract is not valid.").WithField("body", pointer, rule, message)
}

// address reports whether an upstream consists of a scheme, a host and a port only.
func address(upstream string) bool {
	u, err := url.Parse(upstream)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Scheme+"://"+u.Host != upstream {
		return false
	}
	port, err := strconv.Atoi(u.Port())
	return err == nil && port >= 1 && port <= 65535
}

func sorted(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

// unique removes duplicates and keeps the order.
func unique(words []string) []string {
	var out []string
	for _, w := range words {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}
