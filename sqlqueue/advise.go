package sqlqueue

import (
	"context"
	"fmt"
	"strings"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

var _ driver.Advisor = (*Conn)(nil)

// indexesText lists the columns of a table's indexes, or their definitions.
var indexesText = map[string]string{
	sqldb.MySQL:    "SELECT CONCAT('(', GROUP_CONCAT(column_name ORDER BY seq_in_index), ')') FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? GROUP BY index_name",
	sqldb.Postgres: "SELECT indexdef FROM pg_indexes WHERE tablename = ?",
	sqldb.SQLite:   "SELECT COALESCE(sql, '') FROM sqlite_master WHERE type = 'index' AND tbl_name = ?",
}

// Advise says if a table that isn't Spool's own has no index that begins with
// the queue, as the tables of think-queue 1 and 2 haven't.
func (c *Conn) Advise(ctx context.Context) ([]string, error) {
	if c.closed() {
		return nil, driver.ErrClosed
	}
	advice := []string{}
	if c.texts.layout.Indexed {
		return advice, nil
	}
	name := c.table[strings.LastIndexByte(c.table, '.')+1:]
	rows, err := c.db.SQL().QueryContext(ctx, c.db.Rebind(indexesText[c.db.Dialect().Name]), name)
	if err != nil {
		return nil, c.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var columns string
		if err := rows.Scan(&columns); err != nil {
			return nil, err
		}
		_, columns, _ = strings.Cut(columns, "(")
		first, _, _ := strings.Cut(strings.TrimRight(columns, ") "), ",")
		if strings.Trim(first, " \"`") == "queue" {
			return advice, rows.Err()
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	d := c.db.Dialect()
	return append(advice, fmt.Sprintf("table %s has no index on its queue: each look for a job reads the whole table, and PHP's workers wait for each other; CREATE INDEX %s ON %s (queue, id)",
		c.table, d.Ident(name+"_queue"), d.Ident(c.table))), nil
}
