package twofactor

import (
	"io"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
)

// PreviewMessages writes every message that the service sends, with sample data. dir has templates that replace built-in ones; "" for none. issuer is the
// sender that the messages name.
func PreviewMessages(out io.Writer, dir, issuer string) error {
	templates, err := delivery.LoadTemplates(dir, issuer)
	if err != nil {
		return err
	}
	return templates.Preview(out)
}
