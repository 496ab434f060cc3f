package listen

import (
	"testing"
	"time"
)

func TestChildrenThatDieAtOnceAreHeldBack(t *testing.T) {
	var p pace
	for i, want := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		if got := p.died(10 * time.Millisecond); got != want*time.Millisecond {
			t.Errorf("death %d: pause %v, want %v ms", i+1, got, want)
		}
	}
	for range 1000 {
		if got := p.died(0); got != maxBackoff {
			t.Fatal(got)
		}
	}
	if got := p.died(time.Second); got != 0 {
		t.Errorf("a child that lived: pause %v", got)
	}
	if got := p.died(0); got != 100*time.Millisecond {
		t.Errorf("the next death: pause %v", got)
	}
	p.worked()
	if got := p.died(0); got != 100*time.Millisecond {
		t.Errorf("after a job: pause %v", got)
	}
}

func TestWaitsInVainAreSlowedDown(t *testing.T) {
	var p pace
	const sleep = 300 * time.Millisecond
	for i, want := range []time.Duration{0, 50, 100, 200, 300, 300} {
		if got := p.waited(0, sleep); got != want*time.Millisecond {
			t.Errorf("wait %d: pause %v, want %v ms", i+1, got, want)
		}
	}
	if got := p.waited(sleep, sleep); got != 0 {
		t.Errorf("after a long wait: pause %v", got)
	}
	p.waited(0, sleep)
	p.worked()
	if got := p.waited(0, sleep); got != 0 {
		t.Errorf("after a job: pause %v", got)
	}
}
