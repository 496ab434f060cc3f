package redisqueue

import (
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
)

// Layout is what one system stores in Redis: how it names the keys of a queue,
// and how its scripts change them. It is data: the verbs of [Conn] are the
// same for every layout.
//
// The keys of a queue are Before + name + After and the four endings, behind
// the prefix of the client. The ready list has no ending.
type Layout struct {
	Name string // for messages, "laravel"

	Before, After     string // "queues:" and ""
	Delayed, Reserved string // endings, ":delayed"
	// Notify is the ending of the list that wakes waiting workers; empty if
	// there is none: then nothing is added to it and Wait only looks now and
	// then.
	Notify string
	// Workers is the key of the records of workers, behind the prefix of the
	// client: the same for layouts that have keys of queues in common, and one
	// that can't be a queue's. Empty if there are none.
	Workers string

	// CountsNext says that the number in a payload is that of its present or next
	// delivery, 1 in a new job, rather than how many there were.
	CountsNext bool

	Scripts Scripts
}

// Scripts are the Lua texts of a layout. The head of each file in lua/ tells
// keys, arguments and answer; a layout that counts attempts elsewhere replaces
// the texts and keeps those. A layout without notify list is given no key for it.
// One without Select takes no jobs by selection.
// Deleting is the same everywhere: the member leaves the reserved set.
type Scripts struct {
	Push, Reserve, Select, Release, Return, Extend, Rescue, Due string
}

// plainWorkers is the key of the records beside queues without braces.
const plainWorkers = "spool:workers"

// Laravel returns the layout of Laravel 8 to 13 (and of Horizon): lists and
// sorted sets under queues:NAME, attempts counted in the payload when a job is
// taken, one element in queues:NAME:notify for each ready job.
func Laravel() Layout {
	return Layout{
		Name:     "laravel",
		Before:   "queues:",
		Delayed:  ":delayed",
		Reserved: ":reserved",
		Notify:   ":notify",
		Workers:  plainWorkers,
		Scripts:  countedAtReserve(),
	}
}

// The layouts of think-queue. None has a notify list or a prefix: what a worker
// isn't told by a push through its own connection it finds by looking.

// ThinkQueue1 returns the layout of think-queue 1.1 to 2.0 (profile tq1): the
// keys of Laravel, but the number in a payload begins at 1 and rises when a job
// is released or its lease runs out.
func ThinkQueue1() Layout {
	return Layout{
		Name: "tq1", Before: "queues:", Delayed: ":delayed", Reserved: ":reserved",
		Workers: plainWorkers, CountsNext: true, Scripts: countedLater(),
	}
}

// ThinkQueue3Legacy returns the layout of think-queue 3.0.2 to 3.0.4 (profile
// tq3-legacy): the keys of tq1, attempts counted as Laravel does.
func ThinkQueue3Legacy() Layout {
	return Layout{
		Name: "tq3-legacy", Before: "queues:", Delayed: ":delayed", Reserved: ":reserved",
		Workers: plainWorkers, Scripts: countedAtReserve(),
	}
}

// ThinkQueue3 returns the layout of think-queue 3.0.5 and later (profile tq3):
// the keys are in braces, {queues:NAME}, so that a cluster keeps them together.
func ThinkQueue3() Layout {
	return Layout{
		Name: "tq3", Before: "{queues:", After: "}", Delayed: ":delayed", Reserved: ":reserved",
		Workers: "spool:workers:tq3", Scripts: countedAtReserve(),
	}
}

// countedAtReserve are the scripts of layouts whose payload counts the
// deliveries there were.
func countedAtReserve() Scripts {
	return Scripts{
		Push:    clockLua + pushLua,
		Reserve: attemptsLua + countedLua + clockLua + heldLua + moveLua + reserveLua,
		Select:  attemptsLua + countedLua + clockLua + heldLua + moveLua + selectLua,
		Release: uncountedLua + clockLua + heldLua + releaseLua,
		Return:  clockLua + heldLua + returnLua,
		Extend:  clockLua + heldLua + extendLua,
		Rescue:  uncountedLua + clockLua + moveLua + rescueLua,
		Due:     clockLua + dueLua,
	}
}

// countedLater are those of layouts whose payload says which delivery is next.
func countedLater() Scripts {
	return Scripts{
		Push:    clockLua + pushLua,
		Reserve: attemptsLua + countedLaterLua + clockLua + heldLua + moveLua + reserveLua,
		Select:  attemptsLua + countedLaterLua + clockLua + heldLua + moveLua + selectLua,
		Release: attemptsLua + countedLaterLua + clockLua + heldLua + releaseLua,
		Return:  clockLua + heldLua + returnLua,
		Extend:  clockLua + heldLua + extendLua,
		Rescue:  attemptsLua + countedLaterLua + clockLua + moveLua + rescueLua,
		Due:     clockLua + dueLua,
	}
}

