package laravel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel/phpserial"
)

// callBack is what PHP runs to call what waits for an event of a batch, as
// Laravel itself calls it: with the batch, and with an exception or null.
const callBack = `static function (\Illuminate\Bus\BatchRepository $batches) use ($id, $event, $failure) {
    if ($batch = $batches->find($id)) {
        $exception = is_null($failure) ? null : new \RuntimeException($failure);
        foreach ($batch->options[$event] ?? [] as $callback) {
            try {
                $callback($batch, $exception);
            } catch (\Throwable $thrown) {
                report($thrown);
            }
        }
    }
}`

// serializableClosure is the package whose closures Laravel 8 to 13 store.
const serializableClosure = `Laravel\SerializableClosure\`

// BatchCallbacks returns the job that has PHP call the closures with which a
// PHP application waits for an event of its batch; it is what
// [spool.BatchingOptions.PHP] wants. Any Laravel from 8.83 on can run it without
// code of ours: it is a queued closure, signed with [Options.Key], without which
// PHP would refuse it. It goes where [Options.PHPConnection] and
// [Options.PHPQueue] say, else where the batch does. failure is why the member
// failed that brought the event about; "" is none.
func (f *Format) BatchCallbacks(b spool.BatchRecord, e spool.BatchEvent, failure string) (any, error) {
	if f.crypt == nil {
		return nil, errors.New("laravel: the closures of a batch can't be handed to PHP: APP_KEY is not set, and PHP runs nothing that isn't signed with it")
	}
	use := &phpserial.Array{}
	use.Set(phpserial.StrKey("id"), b.ID)
	use.Set(phpserial.StrKey("event"), string(e))
	use.Set(phpserial.StrKey("failure"), nil)
	if failure != "" {
		use.Set(phpserial.StrKey("failure"), failure)
	}
	native, err := phpserial.Encode(&phpserial.Object{Class: serializableClosure + `Serializers\Native`, Props: []Prop{
		Public("use", use), Public("function", callBack), Public("scope", nil), Public("this", nil), Public("self", b.ID),
	}})
	if err != nil {
		return nil, fmt.Errorf("laravel: callbacks of a batch: %w", err)
	}
	mac := hmac.New(sha256.New, f.crypt.keys[0])
	mac.Write([]byte(native))
	signed := &phpserial.Object{Class: serializableClosure + `Serializers\Signed`, Props: []Prop{
		Public("serializable", native), Public("hash", base64.StdEncoding.EncodeToString(mac.Sum(nil))),
	}}
	job := NewCommand(closureClass, Public("closure", &phpserial.Object{Class: serializableClosure + `SerializableClosure`, Props: []Prop{Public("serializable", signed)}}))
	connection, queue := b.Options.Connection, b.Options.Queue
	if f.phpConnection != "" || f.phpQueue != "" {
		connection, queue = f.phpConnection, f.phpQueue
	}
	job.setText("connection", connection)
	job.setText("queue", queue)
	return spool.With(job, spool.DisplayName("batch "+b.ID+" ("+string(e)+")")), nil
}
