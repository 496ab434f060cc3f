package think

import "github.com/spoolq/spool/internal/phpjson"

// Shape is which system a payload seems to come from.
type Shape string

// The shapes. TQ3 and TQ3Legacy have the same.
const (
	ShapeLaravel Shape = "Laravel"
	ShapeTQ1     Shape = "think-queue 1 or 2 (profile tq1)"
	ShapeTQ3     Shape = "think-queue 3 (profile tq3 or tq3-legacy)"
	ShapeUnknown Shape = ""
)

// ShapeOf tells a payload's origin by its keys and their order. It is a guess
// on the safe side: [ShapeUnknown] where two systems could have written it.
func ShapeOf(body []byte) Shape {
	var keys []string
	has := map[string]bool{}
	err := phpjson.Fields(body, func(key string, _ int, _ []byte) error {
		keys = append(keys, key)
		has[key] = true
		return nil
	})
	switch {
	case err != nil || len(keys) < 2 || !has["job"] || !has["data"]:
	case keys[0] != "job":
		if has["displayName"] && has["maxTries"] {
			return ShapeLaravel
		}
	case has["displayName"]: // Redis may have put Laravel's keys in any order
	case keys[1] == "maxTries" && len(keys) > 2 && keys[2] == "timeout":
		return ShapeTQ3
	case keys[1] == "data" && !has["failOnTimeout"]:
		return ShapeTQ1
	}
	return ShapeUnknown
}

// Shape returns what the payloads of a profile look like.
func (p Profile) Shape() Shape {
	if p == TQ1 {
		return ShapeTQ1
	}
	return ShapeTQ3
}
