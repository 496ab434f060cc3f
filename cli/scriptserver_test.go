//go:build unix

package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/beanstalkqueue"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/internal/testserver"
)

func TestScriptsOnBeanstalkd(t *testing.T) {
	_, port, err := net.SplitHostPort(testserver.NewBeanstalkd(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	runScripts(t, "beanstalkd", "STALK_PORT="+port)
}

func TestScriptsOnSQS(t *testing.T) {
	runScripts(t, "sqs", "SQS="+testserver.NewSQS(t).DSN, "ACCOUNT="+testserver.SQSAccount)
}

func TestScriptsOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("long: the other backends, after the embedded default")
	}
	nodes := strings.Join(testserver.NewRedisCluster(t).Addrs(), ",")
	runScripts(t, "cluster", "NODES="+nodes)
	runScripts(t, "backend", "QUEUE_CONNECTION=redis", "CACHE_STORE=redis",
		"SETTINGS=database: {redis: {default: {cluster: true, nodes: '"+nodes+"'}, cache: {cluster: true, nodes: '"+nodes+"', database: 0}}}\n")
}

// addSettings adds what the variable SETTINGS holds to the script's spool.yaml.
func addSettings(env *testscript.Env) error {
	more := env.Getenv("SETTINGS")
	if more == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(env.WorkDir, "spool.yaml"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + more)
	return errors.Join(err, f.Close())
}

// cmdBury is bury QUEUE: it pushes the job ok.buried to a queue of beanstalkd,
// and buries it as a PHP worker may.
func cmdBury(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: bury QUEUE")
	}
	with(ts, func(ctx context.Context, s *connect.Set) error {
		if _, err := spool.Push(ctx, s.Client, "ok.buried", nil, spool.OnQueue(args[0])); err != nil {
			return err
		}
		c, err := s.Manager.Connection(ctx, "")
		if err != nil {
			return err
		}
		rs, err := c.Driver().Reserve(ctx, args[0], 1)
		if err != nil {
			return err
		}
		return c.Driver().(*beanstalkqueue.Conn).Bury(ctx, rs)
	})
}

// cmdQueue is queue NAME: it makes a queue of SQS.
func cmdQueue(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: queue NAME")
	}
	client := sqs.New(sqs.Options{
		BaseEndpoint: aws.String(ts.Getenv("SQS")), Region: "eu-west-1",
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	in := &sqs.CreateQueueInput{QueueName: &args[0]}
	if strings.HasSuffix(args[0], ".fifo") {
		in.Attributes = map[string]string{"FifoQueue": "true"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := client.CreateQueue(ctx, in)
	ts.Check(err)
}
