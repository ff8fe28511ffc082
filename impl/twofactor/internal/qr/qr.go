// Package qr draws a text as a QR code, as PNG and as SVG.
package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// quiet is the width in modules of the white border that ISO/IEC 18004, section 9.1 requires.
const quiet = 4

// Code is the matrix of one text.
type Code struct{ matrix *qr.Code }

// Encode makes the QR code of text with 15 % of error correction (level M). It fails when the text is too long.
func Encode(text string) (*Code, error) {
	matrix, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("encode qr code: %w", err)
	}
	return &Code{matrix: matrix}, nil
}

// Size returns the number of modules on an edge, without the border.
func (c *Code) Size() int { return c.matrix.Size }

// Black reports whether the module in column x and row y is black.
func (c *Code) Black(x, y int) bool { return c.matrix.Black(x, y) }

// PNG returns the picture with its border. Each module has the same whole number of pixels, at least one. Apart from that the edge is at most edge pixels long.
func (c *Code) PNG(edge int) ([]byte, error) {
	scale := max(1, edge/(c.Size()+2*quiet))
	size := (c.Size() + 2*quiet) * scale
	picture := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	for y := range size {
		for x := range size {
			if c.Black(x/scale-quiet, y/scale-quiet) {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		return nil, fmt.Errorf("encode picture: %w", err)
	}
	return out.Bytes(), nil
}

// SVG returns the picture with its border as one path on white, without script, style or external references. size is the length of its edge in pixels, unless the page says
// otherwise.
func (c *Code) SVG(size int) []byte {
	edge := strconv.Itoa(c.Size() + 2*quiet)
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + edge + ` ` + edge +
		`" width="` + strconv.Itoa(size) + `" height="` + strconv.Itoa(size) +
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
