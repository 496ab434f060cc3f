package config

import "strings"

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
