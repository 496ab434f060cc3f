package cache

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ThinkForm is what a range of ThinkPHP's versions writes into the files of its
// cache. They have the file names in common.
type ThinkForm int

// The forms.
const (
	// Think6 is ThinkPHP 6 and 8: numbers stand as they are, all else is
	// serialized.
	Think6 ThinkForm = iota
	// Think51 is ThinkPHP 5.1: text and numbers stand as they are.
	Think51
	// Think50 is ThinkPHP 5.0.11 to 5.0.25: all values are serialized.
	Think50
	// Think5010 is ThinkPHP 5.0.0 to 5.0.10: as Think50, in a file without the
	// line that keeps PHP from running it.
	Think5010
)

// ThinkFileOptions are the settings of ThinkPHP's file store.
type ThinkFileOptions struct {
	// Form is that of the application's version.
	Form ThinkForm
	// Flat says that the files stand in the folder itself (ThinkPHP's
	// cache_subdir is false).
	Flat bool
}

// NewThinkFile returns ThinkPHP's file store in dir, which is made when the
// first value is written. An application keeps it in runtime/cache, with the
// store's prefix, if it has one, as a further folder. A path is made of the MD5
// of the key; a file is one of PHP that holds, behind a comment of twelve digits
// (how many seconds after its writing it expires, or 0), the value.
//
// ThinkPHP has no locks: those of this store are between Go processes, in files
// beside the values.
func NewThinkFile(dir string, o *ThinkFileOptions) *File {
	if o == nil {
		o = &ThinkFileOptions{}
	}
	return &File{form: thinkForm(*o), dir: dir, lockDir: dir, lockPrefix: "spool-lock:"}
}

type thinkForm ThinkFileOptions

// file is aa/bbcc….php, the MD5 of the key in hexadecimal.
func (f thinkForm) file(key string) string {
	sum := md5.Sum([]byte(key)) //nolint:gosec // ThinkPHP's file names, not security
	name := hex.EncodeToString(sum[:]) + ".php"
	if f.Flat {
		return name
	}
	return filepath.Join(name[:2], name[2:])
}

const (
	thinkOpen  = "<?php\n//"
	thinkGuard = "\n exit();?>\n"
	thinkClose = "\n?>"
	thinkMark  = "think_serialize:" // of 5.1, before what is serialized
)

// parse reads the file as the version does, whichever form it has: files of an
// older one stay when an application is upgraded.
func (f thinkForm) parse(b []byte, modified time.Time) content {
	head := len(thinkOpen) + 12
	if len(b) < head || !bytes.HasPrefix(b, []byte(thinkOpen)) {
		return content{}
	}
	ttl, err := strconv.ParseInt(string(b[len(thinkOpen):head]), 10, 64)
	if err != nil {
		return content{}
	}
	c := content{expires: neverExpires}
	if ttl > 0 {
		// Until that second is over, as in PHP.
		if c.expires = modified.Unix() + ttl; time.Now().Unix() > c.expires {
			return content{}
		}
	}
	form, body := f.Form, string(b[head:])
	if rest, ok := strings.CutPrefix(body, thinkGuard); ok {
		body = rest
	} else if rest, ok := strings.CutSuffix(body, thinkClose); ok {
		form, body = Think5010, rest
	} else {
		return content{}
	}
	switch {
	case form == Think6 && number.MatchString(body):
		c.text, c.present = body, true
	case form == Think51 && !strings.HasPrefix(body, thinkMark):
		c.text, c.present = body, body != ""
	default:
		c.text, c.present = Unserialize(strings.TrimPrefix(body, thinkMark))
	}
	return c
}

// number is what PHP's is_numeric takes for one.
var number = regexp.MustCompile(`^[ \t\n\r\v\f]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\n\r\v\f]*$`)

func (f thinkForm) render(value any, expires int64) ([]byte, error) {
	text, err := Text(value)
	if err != nil {
		return nil, err
	}
	// Plain text that can't be told from nothing, or from what is serialized,
	// goes the other way; PHP reads it in that one, too.
	plain := f.Form == Think6 && number.MatchString(text) || f.Form == Think51 && text != "" && !strings.HasPrefix(text, thinkMark)
	if !plain {
		if text, err = Serialize(value); err != nil {
			return nil, err
		}
		if f.Form == Think51 {
			text = thinkMark + text
		}
	}
	ttl := int64(0)
	if expires < neverExpires {
		ttl = max(expires-time.Now().Unix(), 1)
	}
	head := fmt.Sprintf("%s%012d", thinkOpen, ttl)
	if f.Form == Think5010 {
		return []byte(head + text + thinkClose), nil
	}
	return []byte(head + thinkGuard + text), nil
}
