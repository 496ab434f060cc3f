package failed

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf16"
)

// replace writes the records beside the file and renames the result over it.
func (s *File) replace(items []item) (err error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, it := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(it.raw)
	}
	if len(items) > 0 {
		b.WriteByte('\n')
	}
	b.WriteByte(']')

	mode, old := fs.FileMode(0o666), fs.FileInfo(nil)
	if old, err = os.Stat(s.path); err == nil {
		mode = old.Mode().Perm()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp := s.path + "." + rand.Text() + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	if old != nil {
		// The application's PHP must still be able to write it after a Go
		// process of another user has. Best effort: only root may give it away.
		_ = f.Chmod(mode)
		adopt(f, old)
	}
	_, err = f.Write(b.Bytes())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, s.path)
}

// encode renders a record as PHP's json_encode with JSON_PRETTY_PRINT does, as
// an element of the array.
func encode(r Record, loc *time.Location) json.RawMessage {
	var b bytes.Buffer
	b.WriteString("{")
	for i, field := range [][2]string{
		{"id", r.UUID}, {"connection", r.Connection}, {"queue", r.Queue}, {"payload", EncodePayload(r.Payload)},
		{"exception", plainText(r.Exception)}, {"failed_at", r.FailedAt.In(loc).Format(timeFormat)},
	} {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n        %q: ", field[0])
		writeString(&b, field[1])
	}
	fmt.Fprintf(&b, ",\n        \"failed_at_timestamp\": %d\n    }", r.FailedAt.Unix())
	return b.Bytes()
}

// writeString writes a JSON string the way PHP does: slashes and everything
// beyond ASCII escaped.
func writeString(b *bytes.Buffer, s string) {
	const short = "\bb\ff\nn\rr\tt\"\"\\\\//"
	b.WriteByte('"')
	for _, r := range s {
		switch i := strings.IndexRune(short, r); {
		case i >= 0 && i%2 == 0 && r < 0x80:
			b.WriteByte('\\')
			b.WriteByte(short[i+1])
		case r < ' ':
			fmt.Fprintf(b, `\u%04x`, r)
		case r < 0x80:
			b.WriteByte(byte(r))
		case r > 0xFFFF:
			r1, r2 := utf16.EncodeRune(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, r1, r2)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
}
