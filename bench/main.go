package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	p := &plan{say: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
	}}
	drivers := flag.String("driver", "", "stores to measure, with commas; all but those marked as extra")
	names := flag.String("case", "", "cases to run, with commas; all")
	who := flag.String("who", "spool,raw", "contestants, with commas; ratios are of the first")
	flag.IntVar(&p.rounds, "rounds", 5, "turns of each contestant")
	flag.DurationVar(&p.aim, "time", time.Second, "how long one measurement should take")
	width := flag.Int("width", 0, "fix the setting of a drain instead of trying several")
	limit := flag.Duration("timeout", 45*time.Minute, "end of everything")
	asJSON := flag.Bool("json", false, "print JSON, every round of it, instead of tables")
	cpu := flag.String("cpuprofile", "", "write a CPU profile of the whole run to `file`")
	mem := flag.String("memprofile", "", "write a profile of all allocations to `file`")
	flag.Usage = usageText
	flag.Parse()

	if p.stores, err = pick(*drivers, storeKinds(), func(k storeKind) (string, bool) { return k.name, k.extra }); err != nil {
		return err
	}
	if p.cases, err = pick(*names, cases(), func(c *testcase) (string, bool) { return c.name, false }); err != nil {
		return err
	}
	if p.contestants, err = pick(*who, contestants(), func(c *contestant) (string, bool) { return c.name, false }); err != nil {
		return err
	}
	if *width > 0 {
		for _, c := range p.cases {
			if c.drains() {
				c.task.Width = *width
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("not finished after %v", *limit))
	defer cancel()
	profiled, err := profile(*cpu, *mem)
	if err != nil {
		return err
	}
	r := newReport(p)
	for _, k := range p.stores {
		sh, e := p.measureStore(ctx, k)
		if sh != nil { // what was measured is worth printing
			r.Sheets = append(r.Sheets, sh)
		}
		if err = errors.Join(err, e); ctx.Err() != nil {
			break
		}
	}
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return errors.Join(err, profiled(), enc.Encode(r))
	}
	r.write(os.Stdout)
	return errors.Join(err, profiled())
}

// pick returns the items named in a list with commas, in that order; all that
// aren't extra if the list is empty.
func pick[T any](list string, items []T, name func(T) (string, bool)) ([]T, error) {
	if list == "" {
		return slices.DeleteFunc(items, func(t T) bool { _, extra := name(t); return extra }), nil
	}
	var picked []T
	for want := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(items, func(t T) bool { n, _ := name(t); return n == want })
		if i < 0 {
			var known []string
			for _, t := range items {
				n, _ := name(t)
				known = append(known, n)
			}
			return nil, fmt.Errorf("there is no %q; there are %s", want, strings.Join(known, ", "))
		}
		picked = append(picked, items[i])
	}
	return picked, nil
}

// profile starts what the flags ask for and returns what ends it.
func profile(cpu, mem string) (stop func() error, err error) {
	var f *os.File
	if cpu != "" {
		if f, err = os.Create(cpu); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
	}
	return func() error {
		if f != nil {
			pprof.StopCPUProfile()
			if err := f.Close(); err != nil {
				return err
			}
		}
		if mem == "" {
			return nil
		}
		m, err := os.Create(mem)
		if err != nil {
			return err
		}
		return errors.Join(pprof.Lookup("allocs").WriteTo(m, 0), m.Close())
	}, nil
}

func usageText() {
	w := flag.CommandLine.Output()
	fmt.Fprintln(w, "bench measures Spool beside other ways to move jobs through the same store.\n\nflags:")
	flag.PrintDefaults()
	fmt.Fprintln(w, "\nstores:")
	for _, k := range storeKinds() {
		extra := ""
		if k.extra {
			extra = " (extra)"
		}
		fmt.Fprintf(w, "  %-14s %s%s\n", k.name, k.durability, extra)
	}
	fmt.Fprintln(w, "\ncases:")
	for _, c := range cases() {
		fmt.Fprintf(w, "  %-14s %s\n", c.name, c.about)
	}
	fmt.Fprintln(w, "\ncontestants:")
	for _, c := range contestants() {
		fmt.Fprintf(w, "  %-14s %s\n", c.name, c.about(&store{storeKind: storeKind{family: redisStore}}))
	}
}
