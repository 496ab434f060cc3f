package failed

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// binary marks a payload that is kept in base64.
const binary = "base64:"

// EncodePayload returns the text under which a payload is kept: as it is if it
// is plain text (UTF-8 without NUL), else "base64:" and its bytes in standard
// base64. So is a payload that begins with that mark itself.
func EncodePayload(body []byte) string {
	text := string(body)
	if plain(text) && !strings.HasPrefix(text, binary) {
		return text
	}
	return binary + base64.StdEncoding.EncodeToString(body)
}

// DecodePayload returns the payload that is kept under a text: the exact bytes
// that [EncodePayload] was given, and what others wrote as it is.
func DecodePayload(text string) []byte {
	if encoded, ok := strings.CutPrefix(text, binary); ok {
		if body, err := base64.StdEncoding.Strict().DecodeString(encoded); err == nil {
			return body
		}
	}
	return []byte(text)
}

func plain(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

// plainText makes a message fit for a text column.
func plainText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// narrowPayload makes an encoded payload fit for a column that takes letters
// up to last only (MySQL's old utf8 ends at U+FFFF): JSON gets \u escapes,
// which mean the same, anything else base64.
func narrowPayload(text string, last rune) string {
	if fits(text, last) {
		return text
	}
	if !json.Valid([]byte(text)) {
		return binary + base64.StdEncoding.EncodeToString([]byte(text))
	}
	return escape(text, last, func(b *strings.Builder, r rune) {
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			fmt.Fprintf(b, `\u%04x\u%04x`, r1, r2)
			return
		}
		fmt.Fprintf(b, `\u%04x`, r)
	})
}

// narrowText is narrowPayload for messages, which are only read by people.
func narrowText(text string, last rune) string {
	if fits(text, last) {
		return text
	}
	return escape(text, last, func(b *strings.Builder, r rune) { fmt.Fprintf(b, `\u{%x}`, r) })
}

func fits(text string, last rune) bool {
	return last >= utf8.MaxRune || !strings.ContainsFunc(text, func(r rune) bool { return r > last })
}

func escape(text string, last rune, write func(*strings.Builder, rune)) string {
	var b strings.Builder
	b.Grow(len(text) + 64)
	for _, r := range text {
		if r > last {
			write(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
