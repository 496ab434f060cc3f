package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// makeStubCommand is make:php-stub.
func makeStubCommand(e *env) *cobra.Command {
	s := stub{delay: secondsFlag(10 * time.Second)}
	var force bool
	cmd := &cobra.Command{
		Use:   "make:php-stub NAME",
		Short: "Write a PHP class that leaves a job to Go",
		Long: `Write a class for a Laravel application that hands the jobs of a name back, with a
delay and with the attempts they had: for a queue that PHP's workers share, who
can't skip a job that only Go knows.`,
		Example: "  " + e.name() + " make:php-stub emails.send",
		Args:    arguments(1, 1, "one name of a job, as in emails.send"),
		RunE: func(_ *cobra.Command, args []string) error {
			s.name = args[0]
			return e.makeStub(s, force)
		},
	}
	cmd.Flags().StringVar(&s.class, "class", "", "the stub's `CLASS` (App\\Jobs\\Go\\ and the job's name)")
	cmd.Flags().Var(&s.delay, "delay", "how long a job stays away from the workers (10)")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite its file")
	return cmd
}

// stub is a PHP class to be written.
type stub struct {
	name  string // of the job: CLASS, CLASS@METHOD, or any other text
	class string // with its namespace
	delay secondsFlag
}

var (
	phpClass  = regexp.MustCompile(`^[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*(\\[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)+$`)
	phpMethod = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// makeStub writes the class, and says how Laravel finds it.
func (e *env) makeStub(s stub, force bool) error {
	// Laravel resolves what stands before the @ in its container, and calls what
	// stands behind it.
	abstract, method, given := strings.Cut(s.name, "@")
	if !given {
		method = "fire"
	}
	if abstract == "" || !phpMethod.MatchString(method) || strings.ContainsFunc(s.name, unicode.IsControl) {
		return usagef("%q can't be the name of a job for PHP: it calls the method behind the @, or fire", s.name)
	}
	bind := true
	switch {
	case s.class != "":
		s.class = strings.TrimPrefix(s.class, `\`)
		bind = s.class != abstract
	case phpClass.MatchString(abstract):
		s.class, bind = abstract, false
	default:
		words := pascal(abstract)
		if words == "" {
			return usagef("%q makes no name of a class: say which with --class, e.g. --class='App\\Jobs\\Go\\MailStub'", s.name)
		}
		s.class = `App\Jobs\Go\` + words + "Stub"
	}
	if !phpClass.MatchString(s.class) {
		return usagef("%q can't be a PHP class in a namespace", s.class)
	}
	path, err := e.fileOf(s.class)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil && !force {
		return fmt.Errorf("%s exists: give --force to overwrite it, or another --class", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if err := writeNew(path, s.text(method), force); err != nil {
		return err
	}
	e.say("Wrote %s.", printable(path))
	if bind {
		e.note("Next: have a service provider of the application (app/Providers/AppServiceProvider.php, register) say which class runs the job:")
		e.note("    $this->app->bind(%s, \\%s::class);", phpString(abstract), s.class)
	}
	e.note("and restart PHP's workers: php artisan queue:restart")
	return nil
}

// pascal makes a name of the words of a text, each with a capital; "" if there
// is none to begin with a letter.
func pascal(s string) string {
	out := ""
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r > 'z' || !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		out += strings.ToUpper(word[:1]) + word[1:]
	}
	if out == "" || out[0] >= '0' && out[0] <= '9' {
		return ""
	}
	return out
}

// phpString is s as a string in PHP.
func phpString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// fileOf returns where Composer's autoloader looks for a class of the
// application: as composer.json says, App in the folder app without one.
func (e *env) fileOf(class string) (string, error) {
	root := e.path(".")
	var composer struct {
		Autoload struct {
			PSR4 map[string]any `json:"psr-4"`
		} `json:"autoload"`
	}
	folders := map[string]any{`App\`: "app/"}
	switch text, err := os.ReadFile(filepath.Join(root, "composer.json")); {
	case err == nil:
		if err := json.Unmarshal(text, &composer); err != nil {
			return "", fmt.Errorf("composer.json: %w", err)
		}
		folders = composer.Autoload.PSR4
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	longest, folder := "", ""
	for prefix, v := range folders {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		if dir, ok := v.(string); ok && strings.HasPrefix(class, prefix) && len(prefix) >= len(longest) {
			longest, folder = prefix, dir
		}
	}
	if folder == "" {
		return "", fmt.Errorf("the application autoloads no class %s: composer.json names no folder for its namespace (autoload.psr-4)", class)
	}
	rest := strings.ReplaceAll(strings.TrimPrefix(class, longest), `\`, "/")
	return filepath.Join(root, filepath.FromSlash(folder), filepath.FromSlash(rest)+".php"), nil
}

// text is the file of the class.
func (s stub) text(method string) []byte {
	cut := strings.LastIndex(s.class, `\`)
	var b bytes.Buffer
	_ = template.Must(template.New("").Parse(stubText)).Execute(&b, map[string]any{ // a buffer takes everything
		"Job": strings.ReplaceAll(s.name, "*/", "* /"), "Namespace": s.class[:cut], "Class": s.class[cut+1:], "Method": method,
		"Delay": int64((time.Duration(s.delay) + time.Second - 1) / time.Second),
	})
	return b.Bytes()
}

const stubText = `<?php

namespace {{.Namespace}};

use Illuminate\Queue\Jobs\BeanstalkdJob;
use Illuminate\Queue\Jobs\DatabaseJob;
use Illuminate\Queue\Jobs\RedisJob;

/**
 * The job {{.Job}} is run by Go workers only. A PHP worker on the same queue has
 * no way to pass it over, so this hands it back for the next worker.
 *
 * Releasing it the usual way would count an attempt, and with --tries=1 PHP would
 * fail it at its next meeting. So each store gets back what it held before.
 */
class {{.Class}}
{
    /** Seconds until a worker may take the job again. */
    const DELAY = {{.Delay}};

    public function {{.Method}}($job, $data)
    {
        $queue = app('queue')->connection($job->getConnectionName());

        if ($job instanceof RedisJob) {
            // The body still has the attempts from before; the reserved copy goes.
            $key = $queue->getQueue($job->getQueue());
            $queue->getConnection()->eval(
                "if redis.call('zrem', KEYS[2], ARGV[1]) == 1 then redis.call('zadd', KEYS[1], ARGV[3], ARGV[2]) end",
                2, $key.':delayed', $key.':reserved', $job->getReservedJob(), $job->getRawBody(), time() + self::DELAY
            );
            $job->delete();
        } elseif ($job instanceof DatabaseJob) {
            $queue->getDatabase()->transaction(function () use ($queue, $job) {
                $before = (object) ['payload' => $job->getRawBody(), 'attempts' => max($job->attempts() - 1, 0)];
                $job->delete();
                $queue->release($job->getQueue(), $before, self::DELAY);
            });
        } elseif ($job instanceof BeanstalkdJob) {
            // The server counts deliveries, of a job that is new from one again.
            $tube = $queue->getQueue($job->getQueue());
            if (class_exists('Pheanstalk\Values\TubeName')) { // since version 5
                $tube = new \Pheanstalk\Values\TubeName($tube);
            }
            $server = $queue->getPheanstalk();
            $server->useTube($tube);
            $server->put($job->getRawBody(), 1024, self::DELAY, config('queue.connections.'.$job->getConnectionName().'.retry_after') ?? 60);
            $job->delete();
        } else {
            $job->release(self::DELAY); // this attempt counts: a queue of its own is better
        }
    }
}
`
