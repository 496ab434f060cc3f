package driver

import (
	"bytes"
	"context"
)

// Selector is implemented by backends that can take the jobs that are wanted
// and leave the others where they are.
type Selector interface {
	// ReserveMatching is Reserve of the jobs whose bodies s matches. The others
	// stay as they are: in their place, their attempts not counted. It looks
	// through at least the first 10,000 ready jobs of the queue; a driver's
	// documentation says where it stops. Passing the same s in every call lets a
	// driver go on where it stopped.
	ReserveMatching(ctx context.Context, queue string, max int, s *Selection) ([]Reservation, error)
}

// Selection says which jobs are wanted, by text in their bodies: one of Keys,
// right after it one of Names, and right after that End. It must not change
// once it is in use.
//
// Text is all that a backend looks at, so a Selection may match more than it
// means (a name inside a job's data): who reserves has to look again.
type Selection struct {
	// Keys stand before a name, e.g. `"job":"`.
	Keys []string
	// Names are wanted, as they are written in bodies. None of them has End in it.
	Names []string
	// End stands after a name, e.g. `"`. It must not be empty.
	End string
}

// Matches says whether a job with this body is wanted.
func (s *Selection) Matches(body []byte) bool {
	for _, key := range s.Keys {
		for rest := body; ; {
			_, after, found := bytes.Cut(rest, []byte(key))
			if !found {
				break
			}
			name, _, ended := bytes.Cut(after, []byte(s.End))
			if !ended {
				break
			}
			for _, want := range s.Names {
				if string(name) == want {
					return true
				}
			}
			rest = after
		}
	}
	return false
}

// Texts returns every text that makes a body match: each of Keys with each of
// Names and End.
func (s *Selection) Texts() []string {
	texts := make([]string, 0, len(s.Keys)*len(s.Names))
	for _, key := range s.Keys {
		for _, name := range s.Names {
			texts = append(texts, key+name+s.End)
		}
	}
	return texts
}
