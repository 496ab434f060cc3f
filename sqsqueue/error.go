package sqsqueue

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

// EntryError is SQS's refusal of one item of a batch.
type EntryError struct {
	Code    string // "InvalidMessageContents"
	Message string // SQS's own words
	// Sender says that the item is at fault, not SQS: it will be refused again.
	Sender bool
}

func (e *EntryError) Error() string { return e.Code + ": " + e.Message }

// PushError says that a Push ended early. Messages before Index are stored,
// the one at Index is not.
type PushError struct {
	Index int
	// Beyond is how many messages behind Index are stored all the same, as SQS
	// takes or refuses each item of a batch. Pushing from Index on again stores
	// them twice, except on a FIFO queue with the same deduplication ids.
	Beyond int
	Err    error
}

func (e *PushError) Error() string {
	s := fmt.Sprintf("message %d: %v", e.Index, e.Err)
	if e.Beyond > 0 {
		s += fmt.Sprintf(" (%d behind it are stored)", e.Beyond)
	}
	return s
}

// Unwrap returns Err.
func (e *PushError) Unwrap() error { return e.Err }

// CredentialsError says that there are no AWS credentials, or that SQS doesn't
// accept them. It holds nothing of them.
type CredentialsError struct {
	// Code is SQS's word for what is wrong ("ExpiredToken"); empty if none
	// were found.
	Code string
}

func (e *CredentialsError) Error() string {
	switch {
	case e.Code == "":
		return "no AWS credentials: set key and secret of the connection, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, an AWS profile, or run where a role gives them"
	case strings.Contains(e.Code, "Expired"):
		return "the AWS credentials have expired (" + e.Code + "): renew the session token"
	case strings.Contains(e.Code, "Signature"):
		return "SQS refuses the AWS signature (" + e.Code + "): check the secret and the region of the connection, and the clock of this machine"
	}
	return "SQS doesn't know the AWS credentials (" + e.Code + "): check key and token of the connection"
}

// NoQueueError says that SQS has no queue of that name, or of that URL.
type NoQueueError struct {
	Err error // SQS's own words
}

func (e *NoQueueError) Error() string {
	return "SQS has no such queue: create it, or check prefix, suffix and region of the connection (" + e.Err.Error() + ")"
}

// Unwrap returns Err.
func (e *NoQueueError) Unwrap() error { return e.Err }

// credentialCodes are SQS's words for credentials that it doesn't accept. Its
// explanations may repeat the request, session token and all.
var credentialCodes = map[string]bool{
	"InvalidClientTokenId": true, "UnrecognizedClientException": true, "InvalidAccessKeyId": true,
	"SignatureDoesNotMatch": true, "InvalidSignatureException": true, "IncompleteSignature": true, "IncompleteSignatureException": true,
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true, "InvalidToken": true,
	"MissingAuthenticationToken": true, "MissingAuthenticationTokenException": true, "InvalidSecurity": true,
}

// told is how an error of the client is passed on: as it is, unless it is about
// credentials or a queue that isn't there.
func told(err error) error {
	if err == nil {
		return nil
	}
	if coded, ok := errors.AsType[smithy.APIError](err); ok {
		if code := plain(coded.ErrorCode()); credentialCodes[code] {
			return &CredentialsError{Code: code}
		} else if code == "QueueDoesNotExist" || code == "NonExistentQueue" {
			return &NoQueueError{err}
		}
		return err
	}
	// The signing step of the client has no type for this.
	if strings.Contains(err.Error(), "get credentials") {
		return &CredentialsError{}
	}
	return err
}

// plain is a code of SQS without the namespace of its older protocol.
func plain(code string) string {
	code = strings.TrimPrefix(code, "AWS.SimpleQueueService.")
	_, name, found := strings.Cut(code, "#")
	if found {
		return name
	}
	return code
}

func entryError(e *types.BatchResultErrorEntry) *EntryError {
	return &EntryError{Code: plain(aws.ToString(e.Code)), Message: aws.ToString(e.Message), Sender: e.SenderFault}
}

// handleLost says whether SQS refuses a receipt handle: the job is deleted, is
// not reserved, or (on FIFO queues) was received again.
func (e *EntryError) handleLost() bool {
	switch e.Code {
	case "ReceiptHandleIsInvalid", "MessageNotInflight":
		return true
	}
	return e.Code == "InvalidParameterValue" && strings.Contains(e.Message, "ReceiptHandle")
}

// overTime says whether SQS refuses a visibility because it would end more
// than twelve hours after the receive.
func (e *EntryError) overTime() bool {
	return e.Code == "InvalidParameterValue" && strings.Contains(e.Message, "Total VisibilityTimeout")
}
