package failed

import (
	"errors"
	"fmt"
	"strings"
)

// Exception renders why a job failed in the shape of a PHP exception's text,
// which Laravel's tools expect: class, message and place, then the stack with
// the innermost call first.
//
//	*fs.PathError: open report.csv: no such file or directory in /app/report.go:41
//	Stack trace:
//	#0 /app/main.go(12): main.report()
//	#1 {main}
//
// The class is the Go type of err, or of what it wraps where it only adds
// text. stack is the output of debug.Stack, taken while recovering from a
// panic or anywhere else; without one there is no place.
func Exception(err error, stack []byte) string {
	frames := parseStack(string(stack))
	var b strings.Builder
	fmt.Fprintf(&b, "%T: %v", class(err), err)
	if len(frames) > 0 {
		fmt.Fprintf(&b, " in %s:%s", frames[0].file, frames[0].line)
	}
	b.WriteString("\nStack trace:\n")
	// PHP names a function together with the place it was called from.
	n := 0
	for i := 1; i < len(frames); i++ {
		fmt.Fprintf(&b, "#%d %s(%s): %s()\n", n, frames[i].file, frames[i].line, frames[i-1].function)
		n++
	}
	fmt.Fprintf(&b, "#%d {main}", n)
	return b.String()
}

// class returns the error whose type says most: the first in the chain that
// isn't made by fmt.Errorf.
func class(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || fmt.Sprintf("%T", err) != "*fmt.wrapError" {
			return err
		}
		err = inner
	}
}

type frame struct{ function, file, line string }

// parseStack reads the frames of a stack as debug.Stack prints it, without the
// machinery of the panic or of taking the stack.
func parseStack(stack string) []frame {
	var frames []frame
	function := ""
	for text := range strings.Lines(stack) {
		text = strings.TrimRight(text, "\r\n")
		place, isPlace := strings.CutPrefix(text, "\t")
		if !isPlace {
			function = functionName(text)
			continue
		}
		place, _, _ = strings.Cut(place, " +0x")
		colon := strings.LastIndexByte(place, ':')
		if function == "" || colon < 0 {
			continue
		}
		frames = append(frames, frame{function, place[:colon], place[colon+1:]})
	}
	return frames[machinery(frames):]
}

// functionName reads "pkg.(*Type).Method(0xc000…)" and "created by f in goroutine 1".
func functionName(text string) string {
	if maker, ok := strings.CutPrefix(text, "created by "); ok {
		maker, _, _ = strings.Cut(maker, " in goroutine ")
		return maker
	}
	if open := strings.LastIndexByte(text, '('); open > 0 && strings.HasSuffix(text, ")") {
		return text[:open]
	}
	return ""
}

// machinery returns how many of the innermost frames belong to the panic that
// was recovered from (the last, if one led to another) or to debug.Stack.
func machinery(frames []frame) int {
	n := 0
	for i, f := range frames {
		if f.function == "panic" {
			n = i + 1
		}
	}
	for n < len(frames) && (strings.HasPrefix(frames[n].function, "runtime.") || strings.HasPrefix(frames[n].function, "runtime/debug.")) {
		n++
	}
	return n
}
