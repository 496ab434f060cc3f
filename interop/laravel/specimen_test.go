package laravel

import (
	"math"
	"time"

	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/laravel/phpserial"
)

// The jobs of app/app/Jobs, as a program in Go has them.

// specimen is App\Jobs\Specimen.
type specimen struct {
	Number                           int32
	Customer                         string
	Largest, Smallest                int64
	Price, Huge, Tiny, Whole         float64
	NegativeZero, Infinite, BelowAll float64
	NotANumber                       float64
	Yes, No                          bool
	Nothing                          *string
	Address                          address
	Nested                           nested
	Tags                             []string
	Color, Size                      string // the cases of enums
	Due, Made                        time.Time
	Buyer, Watchers                  laravel.ModelIdentifier
}

func (specimen) JobName() string { return `App\Jobs\Specimen` }

type address struct {
	Street, City string
	Code         *string
}

type nested struct {
	List []any
	Map  map[string]any
}

// secret is App\Jobs\Secret.
type secret struct {
	Card  string
	Bytes []byte
}

func (secret) JobName() string { return `App\Jobs\Secret` }

// reminder is App\Jobs\Reminder.
type reminder struct {
	Due int64
}

func (reminder) JobName() string { return `App\Jobs\Reminder` }

// theSpecimen is what Specimen::make makes.
func theSpecimen() specimen {
	return specimen{
		Number: 7, Customer: "订单 \"é\" 🚀/\\\x00\n", Largest: math.MaxInt64, Smallest: math.MinInt64,
		Price: -0.1, Huge: 1e100, Tiny: 5e-324, Whole: 3, NegativeZero: math.Copysign(0, -1),
		Infinite: math.Inf(1), BelowAll: math.Inf(-1), NotANumber: math.NaN(), Yes: true,
		Address: address{Street: "南京路 1", City: "Shanghai"},
		Nested: nested{
			List: []any{int64(1), 2.5, "三", nil, true},
			Map:  map[string]any{"5": "five", "a.b": map[string]any{"x": []any{}}},
		},
		Tags: []string{"急", "b"}, Color: "Green", Size: "Large",
		Due:      time.Date(2026, 2, 28, 23, 59, 59, 1000, shanghai()),
		Made:     time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.FixedZone("", 2*60*60)),
		Buyer:    laravel.ModelIdentifier{Class: `App\Models\Customer`, ID: int64(1), Relations: []string{}},
		Watchers: laravel.ModelIdentifier{Class: `App\Models\Customer`, ID: []any{int64(2), int64(1)}, Relations: []string{}},
	}
}

func shanghai() *time.Location {
	loc, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err)
	}
	return loc
}

// specimenInPHP is what the PHP class says of theSpecimen, property by property.
func specimenInPHP() map[string]string {
	return map[string]string{
		"number": "7", "customer": "'订单 \"é\" 🚀/\\\\' . \"\\0\" . '\n'",
		"largest": "9223372036854775807", "smallest": "-9223372036854775807-1",
		"price": "-0.1", "huge": "1.0E+100", "tiny": "5.0E-324", "whole": "3.0", "negativeZero": "-0.0",
		"infinite": "INF", "belowAll": "-INF", "notANumber": "NAN", "yes": "true", "no": "false", "nothing": "NULL",
		"address": `App\Support\Address street=南京路 1 city=Shanghai code=NULL`,
		"nested":  `{"list":[1,2.5,"三",null,true],"map":{"5":"five","a.b":{"x":[]}}}`,
		"tags":    `Illuminate\Support\Collection ["急","b"]`,
		"color":   `App\Support\Color::Green`, "size": `App\Support\Size::Large`,
		"due":      `Illuminate\Support\Carbon 2026-02-28T23:59:59.000001+08:00 Asia/Shanghai`,
		"made":     `DateTimeImmutable 2024-02-29T12:34:56.789012+02:00 +02:00`,
		"buyer":    `App\Models\Customer 1 客户 1`,
		"watchers": `Illuminate\Database\Eloquent\Collection: App\Models\Customer 2 客户 2, App\Models\Customer 1 客户 1`,
	}
}

// command is the specimen as an object of the PHP class: what differs from the
// class's defaults, and what has none.
func (s specimen) command() *laravel.Command {
	return laravel.NewCommand(`App\Jobs\Specimen`,
		laravel.Public("number", s.Number), laravel.Protected("customer", s.Customer),
		laravel.Private("largest", s.Largest), laravel.Private("smallest", s.Smallest),
		laravel.Protected("price", s.Price), laravel.Public("huge", s.Huge), laravel.Public("tiny", s.Tiny),
		laravel.Public("negativeZero", s.NegativeZero), laravel.Private("infinite", s.Infinite),
		laravel.Private("belowAll", s.BelowAll), laravel.Private("notANumber", s.NotANumber),
		laravel.Public("nothing", s.Nothing),
		laravel.Protected("address", &phpserial.Object{Class: `App\Support\Address`, Props: []laravel.Prop{
			laravel.Public("street", s.Address.Street), laravel.Protected("city", s.Address.City), laravel.Private("code", s.Address.Code),
		}}),
		laravel.Private("nested", map[string]any{"list": s.Nested.List, "map": s.Nested.Map}),
		laravel.Public("tags", &phpserial.Object{Class: `Illuminate\Support\Collection`, Props: []laravel.Prop{laravel.Protected("items", s.Tags)}}),
		laravel.Public("color", &phpserial.Enum{Class: `App\Support\Color`, Case: s.Color}),
		laravel.Protected("size", &phpserial.Enum{Class: `App\Support\Size`, Case: s.Size}),
		laravel.Public("due", laravel.Carbon(s.Due)),
		laravel.Protected("made", &phpserial.Object{Class: `DateTimeImmutable`, Props: laravel.Carbon(s.Made).Props}),
		laravel.Public("buyer", s.Buyer), laravel.Protected("watchers", s.Watchers),
	)
}
