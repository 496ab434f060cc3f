package spool

import (
	"errors"
	"fmt"
	"reflect"
)

// Named is implemented by jobs that choose their own name. Without it a job
// is named after its type, without the package: SendReminderEmail. To be
// found by PHP and by older Go workers, a name should outlive the type's.
type Named interface {
	JobName() string
}

// nameOf returns the name of a job value.
func nameOf(job any) (string, error) {
	switch job.(type) {
	case *Chain, *PendingBatch:
		return "", fmt.Errorf("%T is no job: call its Dispatch", job)
	case Optioned:
		return "", errors.New("a job with options of its own (spool.With) can't be one of several with the same options, or in another With")
	}
	if n, ok := job.(Named); ok {
		if name := n.JobName(); name != "" {
			return name, nil
		}
		return "", fmt.Errorf("%T: JobName returned an empty name", job)
	}
	if job == nil {
		return "", fmt.Errorf("a nil job has no name")
	}
	return nameOfType(reflect.TypeOf(job))
}

func nameOfType(t reflect.Type) (string, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" || t.PkgPath() == "" {
		return "", fmt.Errorf("%v has no name of its own: define a type, or give it a JobName method", t)
	}
	return t.Name(), nil
}

// NameOf returns the name that jobs of type T are stored under.
func NameOf[T any]() (string, error) {
	t := reflect.TypeFor[T]()
	zero := reflect.New(t).Elem()
	if t.Kind() == reflect.Pointer {
		zero = reflect.New(t.Elem())
	}
	if n, ok := zero.Interface().(Named); ok {
		return n.JobName(), nil
	}
	return nameOfType(t)
}
