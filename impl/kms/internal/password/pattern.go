package password

// steps offers the runs of equal steps that begin at i, such as 123456, 90123, zyxw and 2468.
func (s *split) steps(i int) {
	if i+2 >= len(s.text) {
		return
	}
	step := distance(s.text[i], s.text[i+1])
	if step == 0 || step < -5 || step > 5 {
		return
	}
	bits, shortest := stepBits, 3
	if step != 1 && step != -1 {
		bits, shortest = strideBits, 4
	}
	for j := i + 2; j < len(s.text) && distance(s.text[j-1], s.text[j]) == step; j++ {
		if j+1-i >= shortest {
			s.piece(i, j+1, bits, pattern)
		}
	}
}

// distance returns the step between two characters; 0 follows 9.
func distance(a, b rune) rune {
	switch {
	case a == '9' && b == '0':
		return 1
	case a == '0' && b == '9':
		return -1
	}
	return b - a
}

// walks offers the runs over adjacent keys that begin at i, such as qwerty, 1qaz and 1q2w3e.
func (s *split) walks(i int) {
	for _, keys := range keyboards {
		turns, last := 0, key{}
		for j := i + 1; j < len(s.text); j++ {
			way, ok := keys.way(s.text[j-1], s.text[j])
			if !ok {
				break
			}
			if j > i+1 && way != last {
				turns++
			}
			last = way
			if j+1-i >= 4 {
				s.piece(i, j+1, walkBits+turnBits*float64(turns), pattern)
			}
		}
	}
}

// key is a position on a keyboard, or the step from one key to an adjacent one.
type key struct{ row, column int }

type keyboard map[rune]key

// way returns the step between two adjacent keys; false if they are not adjacent. Each row is half a key to the right of the one above.
func (k keyboard) way(a, b rune) (key, bool) {
	from, ok := k[a]
	if !ok {
		return key{}, false
	}
	to, ok := k[b]
	if !ok {
		return key{}, false
	}
	switch way := (key{to.row - from.row, to.column - from.column}); way {
	case key{0, 1}, key{0, -1}, key{1, 0}, key{1, -1}, key{-1, 0}, key{-1, 1}:
		return way, true
	}
	return key{}, false
}

var keyboards = []keyboard{
	layout("1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./").with("!@#$%^&*()_+", "QWERTYUIOP{}", `ASDFGHJKL:"`, "ZXCVBNM<>?"),
	layout("1234567890", "qwertzuiop", "asdfghjkl", "yxcvbnm"),
	layout("1234567890", "azertyuiop", "qsdfghjklm", "wxcvbn"),
	layout("1234567890", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
}

func layout(rows ...string) keyboard {
	return keyboard{}.with(rows...)
}

// with adds rows, the top one first, to the existing ones.
func (k keyboard) with(rows ...string) keyboard {
	for row, keys := range rows {
		for column, r := range []rune(keys) {
			k[r] = key{row, column}
		}
	}
	return k
}

// dates offers the years and dates that begin at i.
func (s *split) dates(i int) {
	if y, ok := s.number(i, 4); ok && y >= 1900 && y < 2100 {
		s.piece(i, i+4, yearBits, pattern)
	}
	for _, f := range dateForms {
		if s.date(i, f.text) {
			s.piece(i, i+len(f.text), f.bits, pattern)
		}
	}
}

// The forms of a date. A dot stands for any mark between the numbers.
var dateForms = []struct {
	text string
	bits float64
}{
	{"ddmmyy", dateBits}, {"mmddyy", dateBits}, {"yymmdd", dateBits},
	{"ddmmyyyy", longDateBits}, {"mmddyyyy", longDateBits}, {"yyyymmdd", longDateBits},
	{"dd.mm.yy", longDateBits}, {"mm.dd.yy", longDateBits}, {"yy.mm.dd", longDateBits},
	{"dd.mm.yyyy", longDateBits}, {"mm.dd.yyyy", longDateBits}, {"yyyy.mm.dd", longDateBits},
	{"d.m.yyyy", longDateBits}, {"d.mm.yyyy", longDateBits}, {"dd.m.yyyy", longDateBits},
}

// date reports whether the text at i is a date of the form.
func (s *split) date(i int, form string) bool {
	if i+len(form) > len(s.text) {
		return false
	}
	for at := 0; at < len(form); {
		if form[at] == '.' {
			if !isMark(s.text[i+at]) {
				return false
			}
			at++
			continue
		}
		width := 1
		for at+width < len(form) && form[at+width] == form[at] {
			width++
		}
		v, ok := s.number(i+at, width)
		switch {
		case !ok, form[at] == 'd' && (v < 1 || v > 31), form[at] == 'm' && (v < 1 || v > 12), width == 4 && (v < 1900 || v > 2099):
			return false
		}
		at += width
	}
	return true
}

func isMark(r rune) bool {
	return r == '.' || r == '-' || r == '/' || r == '_' || r == ' '
}

// number reads a decimal number with width digits at i.
func (s *split) number(i, width int) (int, bool) {
	if i+width > len(s.text) {
		return 0, false
	}
	v := 0
	for _, r := range s.text[i : i+width] {
		if r < '0' || r > '9' {
			return 0, false
		}
		v = 10*v + int(r-'0')
	}
	return v, true
}
