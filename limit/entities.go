package limit

import "strings"

// entities are the characters that HTML 4.01 has names for, by the letter that
// the name begins with: PHP replaces them by it in the keys of its rate limiter
// (cleanRateLimiterKey, by way of htmlentities).
var entities = map[byte]string{
	'A': "ÀÁÂÃÄÅÆΑ",
	'B': "Β",
	'C': "ÇΧ",
	'D': "Δ‡",
	'E': "ÈÉÊËÐΕΗ",
	'G': "Γ",
	'I': "ÌÍÎÏΙ",
	'K': "Κ",
	'L': "Λ",
	'M': "Μ",
	'N': "ÑΝ",
	'O': "ÒÓÔÕÖØŒΟΩ",
	'P': "ΠΦΨ″",
	'R': "Ρ",
	'S': "ŠΣ",
	'T': "ÞΘΤ",
	'U': "ÙÚÛÜΥ",
	'X': "Ξ",
	'Y': "ÝŸ",
	'Z': "Ζ",
	'a': "&´àáâãäåæαℵ∠∧≈",
	'b': "¦β„•",
	'c': "¢¤©¸çˆχ↵∩∪≅♣",
	'd': "°÷δ†↓⇓♦",
	'e': "èéêëðεη\u2002\u2003€∃∅≡",
	'f': "ƒ⁄∀",
	'g': ">γ≥",
	'h': "…↔⇔♥",
	'i': "¡¿ìíîïιℑ∈∞∫",
	'k': "κ",
	'l': "<«λ\u200e‘“‹←⇐∗≤⌈⌊〈◊",
	'm': "¯µ·μ—−",
	'n': "\u00a0¬ñν–∇∉∋≠⊄",
	'o': "ªºòóôõöøœοω‾∨⊕⊗",
	'p': "£±¶πφψϖ‰′∂∏∝⊥",
	'q': "\"",
	'r': "®»ρ\u200f’”›ℜ→⇒√⌉⌋〉",
	's': "§\u00adßšςσ‚∑∼⊂⊃⊆⊇⋅♠",
	't': "×þ˜θτϑ\u2009™",
	'u': "¨ùúûüυϒ↑⇑",
	'w': "℘",
	'x': "ξ",
	'y': "¥ýÿ",
	'z': "ζ\u200c\u200d",
}

// numbered are those whose names hold a digit: they are kept.
var numbered = []string{"'", "&#039;", "²", "&sup2;", "³", "&sup3;", "¹", "&sup1;", "¼", "&frac14;", "½", "&frac12;", "¾", "&frac34;", "∴", "&there4;"}

// cleanKey returns the key under which PHP's rate limiter counts for another
// one.
func cleanKey(key string) string {
	if strings.IndexFunc(key, func(r rune) bool { return r >= 0x80 || strings.ContainsRune(`&<>"'`, r) }) < 0 {
		return key
	}
	pairs := make([]string, 0, 600)
	for letter, chars := range entities {
		for _, c := range chars {
			pairs = append(pairs, string(c), string(letter))
		}
	}
	return strings.NewReplacer(append(pairs, numbered...)...).Replace(key)
}
