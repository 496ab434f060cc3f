package sqsqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// API is what a [Conn] needs of a client. *sqs.Client has it.
type API interface {
	MessageAPI
	QueueAPI
}

// MessageAPI is the part of [API] that handles messages.
type MessageAPI interface {
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
}

// QueueAPI is the part of [API] that looks at queues.
type QueueAPI interface {
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	ListQueues(context.Context, *sqs.ListQueuesInput, ...func(*sqs.Options)) (*sqs.ListQueuesOutput, error)
	PurgeQueue(context.Context, *sqs.PurgeQueueInput, ...func(*sqs.Options)) (*sqs.PurgeQueueOutput, error)
}

var _ API = (*sqs.Client)(nil)

// answerTimeout is how long a server may take to begin its answer: a request
// that waits for jobs takes 20 s.
const answerTimeout = 40 * time.Second

// Open returns a connection with a client of its own. It reads the usual AWS
// settings (environment, shared files), but asks SQS nothing: wrong
// credentials show at the first call, or with [Conn.Ping].
func Open(ctx context.Context, opts *Options) (*Conn, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	var load []func(*config.LoadOptions) error
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	switch {
	case o.Key != "" && o.Secret == "":
		return nil, errors.New("sqsqueue: the AWS access key has no secret: set both, or neither to use the usual AWS credentials")
	case o.Key == "" && o.Secret != "":
		return nil, errors.New("sqsqueue: the AWS secret has no access key: set both, or neither to use the usual AWS credentials")
	case o.Key != "":
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(o.Key, o.Secret, o.Token)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("sqsqueue: AWS settings: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("sqsqueue: no AWS region: set region, AWS_REGION, or one in the AWS profile")
	}
	idle := ownTransport(&cfg)
	client := sqs.NewFromConfig(cfg, func(so *sqs.Options) {
		if o.Endpoint != "" {
			so.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	c, err := New(client, &o)
	if err != nil {
		return nil, err
	}
	c.idle = idle
	return c, nil
}

// ownTransport gives the client connections of its own, made as the AWS
// settings say, and returns what closes those that are idle.
func ownTransport(cfg *aws.Config) (idle func()) {
	made, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		made = awshttp.NewBuildableClient()
	}
	transport := made.GetTransport()
	transport.ResponseHeaderTimeout = answerTimeout
	transport.MaxIdleConnsPerHost = max(transport.MaxIdleConnsPerHost, 2*maxBatch)
	cfg.HTTPClient = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return transport.CloseIdleConnections
}

// once keeps the client from repeating a request whose outcome is unknown.
func once(o *sqs.Options) { o.Retryer = aws.NopRetryer{} }

// atOnce makes a receive return at once on queues, too, that are set to wait:
// the client leaves a WaitTimeSeconds of 0 out of its request.
func atOnce(o *sqs.Options) {
	o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
		return s.Serialize.Add(middleware.SerializeMiddlewareFunc("SpoolReceiveAtOnce", waitForNothing), middleware.After)
	})
}

// waitForNothing adds a WaitTimeSeconds of 0 to the JSON of a request.
func waitForNothing(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
	fail := func(err error) (middleware.SerializeOutput, middleware.Metadata, error) {
		return middleware.SerializeOutput{}, middleware.Metadata{}, err
	}
	r, ok := in.Request.(*smithyhttp.Request)
	if !ok || r.GetStream() == nil {
		return fail(fmt.Errorf("sqsqueue: a receive is a %T, which isn't understood", in.Request))
	}
	text, err := io.ReadAll(r.GetStream())
	if err != nil {
		return fail(err)
	}
	members, ok := bytes.CutPrefix(text, []byte("{"))
	if !ok {
		return fail(errors.New("sqsqueue: a receive isn't a JSON object"))
	}
	if in.Request, err = r.SetStream(bytes.NewReader(append([]byte(`{"WaitTimeSeconds":0,`), members...))); err != nil {
		return fail(err)
	}
	return next.HandleSerialize(ctx, in)
}
