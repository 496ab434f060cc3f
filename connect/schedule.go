package connect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	_ "time/tzdata" // for hosts without a database of time zones

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/schedule"
)

// addSchedule makes the scheduler, with the entries of the settings.
func (s *Set) addSchedule() error {
	zone, err := s.location()
	if err != nil {
		return err
	}
	id := s.Identity()
	s.Schedule = schedule.New(s.Client, s.later(), &schedule.Options{
		Location: zone, App: strings.TrimSpace(id.App + " " + id.Env), Restart: s.Restarts(), Logger: s.log,
	})
	for i := range s.Config.Schedule {
		c, key := &s.Config.Schedule[i], fmt.Sprintf("schedule[%d]", i)
		if name, err := addEntry(s.Schedule, c, s.zoneOf(c)); err != nil {
			return &config.Error{Source: s.Config.Source(key + "." + name), Key: key + "." + name, Err: err.Error()}
		}
	}
	return nil
}

// zoneOf names the zone of an entry.
func (s *Set) zoneOf(c *config.Scheduled) string {
	return cmp.Or(c.Zone, s.Config.App.Timezone, "UTC")
}

// addEntry adds an entry of the settings. name is the setting that an error is
// about.
func addEntry(s *schedule.Scheduler, c *config.Scheduled, zone string) (name string, err error) {
	data := json.RawMessage(cmp.Or(c.Data, "{}"))
	job := spool.WithName(c.Job, data, spool.OnConnection(c.Connection), spool.OnQueue(c.Queue))
	loc, err := schedule.Zone(zone)
	if err != nil {
		return "zone", err
	}
	var e *schedule.Entry
	switch {
	case c.Cron != "":
		name, e = "cron", s.Cron(c.Cron, job)
	case c.Every != 0:
		name, e = "every", s.Every(c.Every, job)
	default:
		t, err := c.Moment(loc)
		if err != nil {
			return "at", err
		}
		name, e = "at", s.At(t, job)
	}
	if err := e.In(zone).Check(); err != nil {
		return name, err
	}
	if err := e.Name(cmp.Or(c.Name, c.Job)).Check(); err != nil {
		return "name", err
	}
	if c.CatchUp != nil {
		e.CatchUp(*c.CatchUp)
	}
	return "catch_up", e.Check()
}
