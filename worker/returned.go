package worker

import (
	"context"
	"strconv"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// Some servers count deliveries themselves and can't take one back
// (beanstalkd, SQS). There a job that is handed back has its return counted in
// the cache, and the returns are subtracted from the deliveries, so that they
// aren't held against its tries.

// returnsFor is how long returns are remembered.
const returnsFor = 7 * 24 * time.Hour

// returnedKey counts in the cache how often a job was handed back.
func returnedKey(uuid string) string { return "spool:returned:" + uuid }

// countReturn remembers that t is about to be handed back. It is counted
// before the store has done it: whoever takes the job next must know. If the
// store then fails to, the job has one try more, not one less.
func (w *Worker) countReturn(ctx context.Context, t *task) {
	if _, ok := w.drv.(driver.Returner); !ok && t.job.UUID != "" {
		w.count(ctx, &w.handed, t.job.UUID, returnedKey(t.job.UUID), returnsFor)
	}
}

// attempt is the number of this attempt at a job, returns not counted.
func (w *Worker) attempt(ctx context.Context, deliveries int, job *spool.Job) int {
	if _, ok := w.drv.(driver.Returner); ok || deliveries < 2 || job.UUID == "" {
		return max(deliveries, 1)
	}
	returns := w.handed.met(job.UUID)
	if w.o.Signals != nil {
		ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
		defer cancel()
		key := returnedKey(job.UUID)
		values, err := w.o.Signals.Many(ctx, key)
		if err != nil {
			if also, ok := w.uncounted.now(); ok {
				w.o.Logger.Warn("how often a job was handed back cannot be read from the cache: only this process's count is known",
					"uuid", job.UUID, "more", also, "error", err)
			}
		} else if n, err := strconv.Atoi(values[key]); err == nil {
			returns = n
		}
	}
	return max(deliveries-returns, 1)
}
