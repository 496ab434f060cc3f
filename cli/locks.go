package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/cache"
)

// lockListCommand is lock:list, which Laravel has not.
func lockListCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lock:list [prefix]",
		Short: "List locks that are held",
		Long: `List the locks in the cache that are held: of unique jobs, of jobs that must not overlap, of
the application. The owner of a unique job's lock is the job's uuid, unless PHP has dispatched
it. The prefix is that of their names, e.g. laravel_unique_job: or laravel-queue-overlap:.
File stores can't list theirs.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.lockList(cmd.Context(), first(args), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each lock")
	return cmd
}

// heldLock is a lock in JSON.
type heldLock struct {
	Name  string     `json:"name"`
	Owner string     `json:"owner"`
	Ends  *time.Time `json:"ends,omitempty"` // unless it lasts until it is released
}

func (e *env) lockList(ctx context.Context, prefix string, asJSON bool) error {
	store, err := e.signals(ctx)
	if err != nil {
		return err
	}
	l, ok := store.(cache.LockLister)
	if !ok {
		return fmt.Errorf("the cache store %s can't list its locks: the names of its files are hashes; lock:release frees one by its name", e.cfg.Cache.Default)
	}
	n := 0
	err = l.Locks(ctx, prefix, func(k cache.Lock) error {
		n++
		if asJSON {
			j := heldLock{Name: k.Name, Owner: k.Owner}
			if !k.Ends.IsZero() {
				j.Ends = new(k.Ends.UTC().Truncate(time.Second))
			}
			return e.object(j)
		}
		ends := "until it is released"
		if !k.Ends.IsZero() {
			ends = "for " + time.Until(k.Ends).Round(time.Second).String()
		}
		e.say("%s\t%s\t%s", printable(k.Name), printable(k.Owner), ends)
		return nil
	})
	if err == nil && n == 0 && !asJSON {
		e.say("No locks found.")
	}
	return err
}

// lockReleaseCommand is lock:release, which Laravel has not.
func lockReleaseCommand(e *env) *cobra.Command {
	var owner string
	cmd := &cobra.Command{
		Use:   "lock:release name...",
		Short: "Free locks",
		Long: `Free locks by their names, whoever holds them: that of a unique job which is nowhere any
more, say. With --owner only that owner's are freed. A lock that was not held is an error,
after all others are freed.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return e.lockRelease(cmd.Context(), names, owner)
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "free only what this `OWNER` holds")
	return cmd
}

func (e *env) lockRelease(ctx context.Context, names []string, owner string) error {
	store, err := e.signals(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		holder, err := store.Owner(ctx, name)
		freed := err == nil && holder != ""
		switch {
		case !freed:
		case owner != "":
			freed, err = store.Release(ctx, name, owner)
		default:
			err = store.ForceRelease(ctx, name)
		}
		switch {
		case err != nil:
			errs = append(errs, err)
		case freed:
			e.say("Released %s, which %s held", printable(name), printable(holder))
		case holder != "":
			errs = append(errs, fmt.Errorf("lock %s is held by %s", printable(name), printable(holder)))
		default:
			errs = append(errs, fmt.Errorf("lock %s is not held", printable(name)))
		}
	}
	return errors.Join(errs...)
}
