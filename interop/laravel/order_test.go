package laravel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/spoolq/spool/laravel"
)

// The names of the application's jobs.
const (
	classJob   = `App\Jobs\ShipOrder`
	stringJob  = `App\Handlers\Order@ship`
	refusedJob = `App\Handlers\Order@refuse`
)

// order is the data of all jobs, the properties of App\Jobs\ShipOrder.
type order struct {
	ID       int64   `json:"id"`
	Customer string  `json:"customer"`
	Total    float64 `json:"total"`
	Paid     bool    `json:"paid"`
	Note     *string `json:"note"`
	Big      int64   `json:"big"`
	Lines    []line  `json:"lines"`
	Limits   limits  `json:"limits"`
}

type line struct {
	SKU   string   `json:"sku"`
	Qty   int      `json:"qty"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

type limits struct {
	Min int64  `json:"min"`
	Max *int64 `json:"max"`
}

// sample is the data of job number i: the same as App\Support\Sample makes.
func sample(i int) order {
	o := order{
		ID: int64(i), Customer: fmt.Sprintf(`订单 %d/"é"`, i), Total: float64(i) + 0.25, Paid: i%2 == 0,
		Big: 9007199254740993 + int64(i),
		Lines: []line{
			{SKU: fmt.Sprintf("A-%d", i), Qty: 2, Price: 0.1, Tags: []string{"急", "x"}},
			{SKU: "B/2", Qty: i, Price: -1.5, Tags: []string{}},
		},
		Limits: limits{Min: int64(-i)},
	}
	if i%3 == 0 {
		o.Note = new(fmt.Sprintf("备注 %d", i))
	}
	return o
}

// samples are the data of jobs 1 to n.
func samples(n int) []order {
	os := make([]order, n)
	for i := range os {
		os[i] = sample(i + 1)
	}
	return os
}

// stringJobOf is an order as the data of a string job.
type stringJobOf struct {
	order
	name string
}

func (j stringJobOf) JobName() string { return j.name }

// named are string jobs 1 to n of that name.
func named(name string, n int) []stringJobOf {
	jobs := make([]stringJobOf, n)
	for i := range jobs {
		jobs[i] = stringJobOf{sample(i + 1), name}
	}
	return jobs
}

// commands are class jobs 1 to n.
func commands(n int) []*laravel.Command {
	jobs := make([]*laravel.Command, n)
	for i := range jobs {
		jobs[i] = sample(i + 1).command()
	}
	return jobs
}

// command is the order as an object of the PHP class, each property with its
// visibility.
func (o order) command() *laravel.Command {
	var lines []any
	for _, l := range o.Lines {
		lines = append(lines, map[string]any{"sku": l.SKU, "qty": l.Qty, "price": l.Price, "tags": l.Tags})
	}
	return laravel.NewCommand(classJob,
		laravel.Public("id", o.ID), laravel.Protected("customer", o.Customer), laravel.Private("total", o.Total),
		laravel.Public("paid", o.Paid), laravel.Protected("note", o.Note), laravel.Private("big", o.Big),
		laravel.Protected("lines", lines), laravel.Private("limits", map[string]any{"min": o.Limits.Min, "max": o.Limits.Max}))
}

// parse reads data that PHP wrote; it must be an order and nothing else.
func parse(t *testing.T, data []byte) order {
	t.Helper()
	var o order
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return o
}
