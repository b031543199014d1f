package flow

import (
	"math"
	"testing"
)

// TestFloatText holds texts that Java's Double.toString gives.
func TestFloatText(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", -2.5: "-2.5", 0.001: "0.001", 0.00012: "1.2E-4", 1e-7: "1.0E-7",
		9999999: "9999999.0", 1e7: "1.0E7", 12345678.5: "1.23456785E7", -1e21: "-1.0E21",
		math.Inf(1): "Infinity", math.Inf(-1): "-Infinity",
	} {
		if got := FloatValue(f).String(); got != want {
			t.Errorf("%g is %s, want %s", f, got, want)
		}
	}
	if got := FloatValue(math.NaN()).String(); got != "NaN" {
		t.Errorf("not a number is %s", got)
	}
}
