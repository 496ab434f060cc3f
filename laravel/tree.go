package laravel

import (
	"strings"
	"time"

	"github.com/spoolq/spool/internal/assign"
	"github.com/spoolq/spool/laravel/phpserial"
)

// ModelIdentifier stands for an Eloquent model in a job, or for a collection
// of them: the job carries no more of it. As the value of a [Prop] it makes
// PHP load the model.
type ModelIdentifier struct {
	Class string `json:"class"`
	// ID is the key of the model, or a list of keys for a collection.
	ID         any      `json:"id"`
	Relations  []string `json:"relations"`
	Connection string   `json:"connection"`
	// CollectionClass is the class of a collection that isn't Eloquent's own
	// (Laravel 9 and later).
	CollectionClass string `json:"collectionClass"`
}

// MarshalPHP implements [phpserial.Marshaler].
func (m ModelIdentifier) MarshalPHP() (any, error) {
	relations := make([]any, len(m.Relations))
	for i, r := range m.Relations {
		relations[i] = r
	}
	o := &phpserial.Object{Class: `Illuminate\Contracts\Database\ModelIdentifier`, Props: []Prop{
		Public("class", m.Class), Public("id", m.ID), Public("relations", phpserial.List(relations...)), Public("connection", orNull(m.Connection)),
	}}
	if m.CollectionClass != "" {
		o.Props = append(o.Props, Public("collectionClass", m.CollectionClass))
	}
	return o, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Carbon returns t as the object that Laravel's now() makes, to the
// microsecond. A location without a name of its own becomes its offset.
func Carbon(t time.Time) *phpserial.Object {
	kind, zone := int64(3), t.Location().String()
	if zone == "" || zone == "Local" || !strings.Contains(zone, "/") && zone != "UTC" {
		kind, zone = 1, t.Format("-07:00")
	}
	return &phpserial.Object{Class: `Illuminate\Support\Carbon`, Props: []Prop{
		Public("date", t.Format("2006-01-02 15:04:05.000000")), Public("timezone_type", kind), Public("timezone", zone),
	}}
}

// node shows an array or object of a PHP tree to package assign.
type node struct {
	arr   *phpserial.Array // or
	obj   *phpserial.Object
	props []phpserial.Prop // of obj, those to be seen
	ref   bool
}

var _ assign.Node = (*node)(nil)

// treeOf returns a PHP value as package assign takes it. An enum is the name of
// its case; a collection is its items, a Stringable its text.
func treeOf(v any) any {
	switch v := v.(type) {
	case string:
		return assign.Raw(v)
	case *phpserial.Array:
		return &node{arr: v}
	case *phpserial.Object:
		return object(v)
	case *phpserial.Enum:
		return assign.Raw(v.Case)
	case *phpserial.Custom:
		return assign.Raw(v.Data)
	case *phpserial.Shared:
		return treeOf(v.Value)
	case *phpserial.Ref:
		t := treeOf(phpserial.Resolve(v))
		if n, ok := t.(*node); ok {
			n.ref = true
		}
		return t
	}
	return v
}

func object(o *phpserial.Object) any {
	if len(o.Props) > 2 || o.Class == "stdClass" {
		return &node{obj: o, props: o.Props}
	}
	switch {
	case strings.HasSuffix(o.Class, `\Collection`):
		v, _ := o.Get("items")
		if items, ok := v.(*phpserial.Array); ok {
			return &node{arr: items}
		}
	case o.Class == `Illuminate\Support\Stringable`:
		v, _ := o.Get("value")
		if s, ok := v.(string); ok {
			return assign.Raw(s)
		}
	}
	return &node{obj: o, props: o.Props}
}

// Class implements [assign.Node].
func (n *node) Class() string {
	if n.obj != nil {
		return n.obj.Class
	}
	return ""
}

// Len implements [assign.Node].
func (n *node) Len() int {
	if n.obj != nil {
		return len(n.props)
	}
	return len(n.arr.Entries)
}

// At implements [assign.Node].
func (n *node) At(i int) (string, any) {
	if n.obj != nil {
		return n.props[i].Name, treeOf(n.props[i].Value)
	}
	return n.arr.Entries[i].Key.String(), treeOf(n.arr.Entries[i].Value)
}

// List implements [assign.Node].
func (n *node) List() bool { return n.obj == nil && n.arr.IsList() }

// Identity implements [assign.Node].
func (n *node) Identity() (id any, ref bool) {
	if n.obj != nil {
		return n.obj, n.ref
	}
	return n.arr, n.ref
}
