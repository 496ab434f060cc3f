package spool_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spoolq/spool"
)

type Refresh struct{ N int }

func TestDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := locked(t, nil)
		dropped := 0
		spool.Listen(c.Manager().Events(), func(context.Context, spool.JobDebounced) { dropped++ })
		mux := spool.NewMux()
		var ran []int
		spool.Handle(mux, func(_ context.Context, r Refresh) error { ran = append(ran, r.N); return nil })
		for n := range 4 {
			if _, err := spool.Dispatch(t.Context(), c, Refresh{n}, spool.Debounce(30*time.Second, "a")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
			drain(t, c, mux)
		}
		time.Sleep(time.Minute)
		drain(t, c, mux)
		if d := cmp.Diff([]int{3}, ran); d != "" || dropped != 3 {
			t.Errorf("ran %v, %d dropped", ran, dropped)
		}
	})
}

func TestDebounceWaitsNoLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := locked(t, nil)
		mux := spool.NewMux()
		var ran []int
		spool.Handle(mux, func(_ context.Context, r Refresh) error { ran = append(ran, r.N); return nil })
		for n := range 8 {
			if _, err := spool.Dispatch(t.Context(), c, Refresh{n}, spool.Debounce(30*time.Second, "a"), spool.MaxWait(time.Minute)); err != nil {
				t.Fatal(err)
			}
			drain(t, c, mux)
			time.Sleep(20 * time.Second)
		}
		if d := cmp.Diff([]int{3, 7}, ran); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
}

// A job whose push failed must not take the place of the one before it, and a
// cache that forgets, or is emptied, loses none.
func TestDebounceLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := locked(t, nil)
		mux := spool.NewMux()
		var ran []int
		spool.Handle(mux, func(_ context.Context, r Refresh) error { ran = append(ran, r.N); return nil })
		const key = "laravel_debounced_job:Refresh:a"
		push := func(n int) {
			t.Helper()
			if _, err := spool.Dispatch(t.Context(), c, Refresh{n}, spool.Debounce(time.Second, "a")); err != nil {
				t.Fatal(err)
			}
		}
		push(1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := spool.Dispatch(ctx, c, Refresh{2}, spool.Debounce(time.Second, "a")); err == nil {
			t.Fatal("a push with a context that has ended was accepted")
		}
		time.Sleep(2 * time.Second)
		drain(t, c, mux)
		push(3)
		old, _ := store.Many(t.Context(), key)
		push(4)
		if err := store.Put(t.Context(), key, old[key], 0); err != nil { // the mark of 4 was never written
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		drain(t, c, mux)
		push(5)
		if err := store.Forget(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		drain(t, c, mux)
		if d := cmp.Diff([]int{1, 3, 4, 5}, ran); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
}

// A chain whose first link is debounced is replaced as a whole, but not inside
// of a batch, which waits for every link.
func TestDebounceOfAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := locked(t, nil)
		mux := spool.NewMux()
		var ran []string
		spool.Handle(mux, func(_ context.Context, r Refresh) error { ran = append(ran, fmt.Sprint("first ", r.N)); return nil })
		mux.HandleFunc("second", func(_ context.Context, job *spool.Job) error {
			ran = append(ran, "second "+string(job.Payload.Data))
			return nil
		})
		for n := range 3 {
			if _, err := c.Chain(Refresh{n}, spool.WithName("second", n)).Dispatch(t.Context(), spool.Debounce(time.Second, "a")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		drain(t, c, mux)
		if d := cmp.Diff([]string{"first 2", "second 2"}, ran); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}

		ran = nil
		for n := range 2 { // links of batches
			first := spool.With(Refresh{n}, spool.Debounce(time.Second, "a"), spool.Extra("batchId", "no such batch"))
			if _, err := c.Chain(first, spool.WithName("second", n)).Dispatch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		drain(t, c, mux)
		if d := cmp.Diff([]string{"first 1", "second 0", "second 1"}, ran, cmpopts.SortSlices(strings.Compare)); d != "" {
			t.Errorf("in a batch (-want +got)\n%s", d)
		}
	})
}
