package laravel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/assign"
	"github.com/spoolq/spool/internal/phpjson"
	"github.com/spoolq/spool/laravel/phpserial"
)

// Decode implements [spool.Format]. String jobs are read as [spool.Native]
// reads them. Of a class job:
//
//   - Name is data.commandName, the PHP class;
//   - Into maps the properties of the object, public or not, onto a struct by
//     name ("userId" fits a field UserID or one tagged user_id), nested objects,
//     models ([ModelIdentifier]), enums (by the name of the case), collections
//     and times included. What Laravel's traits keep in the object for the
//     queue's own use (connection, queue, chained …) is left out; [CommandOf]
//     has it;
//   - Data is the same as JSON.
//
// A command that can't be read leaves Data nil and makes Into fail, with a
// [*KeyError] if it is encrypted and the key is missing or wrong: then the job
// itself is in order, and should be put back.
func (f *Format) Decode(body []byte) (*spool.Payload, error) {
	p, err := spool.Native.Decode(body)
	if err != nil || p.Job != HandlerJob {
		return p, err
	}
	var e classEnvelope
	if err := e.read(p.Data); err != nil {
		return nil, fmt.Errorf("payload: data of a class job: %w", err)
	}
	cmd, err := f.command(e.class, e.command)
	if e.class == "" && cmd != nil {
		e.class = cmd.Class
	}
	if e.class == "" {
		return nil, errors.New(`payload: data of a class job: no "commandName"`)
	}
	p.Name = e.class
	if p.DisplayName == HandlerJob {
		p.DisplayName = e.class
	}
	p.Data = nil
	if err != nil {
		p.Into = func(any) error { return err }
		p.Chain = unknown{err}
		return p, nil
	}
	if p.DisplayName == e.class {
		p.DisplayName = cmd.displayName()
	}
	if p.Group == "" {
		p.Group = cmd.text("messageGroup")
	}
	if p.BatchEvent == "" { // or it is a callback
		p.BatchID = cmd.BatchID()
	}
	if text, err := assign.Render(cmd.own()); err == nil {
		p.Data = text
	}
	// Laravel 13 keeps owners in the object. Their keys only the class knows.
	if p.Unique == nil {
		p.Unique = f.uniqueOf(p, cmd, body)
	}
	if owner := cmd.text("debounceOwner"); owner != "" && p.Debounced == nil {
		p.Debounced = &spool.Claim{Owner: owner}
	}
	p.Chain = chained{cmd}
	p.Into = func(v any) error {
		if c, ok := v.(**Command); ok {
			*c = cmd
			return nil
		}
		return assign.PHP(cmd.own(), v)
	}
	return p, nil
}

// CommandOf returns the job object of a class job that [Format.Decode] has
// read, bookkeeping and all; nil without an error for any other job. It is
// shared: don't change it.
func CommandOf(p *spool.Payload) (*Command, error) {
	if p.Job != HandlerJob || p.Into == nil {
		return nil, nil
	}
	var c *Command
	err := p.Into(&c)
	return c, err
}

// classEnvelope is the data of a class job.
type classEnvelope struct {
	class, command string
}

func (e *classEnvelope) read(data []byte) error {
	if len(data) == 0 {
		return errors.New("there is none")
	}
	found := false
	err := phpjson.Fields(data, func(key string, _ int, v []byte) error {
		var dst *string
		switch key {
		case "commandName":
			dst = &e.class
		case "command":
			dst, found = &e.command, true
		default:
			return nil
		}
		if err := json.Unmarshal(v, dst); err != nil {
			return fmt.Errorf("%q is no text", key)
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New(`no "command"`)
	}
	return err
}

// command reads a serialized job, encrypted or not.
func (f *Format) command(class, text string) (*Command, error) {
	// An object is plain; Laravel tells it the same way.
	encrypted := !strings.HasPrefix(text, "O:")
	if encrypted {
		var err error
		if text, err = f.decrypt(class, text); err != nil {
			return nil, err
		}
	}
	c, err := ParseCommand(text, &f.limits)
	if err != nil {
		return nil, fmt.Errorf("command of %s: %w", class, err)
	}
	c.Encrypt, c.format = encrypted, f
	return c, nil
}

// decrypt returns the serialized object of an encrypted command.
func (f *Format) decrypt(class, text string) (string, error) {
	sealed, err := openSealed(text)
	if err != nil {
		return "", fmt.Errorf("command of %s is neither a PHP object nor encrypted: %w", class, err)
	}
	if f.crypt == nil {
		return "", &KeyError{Class: class, Setting: "APP_KEY", Reason: "it is not set"}
	}
	plain, err := f.crypt.decrypt(sealed)
	if err != nil {
		var k *KeyError
		if errors.As(err, &k) {
			k.Class = class
			return "", k
		}
		return "", fmt.Errorf("command of %s: %w", class, err)
	}
	v, err := phpserial.Decode(plain, &f.limits)
	if err != nil {
		return "", fmt.Errorf("command of %s, decrypted: %w", class, err)
	}
	inner, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("command of %s, decrypted: not a serialized job", class)
	}
	return inner, nil
}
