package beanstalkqueue

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// The words that begin an answer of the server. Source: doc/protocol.txt of
// beanstalkd 1.12.
const (
	wordInserted   = "INSERTED"
	wordBuried     = "BURIED"
	wordUsing      = "USING"
	wordWatching   = "WATCHING"
	wordReserved   = "RESERVED"
	wordTimedOut   = "TIMED_OUT"
	wordDeadline   = "DEADLINE_SOON"
	wordDeleted    = "DELETED"
	wordReleased   = "RELEASED"
	wordTouched    = "TOUCHED"
	wordKicked     = "KICKED"
	wordFound      = "FOUND"
	wordOK         = "OK"
	wordNotFound   = "NOT_FOUND"
	wordTooBig     = "JOB_TOO_BIG"
	wordDraining   = "DRAINING"
	wordMemory     = "OUT_OF_MEMORY"
	wordInternal   = "INTERNAL_ERROR"
	wordBadFormat  = "BAD_FORMAT"
	wordUnknown    = "UNKNOWN_COMMAND"
	wordCRLF       = "EXPECTED_CRLF"
	wordNotIgnored = "NOT_IGNORED"
)

// answer is the server's answer to one command.
type answer struct {
	word string
	id   uint64 // the job, where the answer names one
	body []byte // of a job, or the text of statistics
}

// maxAnswer bounds what is allocated on the server's word; -z allows jobs of
// 1 GiB.
const maxAnswer = 1<<30 + 1<<20

// readAnswer reads one answer.
func readAnswer(r *bufio.Reader) (answer, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return answer{}, err
	}
	word, rest, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte{' '})
	a := answer{word: known(word)}
	size := -1
	switch a.word {
	case "":
		return answer{}, fmt.Errorf("this is no beanstalkd: it answered %.60q", line)
	case wordInserted, wordBuried: // a bury is answered without an id
		a.id, err = number(rest)
	case wordReserved, wordFound:
		id, bytesOf, _ := bytes.Cut(rest, []byte{' '})
		if a.id, err = number(id); err == nil {
			size, err = length(bytesOf)
		}
	case wordOK:
		size, err = length(rest)
	}
	if err != nil {
		return answer{}, fmt.Errorf("this is no beanstalkd: it answered %s with %w", a.word, err)
	}
	if size >= 0 {
		a.body, err = readBody(r, size)
	}
	return a, err
}

// bodyStep is how much is allocated for a body before that much has come.
const bodyStep = 1 << 20

// readBody reads size bytes and the end of line behind them. The slice is the
// caller's.
func readBody(r *bufio.Reader, size int) ([]byte, error) {
	body := make([]byte, 0, min(size, bodyStep))
	for len(body) < size {
		n := min(size-len(body), bodyStep)
		body = slices.Grow(body, n)[:len(body)+n]
		if _, err := io.ReadFull(r, body[len(body)-n:]); err != nil {
			return nil, err
		}
	}
	var end [2]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return nil, err
	}
	if end != [2]byte{'\r', '\n'} {
		return nil, fmt.Errorf("this is no beanstalkd: %q stands behind %d bytes of a body", end[:], size)
	}
	return body, nil
}

func number(text []byte) (uint64, error) {
	if len(text) == 0 {
		return 0, nil
	}
	return strconv.ParseUint(string(text), 10, 64)
}

func length(text []byte) (int, error) {
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err == nil && n > maxAnswer {
		err = fmt.Errorf("a length of %d bytes", n)
	}
	return int(n), err
}

// known returns the word as one of the constants, "" if it is none of them.
func known(word []byte) string {
	for _, w := range [...]string{ // the frequent ones first
		wordInserted, wordReserved, wordDeleted, wordOK, wordTouched, wordReleased, wordTimedOut, wordUsing, wordWatching,
		wordNotFound, wordDeadline, wordFound, wordBuried, wordKicked, wordTooBig, wordDraining, wordMemory, wordInternal,
		wordBadFormat, wordUnknown, wordCRLF, wordNotIgnored,
	} {
		if string(word) == w {
			return w
		}
	}
	return ""
}

// field returns the value of a line "name: value" of statistics, nil if there
// is no such line.
func field(stats []byte, name string) []byte {
	for rest := stats; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		if len(line) > len(name)+1 && line[len(name)] == ':' && string(line[:len(name)]) == name {
			return unquote(line[len(name)+1:])
		}
	}
	return nil
}

// unquote returns a value without the quotes that beanstalkd puts around names
// since 1.13. Names that need escapes can't be tubes.
func unquote(value []byte) []byte {
	value = bytes.TrimSpace(value)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// count is field for a number; 0 if it is none.
func count(stats []byte, name string) int64 {
	n := int64(0)
	for _, c := range field(stats, name) {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int64(c-'0')
	}
	return n
}

// list returns the elements of a list answer ("- name").
func list(text []byte) []string {
	var names []string
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(bytes.TrimRight(line, "\n"), []byte("- ")); ok {
			names = append(names, string(unquote(name)))
		}
	}
	return names
}
