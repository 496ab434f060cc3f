package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spoolq/spool"
)

// downText is what Laravel reads from the file of maintenance mode.
const downText = `{
    "except": [],
    "redirect": null,
    "retry": null,
    "refresh": null,
    "secret": null,
    "status": 503,
    "template": null
}`

// Maintenance returns a function that says whether the application is down in
// a way that a worker doesn't see by itself: by its file, or in a cache store
// other than the default one. nil means that there is none.
func (s *Set) Maintenance() func() bool {
	m := s.Config.App.Maintenance
	switch {
	case m.Driver == "file" && m.File != "":
		return func() bool {
			_, err := os.Stat(m.File)
			return err == nil
		}
	case m.Driver == "cache" && s.maintenanceStore() != s.Config.Cache.Default:
		return s.downInCache
	}
	return nil
}

func (s *Set) maintenanceStore() string {
	return cmp.Or(s.Config.App.Maintenance.Store, s.Config.Cache.Default)
}

// downInCache asks the store of maintenance mode. A store that doesn't answer
// takes nothing down.
func (s *Set) downInCache() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := s.stores.get(ctx, s.maintenanceStore())
	if err != nil {
		return false
	}
	key := spool.LaravelKeys().Maintenance
	values, err := c.Many(ctx, key)
	_, down := values[key]
	return err == nil && down
}

// SetMaintenance begins or ends maintenance mode, the application's own PHP
// included, and says where that is written. Ending what hasn't begun is no
// error.
func (s *Set) SetMaintenance(ctx context.Context, down bool) (where string, err error) {
	m := s.Config.App.Maintenance
	if m.Driver == "cache" {
		where = "cache store " + s.maintenanceStore()
		c, err := s.stores.get(ctx, s.maintenanceStore())
		switch key := spool.LaravelKeys().Maintenance; {
		case err != nil:
		case down:
			err = c.Put(ctx, key, true, 0)
		default:
			err = c.Forget(ctx, key)
		}
		return where, err
	}
	if m.File == "" {
		return "", errors.New("app.maintenance.file is empty: name the file whose existence means maintenance")
	}
	if !down {
		err := os.Remove(m.File)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return m.File, err
	}
	if _, err := os.Stat(m.File); err == nil {
		return m.File, nil // it may say more than we would
	}
	if _, err := os.Stat(filepath.Dir(m.File)); err != nil {
		return m.File, fmt.Errorf("the folder of app.maintenance.file: %w; make it, or name another file there", err)
	}
	return m.File, os.WriteFile(m.File, []byte(downText), 0o666)
}
