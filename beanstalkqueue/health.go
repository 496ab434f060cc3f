package beanstalkqueue

import (
	"context"
)

// stats returns the server's statistics.
func (c *Conn) stats(ctx context.Context) ([]byte, error) {
	answers, err := c.ask(ctx, &request{n: 1, text: []byte("stats\r\n")})
	if err != nil {
		return nil, err
	}
	if a := answers[0]; a.word != wordOK {
		return nil, &ServerError{Command: "stats", Word: a.word}
	}
	return answers[0].body, nil
}

// Ping asks the server for its statistics.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	_, err := c.stats(ctx)
	return err
}

// Advise says what in the server's settings can lose or refuse jobs.
func (c *Conn) Advise(ctx context.Context) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	stats, err := c.stats(ctx)
	if err != nil {
		return nil, err
	}
	advice := []string{}
	if count(stats, "binlog-current-index") == 0 {
		advice = append(advice, "beanstalkd keeps jobs in memory only: a restart loses them all; start it with -b and a folder")
	}
	if string(field(stats, "draining")) == "true" {
		advice = append(advice, "beanstalkd is being drained: it refuses pushes until it is started anew")
	}
	if n := count(stats, "max-job-size"); n != int64(c.traits.MaxBody) {
		advice = append(advice, "the largest job that beanstalkd takes has changed since this connection was opened: restart the programs that use it")
	}
	return advice, nil
}
