package testserver

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

// ask sends a line and returns the first line of the answer.
func ask(addr, line string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(answer), err
}

// store is how a test leaves a trace in a server and finds it again.
type store struct {
	own   func(testing.TB, ...string) *Server
	write func(*Server) error
	read  func(*Server) error // nil if the trace is there
}

func expectAnswer(addr, line, want string) error {
	got, err := ask(addr, line)
	if err == nil && got != want {
		err = fmt.Errorf("%q answered %q, want %q", line, got, want)
	}
	return err
}

func postgresExec(s *Server, statement string) error {
	return onPostgres(s.DSN, 2*time.Second, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, statement)
		return err
	})
}

func mysqlExec(s *Server, statement string) error {
	return onMySQL(s.DSN, 2*time.Second, func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, statement)
		return err
	})
}

// sqsAnswers asks for the queues.
func sqsAnswers(s *Server) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequest(http.MethodPost, s.DSN, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	request.Header.Set("X-Amz-Target", "AmazonSQS.ListQueues")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

var stores = map[string]store{
	"redis": {
		own:   NewRedis,
		write: func(s *Server) error { return expectAnswer(s.Addr, "SET k v", "+OK") },
		read:  func(s *Server) error { return expectAnswer(s.Addr, "EXISTS k", ":1") },
	},
	"beanstalkd": {
		own:   NewBeanstalkd,
		write: func(s *Server) error { return expectAnswer(s.Addr, "put 0 0 9 1\r\nx", "INSERTED 1") },
		read:  func(s *Server) error { return expectAnswer(s.Addr, "peek 1", "FOUND 1 1") },
	},
	"postgres": {
		own:   NewPostgres,
		write: func(s *Server) error { return postgresExec(s, "CREATE TABLE trace (id int)") },
		read:  func(s *Server) error { return postgresExec(s, "SELECT * FROM trace") },
	},
	"sqs": {
		own:   func(t testing.TB, _ ...string) *Server { return NewSQS(t) },
		write: func(*Server) error { return nil }, // it keeps nothing
		read:  sqsAnswers,
	},
	"mysql": {
		own:   NewMySQL,
		write: func(s *Server) error { return mysqlExec(s, "CREATE TABLE trace (id int)") },
		read:  func(s *Server) error { return mysqlExec(s, "SELECT * FROM trace") },
	},
}

func TestServerOfItsOwnSurvivesStopKillAndPause(t *testing.T) {
	for name, st := range stores {
		t.Run(name, func(t *testing.T) {
			s := st.own(t)
			addr := s.Addr
			if err := st.write(s); err != nil {
				t.Fatal(err)
			}
			for how, down := range map[string]func(){"Stop": s.Stop, "Kill": s.Kill} {
				down()
				if err := st.read(s); err == nil {
					t.Fatalf("the server answers after %s", how)
				}
				down() // does nothing
				s.Start()
				if err := st.read(s); err != nil {
					t.Fatalf("after %s and Start: %v", how, err)
				}
			}
			s.Pause()
			if err := st.read(s); err == nil {
				t.Fatal("the server answers while it is paused")
			}
			s.Resume()
			if err := st.read(s); err != nil {
				t.Fatalf("after Resume: %v", err)
			}
			s.Pause()
			s.Stop() // a paused server can be stopped
			if s.Addr != addr {
				t.Fatalf("address changed from %s to %s", addr, s.Addr)
			}
		})
	}
}

func TestSharedServersAnswer(t *testing.T) {
	t.Run("redis", func(t *testing.T) {
		if err := expectAnswer(Redis(t), "PING", "+PONG"); err != nil {
			t.Fatal(err)
		}
		if first, second := Redis(t), Redis(t); first != second {
			t.Fatalf("a second server was started: %s, %s", first, second)
		}
	})
	t.Run("beanstalkd", func(t *testing.T) {
		if err := expectAnswer(Beanstalkd(t), "list-tube-used", "USING default"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("sqs", func(t *testing.T) {
		if err := sqsAnswers(&Server{DSN: SQS(t)}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		a, b := Postgres(t), Postgres(t)
		for _, dsn := range []string{a, b} { // a fresh database each
			if err := postgresExec(&Server{DSN: dsn}, "CREATE TABLE jobs (id int)"); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("mysql", func(t *testing.T) {
		a, b := MySQL(t), MySQL(t)
		for _, dsn := range []string{a, b} {
			if err := mysqlExec(&Server{DSN: dsn}, "CREATE TABLE jobs (id int)"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestArgumentsReachTheServer(t *testing.T) {
	s := NewRedis(t, "--requirepass", "secret")
	if err := expectAnswer(s.Addr, "AUTH secret", "+OK"); err != nil {
		t.Fatal(err)
	}
}

func TestFailedStartShowsTheLog(t *testing.T) {
	_, err := start(redisServer, false, []string{"--no-such-setting", "1"})
	var missing *missingError
	if errors.As(err, &missing) {
		require(t, err)
	}
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Fatalf("error lacks the server's own words: %v", err)
	}
}

func TestTakenPortIsNotMistakenForOurServer(t *testing.T) {
	first := NewRedis(t)
	_, port, err := net.SplitHostPort(first.Addr)
	if err != nil {
		t.Fatal(err)
	}
	second := &server{kind: redisServer, dir: t.TempDir()}
	if second.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	if err := second.start(); !errors.Is(err, errExited) {
		t.Fatalf("got %v, want %v", err, errExited)
	}
}
