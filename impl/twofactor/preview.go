package twofactor

import (
	"io"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
)

// PreviewMessages writes every message in which codes are sent, with a sample code. dir has templates that replace built-in ones; "" is none. issuer is what
// the messages name as their sender.
func PreviewMessages(out io.Writer, dir, issuer string) error {
	templates, err := delivery.LoadTemplates(dir, issuer)
	if err != nil {
		return err
	}
	return templates.Preview(out)
}
