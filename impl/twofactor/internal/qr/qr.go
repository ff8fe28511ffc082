// Package qr draws a text as a QR code, as PNG and as SVG.
package qr

import (
	"fmt"
	"strconv"
	"strings"

	"rsc.io/qr"
)

const (
	// pixels is the edge of one module in the PNG: a code of 53 modules becomes 366 pixels wide.
	pixels = 6
	// quiet is the white border in modules that ISO/IEC 18004, section 9.1 asks for.
	quiet = 4
)

// Code is the matrix of one text.
type Code struct{ matrix *qr.Code }

// Encode makes the QR code of text with 15 % of error correction (level M). It fails when the text is too long.
func Encode(text string) (*Code, error) {
	matrix, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("encode qr code: %w", err)
	}
	matrix.Scale = pixels
	return &Code{matrix: matrix}, nil
}

// Size returns the number of modules on an edge, without the border.
func (c *Code) Size() int { return c.matrix.Size }

// Black reports whether the module in column x and row y is black.
func (c *Code) Black(x, y int) bool { return c.matrix.Black(x, y) }

// PNG returns the picture with its border.
func (c *Code) PNG() []byte { return c.matrix.PNG() }

// SVG returns the picture with its border as one path on white, without script, style or outside reference. It scales to
// whatever size it is shown at.
func (c *Code) SVG() []byte {
	edge := strconv.Itoa(c.Size() + 2*quiet)
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + edge + ` ` + edge +
		`" width="` + strconv.Itoa((c.Size()+2*quiet)*pixels) + `" height="` + strconv.Itoa((c.Size()+2*quiet)*pixels) +
		`" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h` + edge + `v` + edge + `H0z"/><path fill="#000" d="`)
	for y := range c.Size() {
		c.row(&b, y)
	}
	b.WriteString(`"/></svg>`)
	return []byte(b.String())
}

// row writes one rectangle for each run of black modules.
func (c *Code) row(b *strings.Builder, y int) {
	for x := 0; x < c.Size(); x++ {
		run := 0
		for c.Black(x+run, y) {
			run++
		}
		if run == 0 {
			continue
		}
		fmt.Fprintf(b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
		x += run
	}
}
