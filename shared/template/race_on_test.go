//go:build race

package template

// raceEnabled: under the race detector pools drop buffers on purpose.
const raceEnabled = true
