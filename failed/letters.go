package failed

import (
	"context"
	"database/sql"
	"strings"
	"unicode/utf8"

	"github.com/spoolq/spool/sqldb"
)

// letters are the last letters that the columns take.
type letters struct{ payload, exception rune }

// takes returns what the columns take. Only on MySQL that is less than all of
// Unicode: tables made with its old default utf8 refuse letters beyond U+FFFF,
// or cut the text there, silently, where it isn't strict. It is asked once.
func (s *SQL) takes(ctx context.Context, q sqldb.Querier) (letters, error) {
	if known := s.letters.Load(); known != nil {
		return *known, nil
	}
	l := letters{payload: utf8.MaxRune, exception: utf8.MaxRune}
	if s.db.Dialect().Name != sqldb.MySQL {
		return l, nil
	}
	found, err := s.ask(ctx, q, &l)
	if found {
		s.letters.Store(&l)
	}
	return l, err
}

func (s *SQL) ask(ctx context.Context, q sqldb.Querier, l *letters) (found bool, err error) {
	schema, table, qualified := strings.Cut(s.table, ".")
	where, args := "DATABASE()", []any{s.table}
	if qualified {
		where, args = "?", []any{schema, table}
	}
	rows, err := q.QueryContext(ctx, "SELECT COLUMN_NAME, CHARACTER_SET_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = "+where+
		" AND TABLE_NAME = ? AND COLUMN_NAME IN ('payload', 'exception')", args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var charset sql.NullString
		if err := rows.Scan(&name, &charset); err != nil {
			return false, err
		}
		found = true
		last := lastLetter(charset)
		if strings.EqualFold(name, "payload") {
			l.payload = last
		} else {
			l.exception = last
		}
	}
	return found, rows.Err()
}

// lastLetter is the last letter of a MySQL character set, as far as it is
// worth knowing; a column without one takes any bytes.
func lastLetter(charset sql.NullString) rune {
	switch {
	case !charset.Valid, charset.String == "utf8mb4", charset.String == "utf16", charset.String == "utf32":
		return utf8.MaxRune
	case charset.String == "utf8", charset.String == "utf8mb3", charset.String == "ucs2":
		return 0xFFFF
	}
	return 0x7F
}