var (
	//go:embed lua/attempts.lua
	attemptsLua string
	//go:embed lua/counted.lua
	countedLua string
	//go:embed lua/uncounted.lua
	uncountedLua string
	//go:embed lua/countedlater.lua
	countedLaterLua string
	//go:embed lua/clock.lua
	clockLua string
	//go:embed lua/held.lua
	heldLua string
	//go:embed lua/move.lua
	moveLua string
	//go:embed lua/push.lua
	pushLua string
	//go:embed lua/reserve.lua
	reserveLua string
	//go:embed lua/select.lua
	selectLua string
	//go:embed lua/delete.lua
	deleteLua string
	//go:embed lua/release.lua
	releaseLua string
	//go:embed lua/return.lua
	returnLua string
	//go:embed lua/extend.lua
	extendLua string
	//go:embed lua/rescue.lua
	rescueLua string
	//go:embed lua/due.lua
	dueLua string
)

// keys are the names of a queue's keys.
type keys struct {
	ready, delayed, reserved string
	notify                   string // empty if the layout has none
}

// all returns the keys that exist in the layout.
func (k keys) all() []string {
	names := []string{k.ready, k.delayed, k.reserved}
	if k.notify != "" {
		names = append(names, k.notify)
	}
	return names
}

// keys returns the keys of a queue. A cluster keeps them together only if the
// name is tagged, so there an untagged name gets braces, as Laravel 13 does
// (which looks at the name only, whatever the prefix).
func (l *Layout) keys(prefix, queue string, cluster bool) keys {
	if cluster && !tagged(l.Before+queue+l.After) {
		queue = "{" + queue + "}"
	}
	ready := prefix + l.Before + queue + l.After
	k := keys{ready: ready, delayed: ready + l.Delayed, reserved: ready + l.Reserved}
	if l.Notify != "" {
		k.notify = ready + l.Notify
	}
	return k
}

// scattered returns why a cluster would spread the keys of a queue over its
// nodes, so that no script could see them together; nil if it wouldn't.
func (l *Layout) scattered(prefix, queue string) error {
	switch {
	case tagged(l.keys(prefix, queue, true).ready):
		return nil
	case !tagged(prefix + "{x}"):
		return fmt.Errorf("redisqueue: with the prefix %q a Redis Cluster spreads the keys of a queue over its nodes: it has {} in it, which switches hash tags off; change the prefix", prefix)
	}
	return fmt.Errorf("redisqueue: the queue name %q can't be used on a Redis Cluster: a name that begins with } can't be put in braces, which keep a queue's keys on one node; rename the queue, or give it a hash tag of its own, {like}this", queue)
}

// tagged says whether a key has a hash tag: {…} with something in it.
func tagged(key string) bool {
	_, rest, ok := strings.Cut(key, "{")
	return ok && strings.IndexByte(rest, '}') > 0
}

// The parts of a queue, as queueOf tells them apart.
type part int

const (
	ready part = iota
	delayed
	reserved
	notify
)

// queueOf undoes keys: it returns the queue and the part that a key seems to
// belong to. A queue may itself be named "x:delayed", so the caller looks at
// the type of the key before it believes in an ending. ok is false if the key
// is no queue's.
func (l *Layout) queueOf(prefix, key string, cluster bool) (queue string, p part, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix+l.Before)
	if !ok {
		return "", 0, false
	}
	for _, ending := range []struct {
		text string
		part part
	}{{l.Delayed, delayed}, {l.Reserved, reserved}, {l.Notify, notify}} {
		cut, found := strings.CutSuffix(rest, l.After+ending.text)
		if ending.text != "" && found && cut != "" {
			return untag(cut, cluster), ending.part, true
		}
	}
	if rest, ok = strings.CutSuffix(rest, l.After); !ok || rest == "" {
		return "", 0, false
	}
	return untag(rest, cluster), ready, true
}

// untag takes off the braces that keys put on.
func untag(queue string, cluster bool) string {
	if inner, ok := strings.CutPrefix(queue, "{"); ok && cluster {
		if name, ok := strings.CutSuffix(inner, "}"); ok {
			return name
		}
	}
	return queue
}

// script is a Lua text and the name that the server keeps it under.
type script struct{ text, sha string }

func newScript(text string) script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // see the import
	return script{text: text, sha: hex.EncodeToString(sum[:])}
}
