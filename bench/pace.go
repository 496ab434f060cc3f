package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// pace pushes the jobs of a latency task at its rhythm.
func pace(ctx context.Context, t task, push func(i int) error) error {
	begun := time.Now()
	for i := range t.Jobs {
		pause := t.Every/2 + rand.N(t.Every)
		if !t.Idle {
			pause = time.Until(begun.Add(time.Duration(i) * t.Every))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		if err := push(i); err != nil {
			return err
		}
	}
	return nil
}
