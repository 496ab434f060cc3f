package redisqueue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
)

const (
	// reserveMost is how many jobs one Reserve takes at most.
	reserveMost = 10000
	// reserveBytes ends a Reserve early: it takes no further job once the
	// payloads are larger together.
	reserveBytes = 16 << 20
	// migrateMost is how many due jobs one script call makes ready from each
	// set, unless more are reserved with it.
	migrateMost = 1000
)

// Reserve makes due delayed jobs and expired reservations ready and takes up
// to max jobs, all in one script call. It may return fewer although there are
// more: at most 10,000, and no further job after 16 MB of payload.
//
// Body is the payload as it was before this delivery, as in Laravel: the
// attempts in it are one less than Attempts. A payload that isn't a JSON
// object is handed out unchanged, as attempt 1 every time.
func (c *Conn) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if err := c.check(ctx, queue); err != nil {
		return nil, err
	}
	if max <= 0 {
		return nil, nil
	}
	max = min(max, reserveMost)
	k := c.keys(queue)
	mark := strconv.Itoa(1 + rand.IntN(marks))
	// Jobs that the server has moved must be seen: the call isn't cancelled.
	answer, err := c.run(context.WithoutCancel(ctx), c.scripts.reserve, k.all(), c.delivery(max, mark)).ToArray()
	if err != nil || len(answer) == 0 {
		return nil, err
	}
	return reservations(queue, answer, mark)
}

// delivery are the arguments that both scripts which take jobs begin with.
func (c *Conn) delivery(max int, mark string) []string {
	return []string{strconv.Itoa(max), c.lease, strconv.Itoa(c.migrations(max)), c.requeue, strconv.Itoa(reserveBytes), mark}
}

// reservations reads the pairs that such a script answers.
func reservations(queue string, answer []rueidis.RedisMessage, mark string) ([]driver.Reservation, error) {
	rs := make([]driver.Reservation, 0, len(answer)/2)
	for i := 0; i+1 < len(answer); i += 2 {
		r, err := reservation(&answer[i], &answer[i+1], mark)
		if err != nil {
			return rs, err
		}
		r.Queue = queue
		rs = append(rs, r)
	}
	return rs, nil
}

// migrations returns how many due jobs to make ready with max to be reserved.
func (c *Conn) migrations(max int) int {
	most := migrateMost
	if max > most {
		most = max
	}
	if n := c.opts.MigrationBatch; n > 0 && n < most {
		return n
	}
	return most
}

// marks is how many marks there are for deliveries (lua/held.lua).
const marks = 999999

// A receipt is what ties a reservation to Redis: the exact member of the
// reserved set, the mark of the delivery, and what stood in the member before.
type receipt struct {
	member   string
	mark     string // of the delivery, see lua/held.lua
	old      string // stood in place of the changed bytes
	from, to int    // the changed bytes of member
}

// original returns the payload as it was before the delivery.
func (r *receipt) original() string {
	if r.from == r.to {
		return r.member
	}
	return r.member[:r.from] + r.old + r.member[r.to:]
}

// body returns a copy of the payload as it was before the delivery.
func (r *receipt) body() []byte {
	b := make([]byte, 0, len(r.member)-(r.to-r.from)+len(r.old))
	b = append(b, r.member[:r.from]...)
	b = append(b, r.old...)
	return append(b, r.member[r.to:]...)
}

// reservation makes a reservation of what the script answered for one job: the
// member and the mark of its change (lua/attempts.lua).
func reservation(member, change *rueidis.RedisMessage, mark string) (driver.Reservation, error) {
	text, err := member.ToString()
	if err != nil {
		return driver.Reservation{}, err
	}
	r := &receipt{member: text, mark: mark}
	attempts := 1
	if change.IsInt64() {
		p, err := change.ToInt64()
		if err != nil {
			return driver.Reservation{}, err
		}
		if p > 0 {
			attempts = r.counted(int(p) - 1)
		}
	} else {
		s, err := change.ToString()
		if err != nil {
			return driver.Reservation{}, err
		}
		if attempts, err = r.changed(s); err != nil {
			return driver.Reservation{}, err
		}
	}
	return driver.Reservation{Body: r.body(), Attempts: attempts, Receipt: r}, nil
}

// counted reads the attempt whose digits stand at from; before, there was one
// less.
func (r *receipt) counted(from int) int {
	n, to := 0, from
	for to < len(r.member) && r.member[to] >= '0' && r.member[to] <= '9' {
		n = 10*n + int(r.member[to]-'0')
		to++
	}
	r.from, r.to, r.old = from, to, strconv.Itoa(n-1)
	return n
}

// changed reads the mark "ATTEMPT FROM LENGTH OLD".
func (r *receipt) changed(mark string) (attempts int, err error) {
	parts := strings.SplitN(mark, " ", 4)
	var n [3]int
	for i := range n {
		if len(parts) == 4 {
			n[i], err = strconv.Atoi(parts[i])
		}
		if len(parts) != 4 || err != nil {
			return 0, fmt.Errorf("redisqueue: the reserve script answered with mark %q", mark)
		}
	}
	r.from, r.to, r.old = n[1]-1, n[1]-1+n[2], parts[3]
	if r.from < 0 || r.to < r.from || r.to > len(r.member) {
		return 0, fmt.Errorf("redisqueue: mark %q is outside of a member of %d bytes", mark, len(r.member))
	}
	return n[0], nil
}
