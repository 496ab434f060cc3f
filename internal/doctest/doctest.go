// Package doctest reads the code blocks of the documentation, so that tests can
// hold them to what they say. Its own tests cover the Go blocks, the calls of
// spool, the links and the make targets, the reference of commands and the
// translations of the README.
//
// The convention for Go blocks: one that begins with a package clause must pass
// go vet as it stands. Any other is a fragment, whose lines must be found one
// after the other, indentation aside, in an example of the repository
// (example*_test.go, or a program below examples/), so that a test has compiled
// it. A line that says only "…" or "// …" stands for lines left out.
//
// The convention for shell blocks: one marked console is run, and prints what
// it shows (see [Session.Walk]). In others calls of spool are only parsed.
package doctest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Block is a fenced code block of a document.
type Block struct {
	File string // path below the repository's root, with slashes
	Line int    // of the fence, from 1
	Lang string // first word after the fence, such as "go"
	// Needs is the second word: what the block's commands need that isn't
	// everywhere, such as "laravel", an application.
	Needs string
	Text  string // without the fences; ends with a newline unless empty
}

// Documents returns the paths below root, with slashes, of the documents that
// users read: Markdown files at the root, in docs and in examples.
func Documents(root string) ([]string, error) {
	paths, err := fs.Glob(os.DirFS(root), "*.md")
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"docs", "examples"} {
		err := fs.WalkDir(os.DirFS(root), dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// Blocks returns the code blocks of all documents below root.
func Blocks(root string) ([]Block, error) {
	paths, err := Documents(root)
	if err != nil {
		return nil, err
	}
	var blocks []Block
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, parse(path, string(text))...)
	}
	return blocks, nil
}

// parse returns the code blocks of a document, those in lists too.
func parse(path, text string) []Block {
	const fence = "```"
	var blocks []Block
	var indent string
	open := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		trimmed := strings.TrimSpace(line)
		switch {
		case !open && strings.HasPrefix(trimmed, fence):
			indent = line[:strings.Index(line, fence)]
			lang, needs, _ := strings.Cut(strings.TrimLeft(trimmed, "`"), " ")
			blocks = append(blocks, Block{File: path, Line: number, Lang: lang, Needs: needs})
			open = true
		case open && trimmed == fence:
			open = false
		case open:
			blocks[len(blocks)-1].Text += strings.TrimPrefix(line, indent)
		}
	}
	return blocks
}

// Command is a call of spool that a document shows.
type Command struct {
	File string // as in Block
	Line int    // of the command, from 1
	Text string // as typed: "spool work --queue=high,default", without the prompt
}

// Commands returns the calls of spool in the shell blocks of all documents
// below root. "go run ./cmd/spool" counts as "spool". Lines joined by a
// backslash are one command; a comment at its end is dropped.
func Commands(root string) ([]Command, error) {
	blocks, err := Blocks(root)
	if err != nil {
		return nil, err
	}
	var commands []Command
	for _, b := range blocks {
		if slices.Contains([]string{"sh", "shell", "bash", "console", "text"}, b.Lang) {
			commands = append(commands, commandsOf(b)...)
		}
	}
	return commands, nil
}

func commandsOf(b Block) []Command {
	var commands []Command
	var typed string
	number, first := b.Line, 0
	for line := range strings.Lines(b.Text) {
		number++
		line = strings.TrimSpace(line)
		if typed == "" {
			if first = number; b.Lang == "console" && !strings.HasPrefix(line, "$ ") {
				continue // output
			}
		}
		part, continued := strings.CutSuffix(line, `\`)
		typed += part
		if continued {
			continue
		}
		typed = strings.TrimPrefix(typed, "$ ")
		if rest, ok := strings.CutPrefix(typed, "go run ./cmd/spool"); ok {
			typed = "spool" + rest
		}
		typed, _, _ = strings.Cut(typed, " #")
		typed = strings.TrimSpace(typed)
		if typed == "spool" || strings.HasPrefix(typed, "spool ") {
			commands = append(commands, Command{File: b.File, Line: first, Text: typed})
		}
		typed = ""
	}
	return commands
}
