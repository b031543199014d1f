//go:build race

package jsonschema_test

// raceEnabled: under the race detector pools drop what they hold on purpose.
const raceEnabled = true
