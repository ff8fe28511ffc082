package contract

import (
	"math/big"
	"strconv"
	"strings"
)

// decimal is a number as its literal says it, without rounding: 0.digits times ten to the power of exponent.
type decimal struct {
	negative bool
	digits   string // without leading and trailing zeros; "" is zero
	exponent int
}

// newDecimal reads a literal that numberLiteral accepts and that fits a float64, so that the exponent is small.
func newDecimal(literal string) decimal {
	var d decimal
	literal, d.negative = strings.CutPrefix(literal, "-")
	mantissa, exponent := literal, 0
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		mantissa = literal[:i]
		exponent, _ = strconv.Atoi(literal[i+1:]) // an overflow means a mantissa of zeros or an underflow to zero
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	trimmed := strings.TrimLeft(digits, "0")
	d.exponent = exponent + len(whole) - (len(digits) - len(trimmed))
	if d.digits = strings.TrimRight(trimmed, "0"); d.digits == "" {
		return decimal{}
	}
	return d
}

// floatDecimal returns the shortest decimal that reads back as f: what the contract's author wrote.
func floatDecimal(f float64) decimal { return newDecimal(strconv.FormatFloat(f, 'e', -1, 64)) }

// compare returns -1, 0 or 1.
func (d decimal) compare(other decimal) int {
	a, b := d.sign(), other.sign()
	if a != b || a == 0 {
		return cmpInt(a, b)
	}
	size := cmpInt(d.exponent, other.exponent)
	if size == 0 {
		size = strings.Compare(d.digits, other.digits)
	}
	return size * a
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}

func cmpInt(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// maxScale bounds the work of multipleOf: ten to this power is the largest number that is made.
const maxScale = 700

// multipleOf reports whether d is a whole multiple of step, exactly.
func (d decimal) multipleOf(step decimal) bool {
	if step.sign() <= 0 {
		return false
	}
	if d.sign() == 0 {
		return true
	}
	// Both as integers times ten to the smaller of the two last places.
	placeD, placeS := d.exponent-len(d.digits), step.exponent-len(step.digits)
	shift := placeD - placeS
	if shift > maxScale || shift < -maxScale {
		return false
	}
	n, s := d.integer(), step.integer()
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(abs(shift))), nil)
	if shift > 0 {
		n.Mul(n, scale)
	} else {
		s.Mul(s, scale)
	}
	return n.Rem(n, s).Sign() == 0
}

func (d decimal) integer() *big.Int {
	n, _ := new(big.Int).SetString(d.digits, 10)
	return n
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
