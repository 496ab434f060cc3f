package config

import (
	"slices"
	"strings"
)

// nearest returns the known names that s may have meant, the best first, at
// most three.
func nearest(s string, known []string) []string {
	type match struct {
		name string
		d    int
	}
	var found []match
	low := strings.ToLower(s)
	for _, k := range known {
		lk := strings.ToLower(k)
		d := distance(low, lk)
		switch {
		case d <= 1+min(len(s), len(k))/4:
		case sameWords(low, lk):
			d = 4
		default:
			continue
		}
		found = append(found, match{k, d})
	}
	slices.SortStableFunc(found, func(a, b match) int { return a.d - b.d })
	var names []string
	for _, m := range found {
		names = append(names, m.name)
	}
	return names[:min(len(names), 3)]
}

// sameWords says whether the words of one name, split at _, are all words of
// the other: QUEUE_REDIS_RETRY_AFTER and REDIS_QUEUE_RETRY_AFTER.
func sameWords(a, b string) bool {
	wa, wb := strings.Split(a, "_"), strings.Split(b, "_")
	if len(wa) > len(wb) {
		wa, wb = wb, wa
	}
	for _, w := range wa {
		if !slices.Contains(wb, w) {
			return false
		}
	}
	return len(wa) > 1
}

// distance is the number of letters to add, drop, change or swap with their
// neighbour.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return max(len(x), len(y))
	}
	var older []int
	prev := make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, prev = prev, row
	}
	return prev[len(y)]
}

// didYouMean renders a hint for an unknown name: the nearest known ones and,
// where they are few, all known ones.
func didYouMean(s string, known []string) string {
	var b strings.Builder
	if n := nearest(s, known); len(n) > 0 {
		b.WriteString("; did you mean " + strings.Join(n, " or ") + "?")
	}
	if len(known) > 0 {
		b.WriteString(" (known: " + strings.Join(known, ", ") + ")")
	}
	return b.String()
}
