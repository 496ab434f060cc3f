package connect

import (
	"fmt"
	"slices"
	"strings"
)

// BesidePHP returns, as advice, what a worker of the queues (none: the
// connection's own) takes from a queue that PHP's workers take from as well,
// though only Go knows it. PHP's workers can't be seen; what is known is that the
// settings are a Laravel application's, whose queue:work takes from the
// connection's own queue unless it is told another.
//
// Jobs whose names have no backslash are taken for Go's own: PHP finds no class
// by them. A handler that has a class's name, too, is taken for one of PHP's jobs.
func (s *Set) BesidePHP(connection string, queues ...string) []string {
	w := s.Config.Worker
	c, err := s.Config.Connection(connection)
	if err != nil || !w.BesidePHP || s.Config.Laravel.Major == 0 || thinks(c) {
		return nil
	}
	switch c.Driver {
	case "redis", "database", "beanstalkd", "sqs":
	default:
		return nil
	}
	if len(queues) > 0 && !slices.Contains(queues, c.Queue) {
		return nil
	}
	names := s.goOnly()
	if len(names) == 0 {
		return nil
	}
	const most = 4
	shown := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return []string{fmt.Sprintf("only Go knows the jobs %s, and on queue %s PHP's workers may meet them: PHP can't skip a job and fails it when its tries are used up; "+
		"give these a queue of their own (dispatch to it, and work it with --queue), or PHP a stub for each (make:php-stub NAME); worker.beside_php: no says that this is taken care of",
		shown, c.Queue)}
}

// goOnly returns the names that have a handler here and none in PHP, sorted.
func (s *Set) goOnly() []string {
	var names []string
	add := func(name string, also []string) {
		only := s.Config.Worker.Only
		taken := len(only) == 0 || slices.Contains(only, registered) || slices.ContainsFunc(also, func(n string) bool { return slices.Contains(only, n) })
		if taken && !strings.Contains(strings.Join(also, ""), `\`) {
			names = append(names, name)
		}
	}
	for _, name := range s.Mux.Names() {
		add(name, s.Mux.Lookup(name).Names())
	}
	for _, j := range s.Config.Jobs {
		for _, pattern := range j.Names {
			if !strings.HasPrefix(pattern, "*") { // which may mean anything
				add(pattern, []string{pattern})
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
