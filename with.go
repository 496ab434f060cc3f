package spool

// Optioned is a job with options of its own, see [With].
type Optioned struct {
	name string
	job  any
	opts []DispatchOption
}

// With returns a job with options of its own, for what takes several jobs: a
// link of a chain, a member of a batch. They win over those the job carries
// ([Configured]).
func With(job any, opts ...DispatchOption) Optioned { return Optioned{job: job, opts: opts} }

// WithName is [With] under a name given by hand, as [Push] does.
func WithName(name string, data any, opts ...DispatchOption) Optioned {
	return Optioned{name: name, job: data, opts: opts}
}

// optioned returns the name and data of a job, which may be an [Optioned], and
// the options that go with it.
func optioned(job any) (name string, data any, o dispatch, err error) {
	given, ok := job.(Optioned)
	if !ok {
		given.job = job
	}
	if name = given.name; name == "" {
		if name, err = nameOf(given.job); err != nil {
			return "", nil, o, err
		}
	}
	if c, ok := given.job.(Configured); ok {
		for _, opt := range c.JobOptions() {
			opt.applyDispatch(&o)
		}
	}
	for _, opt := range given.opts {
		opt.applyDispatch(&o)
	}
	return name, given.job, o, nil
}

// JobName returns the name that a job is stored under, which may be an
// [Optioned].
func JobName(job any) (string, error) {
	if o, ok := job.(Optioned); ok {
		if o.name != "" {
			return o.name, nil
		}
		job = o.job
	}
	return nameOf(job)
}
