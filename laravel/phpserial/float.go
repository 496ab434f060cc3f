package phpserial

import (
	"math"
	"strconv"
)

// AppendFloat appends f as PHP writes it with serialize_precision -1: the
// fewest digits that read back as f (17 at most), plain from 1e-4 to below
// 1e17 and like 1.0E+25 beyond, INF, -INF, NAN, and -0 for negative zero.
func AppendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NAN"...)
	case math.IsInf(f, 1):
		return append(dst, "INF"...)
	case math.IsInf(f, -1):
		return append(dst, "-INF"...)
	case f == 0:
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	if a := math.Abs(f); a >= 1e-4 && a < 1e17 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], f, 'E', -1, 64) // -1.5E+30, 1E-07
	e := len(text) - 1
	for text[e] != 'E' {
		e--
	}
	dst = append(dst, text[:e]...)
	if text[e-1] >= '0' && text[e-1] <= '9' && (e < 2 || e == 2 && text[0] == '-') {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E', text[e+1])
	exp := text[e+2:]
	if exp[0] == '0' {
		exp = exp[1:]
	}
	return append(dst, exp...)
}
