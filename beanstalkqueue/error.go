package beanstalkqueue

import (
	"fmt"

	"github.com/spoolq/spool/driver"
)

// ServerError is a command that the server refused.
type ServerError struct {
	Command string // what was asked: "put", "release 17"
	Word    string // the answer in the words of the protocol: "OUT_OF_MEMORY"
}

func (e *ServerError) Error() string {
	why := "see the server's log"
	switch e.Word {
	case wordMemory:
		why = "beanstalkd is out of memory: let workers catch up, or give it more"
	case wordDraining:
		why = "beanstalkd is being drained (SIGUSR1) and takes no new jobs until it is started anew"
	case wordBuried:
		why = "beanstalkd was out of memory and buried the job: kick it later"
	case wordTooBig:
		why = "the job is larger than the server allows (its -z), which changed since the connection was opened"
	case wordCRLF, wordBadFormat, wordUnknown:
		why = "beanstalkd didn't understand: is something in between, or is it very old?"
	case wordNotFound:
		why = "there is no such job or tube"
	}
	return fmt.Sprintf("%s: %s (%s)", e.Command, why, e.Word)
}

// nameLength is the longest name of a tube.
const nameLength = 200

// checkName says whether a queue may be a tube. The rule is the server's:
// letters, digits and -+/;.$_(), not a hyphen first, at most 200 bytes.
func checkName(queue string) error {
	bad := ""
	for i := 0; i < len(queue) && bad == ""; i++ {
		switch b := queue[i]; {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		case b == '-' && i > 0, b == '+', b == '/', b == ';', b == '.', b == '$', b == '_', b == '(', b == ')':
		case b == '-':
			bad = "it begins with a hyphen"
		default:
			bad = fmt.Sprintf("%q is not allowed in it", []rune(queue[i:])[0])
		}
	}
	switch {
	case queue == "":
		bad = "it is empty"
	case len(queue) > nameLength:
		bad = fmt.Sprintf("it has %d bytes, more than %d", len(queue), nameLength)
	}
	if bad == "" {
		return nil
	}
	return fmt.Errorf("queue %.220q can't be a tube of beanstalkd: %s; use letters, digits and - + / ; . $ _ ( )", queue, bad)
}

// limits returns a *driver.LimitError for the first message that the server
// would refuse.
func (c *Conn) limits(ms []driver.Message) error {
	err := c.traits.Check(ms)
	if e, ok := err.(*driver.LimitError); ok && e.What == "body" { //nolint:errorlint // Check returns the type bare
		e.Why = tooBig
	}
	return err
}

const tooBig = "start beanstalkd with a larger -z, or store the data elsewhere and push a reference to it"
