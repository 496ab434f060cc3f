package config

import (
	"strings"
	"unicode"
)

// slug is Laravel's Str::slug for prefixes: lower case; "-" and "_" and runs of
// white space become the separator; "@" becomes the word at; accents are
// dropped and Cyrillic and Greek letters are spelled in Latin ones; every other
// character goes, so that an application named 制造执行 has the slug "".
func slug(s string, sep rune) string {
	s = ascii(s)
	other := '-'
	if sep == '-' {
		other = '_'
	}
	s = strings.ReplaceAll(s, string(other), string(sep))
	s = strings.ReplaceAll(s, "@", string(sep)+"at"+string(sep))
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r == sep, phpSpaceRune(r):
			if !strings.HasSuffix(b.String(), string(sep)) {
				b.WriteRune(sep)
			}
		case r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		}
	}
	return strings.Trim(b.String(), string(sep))
}

func phpSpaceRune(r rune) bool { return r < 0x80 && phpSpace(byte(r)) }

// ascii spells letters beyond ASCII as Laravel does for names, as far as
// alphabets of Europe go; what it doesn't know is dropped.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		b.WriteString(spell(r))
	}
	return b.String()
}

// slugWarning warns where the prefixes hold letters that Laravel may spell in
// another way than Spool does.
func (l *loader) slugWarning(cfg *Config) {
	if l.version == (Version{}) {
		return
	}
	for _, r := range cfg.App.Name {
		if r < 0x80 || !unicode.IsLetter(r) || spell(r) != "" || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Hebrew) {
			continue
		}
		for _, key := range []string{"database.redis.options.prefix", "cache.prefix"} {
			if cfg.Source(key).Kind == FromDefault {
				l.warn(key, cfg.Source(key), "is made from an application name with letters that Laravel may spell otherwise: set REDIS_PREFIX and CACHE_PREFIX")
			}
		}
		return
	}
}

// spellings says how Laravel spells letters beyond ASCII in names: each line is
// the spelling and the letters that have it.
const spellings = `
- –—
1 ¹
2 ²
3 ³
A ÀÁÂÃÄÅĀĂĄΆΑАẠẢẤẦẨẪẬẮẰẲẴẶ
AE Æ
B ΒБ
C ÇĆĈĊČЋЦЧ
D ÐĎĐΔД
Dj Ђ
Dz ЅЏ
E ÈÉÊËĒĔĖĘĚΈΕЁЕЭẸẺẼẾỀỂỄỆ
EUR €
F ΦФ
G ĜĞĠĢΓГҐ
Gj Ѓ
H ĤĦΗ
I ÌÍÎÏĨĪĬĮİΉΊΙΪІИỈỊ
IJ Ĳ
Ia Я
Ie Ъ
Iu Ю
J Ĵ
Je Є
K ΚК
Kj Ќ
Ks Ξ
L ĹĻĽĿŁΛЛ
Lj Љ
M ΜМ
N ÑŃŅŇŊΝН
Nj Њ
O ÒÓÔÕÖØŌŎŐΌΟΩОỌỎỐỒỔỖỘỚỜỞỠỢ
OE Œ
P ΠП
PS £
Ps Ψ
R ŔŖŘΡР
S ŚŜŞŠȘΣСШ
SS ẞ
Shh Щ
T ŢŤŦȚΤТ
TH Þ
Th Θ
U ÙÚÛÜŨŪŬŮŰŲУỤỦỨỪỬỮỰ
V В
W ŴΏẀẂẄ
X ΧХ
Y ÝŶŸΎΥΫЫỲỴỶỸ
YEN ¥
Yi Ї
Z ŹŻŽΖЖЗ
a ªàáâãäåāăąάαаạảấầẩẫậắằẳẵặ
ae æ
b б
c ¢çćĉċčцчћ
d ðďđδд
dj ђ
dz ѕџ
e èéêëēĕėęěέεеэёẹẻẽếềểễệ
f φф
g ĝğġģгґ
gh γ
gj ѓ
h ĥħ
i ìíîïĩīĭįıΐήίηιυϊЙийіỉị
ia я
ie ъ
ij ĳ
iu ю
j ĵЈј
je є
k Ķķĸκк
kh χ
kj ќ
ks ξ
l ĺļľŀłλл
lj љ
m μм
n ñńņňŉŋνн
nj њ
o ºòóôõöøōŏőοωόоọỏốồổỗộớờởỡợ
oe œ
p πп
ps ψ
r ŕŗřρр
s śŝşšſșςσсш
shh щ
ss ß
t ţťŧțτт
th þθ
u ùúûüũūŭůűųуụủứừửữự
v βв
w ŵώẁẃẅ
x х
y ýÿŷΰϋύыỳỵỷỹ
yi ї
z źżžζжз
`

// spell returns the Latin spelling of a letter, "" if it has none.
func spell(r rune) string {
	for line := range strings.Lines(spellings) {
		if s, letters, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok && strings.ContainsRune(letters, r) {
			return s
		}
	}
	return ""
}
