package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	var file, out strings.Builder
	for i := range 1000 {
		if i == 150 {
			fmt.Fprintln(&file, "no columns")
		}
		fmt.Fprintf(&file, "%d,customer\n", i)
	}
	if err := run(t.Context(), strings.NewReader(file.String()), "customers.csv", &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"91 %\n", "customers.csv: 10 of 11 parts imported, 1 failed\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
