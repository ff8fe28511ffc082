package contract

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// decimal is a number exactly as its literal says: 0.digits times ten to the power of exponent.
type decimal struct {
	negative bool
	digits   string // without leading and trailing zeros; "" is zero
	exponent int
}

// newDecimal parses a literal that numberLiteral accepts and that fits a float64, so that the exponent is small.
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

// short is a number of few digits: mantissa divided by ten to the power of scale. Comparing two of them allocates nothing.
type short struct {
	mantissa int64
	scale    int
}

// shortDigits is the maximum number of digits of a short number. Up to this many digits, a decimal and its float64 determine each other.
const shortDigits = 15

// newShort parses a literal that numberLiteral accepts. It returns false when the literal has an exponent or too many digits.
func newShort(literal string) (short, bool) {
	if len(literal) > shortDigits {
		return short{}, false
	}
	var n short
	point := false
	for i := range len(literal) {
		switch c := literal[i]; {
		case isDigit(c):
			n.mantissa = n.mantissa*10 + int64(c-'0')
			if point {
				n.scale++
			}
		case c == '.':
			point = true
		case c != '-':
			return short{}, false
		}
	}
	if literal[0] == '-' {
		n.mantissa = -n.mantissa
	}
	return n, true
}

// aligned returns two mantissas with the same scale, or false when they would be too large.
func aligned(a, b short) (x, y int64, ok bool) {
	for ; a.scale < b.scale; a.scale++ {
		if a.mantissa > math.MaxInt64/10 || a.mantissa < math.MinInt64/10 {
			return 0, 0, false
		}
		a.mantissa *= 10
	}
	for ; b.scale < a.scale; b.scale++ {
		if b.mantissa > math.MaxInt64/10 || b.mantissa < math.MinInt64/10 {
			return 0, 0, false
		}
		b.mantissa *= 10
	}
	return a.mantissa, b.mantissa, true
}

// exact is a number of the contract, such as a bound, prepared for comparisons.
type exact struct {
	decimal
	float   float64
	short   short
	isShort bool
}

// newExact returns the shortest decimal that parses to f: what the contract's author wrote.
func newExact(f float64) exact {
	e := exact{decimal: floatDecimal(f), float: f}
	e.short, e.isShort = newShort(strconv.FormatFloat(f, 'f', -1, 64))
	return e
}

// newExactLiteral returns the number of a literal that numberLiteral accepts and that is in range.
func newExactLiteral(literal string) exact {
	e := exact{decimal: newDecimal(literal)}
	e.float, _ = strconv.ParseFloat(literal, 64)
	e.short, e.isShort = newShort(literal)
	return e
}

// compare compares a literal in range with e both exactly and rounded to float64, as other programs read it. low and high mean that it is below or
// above e in either way; same that it equals e in either way.
func (e *exact) compare(literal string) (low, same, high bool) {
	if n, ok := newShort(literal); ok && e.isShort {
		if x, y, ok := aligned(n, e.short); ok {
			return x < y, x == y, x > y
		}
	}
	float, _ := strconv.ParseFloat(literal, 64)
	size := newDecimal(literal).compare(e.decimal)
	return size < 0 || float < e.float, size == 0 || float == e.float, size > 0 || float > e.float
}

// divides reports whether a literal in range is an exact integer multiple of e.
func (e *exact) divides(literal string) bool {
	if n, ok := newShort(literal); ok && e.isShort && e.short.mantissa > 0 {
		if x, y, ok := aligned(n, e.short); ok {
			return x%y == 0
		}
	}
	return newDecimal(literal).multipleOf(e.decimal)
}

// floatDecimal returns the shortest decimal that parses to f: what the contract's author wrote.
func floatDecimal(f float64) decimal { return newDecimal(strconv.FormatFloat(f, 'e', -1, 64)) }

// compare returns -1 when d is less than other, 0 when they are equal, and 1 when d is greater.
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

// maxScale bounds the work of multipleOf: the largest number computed is ten to this power.
const maxScale = 700

// multipleOf reports whether d is an exact integer multiple of step.
func (d decimal) multipleOf(step decimal) bool {
	if step.sign() <= 0 {
		return false
	}
	if d.sign() == 0 {
		return true
	}
	// Scale both to integers by the smaller exponent of their last digits.
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
