package beanstalkqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spoolq/spool/driver"
)

// ask sends commands and returns their answers.
func (c *Conn) ask(ctx context.Context, r *request) ([]answer, error) {
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.do(ctx, r); err != nil {
		return nil, err
	}
	return r.answers, nil
}

// tubes returns the statistics of tubes, nil for those that don't exist.
func (c *Conn) tubes(ctx context.Context, queues []string) ([][]byte, error) {
	r := &request{n: len(queues)}
	for _, q := range queues {
		r.text = append(append(append(r.text, "stats-tube "...), q...), "\r\n"...)
	}
	answers, err := c.ask(ctx, r)
	if err != nil {
		return nil, err
	}
	all := make([][]byte, len(answers))
	for i, a := range answers {
		switch a.word {
		case wordOK:
			all[i] = a.body
		case wordNotFound:
		default:
			return nil, &ServerError{Command: "stats-tube " + queues[i], Word: a.word}
		}
	}
	return all, nil
}

// begin is check for methods that name a queue.
func (c *Conn) begin(ctx context.Context, queue string) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	return checkName(queue)
}

// Size counts the jobs of a tube, without those that are buried. The server
// doesn't know which job has waited longest.
func (c *Conn) Size(ctx context.Context, queue string) (driver.Size, error) {
	if err := c.begin(ctx, queue); err != nil {
		return driver.Size{}, err
	}
	all, err := c.tubes(ctx, []string{queue})
	if err != nil {
		return driver.Size{}, err
	}
	return sizeOf(all[0]), nil
}

func sizeOf(stats []byte) driver.Size {
	return driver.Size{
		Pending:  count(stats, "current-jobs-ready"),
		Delayed:  count(stats, "current-jobs-delayed"),
		Reserved: count(stats, "current-jobs-reserved"),
	}
}

// Buried returns how many jobs of a tube are buried.
func (c *Conn) Buried(ctx context.Context, queue string) (int64, error) {
	if err := c.begin(ctx, queue); err != nil {
		return 0, err
	}
	all, err := c.tubes(ctx, []string{queue})
	if err != nil {
		return 0, err
	}
	return count(all[0], "current-jobs-buried"), nil
}

// Queues returns the names of tubes that hold jobs other than buried ones,
// sorted.
func (c *Conn) Queues(ctx context.Context) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	answers, err := c.ask(ctx, &request{n: 1, text: []byte("list-tubes\r\n")})
	if err != nil {
		return nil, err
	}
	if a := answers[0]; a.word != wordOK {
		return nil, &ServerError{Command: "list-tubes", Word: a.word}
	}
	names := list(answers[0].body)
	all, err := c.tubes(ctx, names)
	if err != nil {
		return nil, err
	}
	var queues []string
	for i, name := range names {
		if size := sizeOf(all[i]); size.Total() > 0 {
			queues = append(queues, name)
		}
	}
	slices.Sort(queues)
	return queues, nil
}

// Peek returns the next job of a tube that is pending, delayed (the one due
// first) or buried, without reserving it; ok is false if there is none. It is
// all that the server shows of its jobs: those that are reserved it doesn't, which is
// errors.ErrUnsupported.
func (c *Conn) Peek(ctx context.Context, queue string, state driver.State) (e driver.Entry, ok bool, err error) {
	if err := c.begin(ctx, queue); err != nil {
		return e, false, err
	}
	command := map[driver.State]string{driver.Pending: "peek-ready", driver.Delayed: "peek-delayed", driver.Buried: "peek-buried"}[state]
	if command == "" {
		return e, false, fmt.Errorf("beanstalkd shows no jobs that are %s: %w", state, errors.ErrUnsupported)
	}
	for { // again if the job is gone between the two questions
		a, err := c.peek(ctx, queue, command)
		if err != nil || a.word == wordNotFound {
			return e, false, err
		}
		r := &request{n: 1, text: appendCommand(nil, "stats-job ", a.id)}
		answers, err := c.ask(ctx, r)
		if err != nil {
			return e, false, err
		}
		if answers[0].word != wordOK {
			continue
		}
		stats := answers[0].body
		e = driver.Entry{
			ID: strconv.FormatUint(a.id, 10), State: state, Body: a.body, Attempts: int(count(stats, "reserves")),
			Created: r.sent.Add(-time.Duration(count(stats, "age")) * time.Second),
		}
		if state == driver.Delayed {
			e.At = r.sent.Add(time.Duration(count(stats, "time-left")) * time.Second)
		}
		return e, true, nil
	}
}

// peek returns the answer to a peek command, FOUND or NOT_FOUND.
func (c *Conn) peek(ctx context.Context, queue, command string) (answer, error) {
	answers, err := c.ask(ctx, &request{use: queue, n: 1, text: []byte(command + "\r\n")})
	if err != nil {
		return answer{}, err
	}
	if a := answers[0]; a.word != wordFound && a.word != wordNotFound {
		return answer{}, &ServerError{Command: command, Word: a.word}
	}
	return answers[0], nil
}

// eachPeeked does a command with the id of each job that a peek finds, at most
// max times, and returns how often the answer was done. The command must take
// the job out of the peek's sight.
func (c *Conn) eachPeeked(ctx context.Context, queue, peek, command, done string, max int64) (n int64, err error) {
	for range max {
		a, err := c.peek(ctx, queue, peek)
		if err != nil || a.word == wordNotFound {
			return n, err
		}
		answers, err := c.ask(ctx, &request{n: 1, text: appendCommand(nil, command, a.id)})
		switch {
		case err != nil:
			return n, err
		case answers[0].word == done:
			n++
		case answers[0].word != wordNotFound: // somebody else was faster
			return n, &ServerError{Command: command + strconv.FormatUint(a.id, 10), Word: answers[0].word}
		}
	}
	return n, nil
}

// Kick makes up to max buried jobs of a tube available again and returns how
// many. (The protocol's own kick would take delayed ones where none are buried.)
func (c *Conn) Kick(ctx context.Context, queue string, max int) (int, error) {
	if err := c.begin(ctx, queue); err != nil {
		return 0, err
	}
	n, err := c.eachPeeked(ctx, queue, "peek-buried", "kick-job ", wordKicked, int64(max))
	return int(n), err
}
