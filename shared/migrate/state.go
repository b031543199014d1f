package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// State is a file of what was done, a line for each: appended and flushed before
// the step counts as done. A line that was cut off by a crash does not count. It
// holds names and no secret.
type State struct {
	mu      sync.Mutex
	file    *lockedfile.File
	entries map[string]entry
}

// entry is what is known of a step, or of a part of one.
type entry struct {
	ID string `json:"id"`
	// Done is false for what was begun.
	Done bool `json:"done,omitempty"`
	// Value is what came of it: the number of a revision at the target.
	Value string   `json:"value,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// About is what a state file belongs to: another migration must not go on with it.
type About struct {
	Source             string `json:"source"`
	Organization       string `json:"organization"`
	Target             string `json:"target"`
	TargetOrganization string `json:"targetOrganization"`
}

// OpenState opens the file, or makes it. It is this process's alone until Close:
// another waits. It is an error if the file is of another migration.
func OpenState(name string, about About) (*State, error) {
	f, err := lockedfile.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &State{file: f, entries: map[string]entry{}}
	if err := s.load(about); err != nil {
		return nil, errors.Join(fmt.Errorf("state file %s: %w", name, err), f.Close())
	}
	return s, nil
}

func (s *State) load(about About) error {
	data, err := io.ReadAll(s.file)
	if err != nil {
		return err
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	if err := s.file.Truncate(int64(len(whole))); err != nil {
		return err
	}
	if _, err := s.file.Seek(int64(len(whole)), io.SeekStart); err != nil {
		return err
	}
	if len(whole) == 0 {
		return s.append(about)
	}
	first, rest, _ := bytes.Cut(whole, []byte("\n"))
	var was About
	if err := json.Unmarshal(first, &was); err != nil || was.Organization == "" {
		return errors.New("it is not one of perigee migrate")
	}
	if was != about {
		return fmt.Errorf("it is of the migration from %s at %s to %s at %s: name another", was.Organization, was.Source, was.TargetOrganization, was.Target)
	}
	for line := range bytes.Lines(rest) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("it is damaged: %w", err)
		}
		s.entries[e.ID] = e
	}
	return nil
}

func (s *State) append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return err
	}
	return s.file.Sync()
}

// get is what is known of a step. Without a state nothing is.
func (s *State) get(id string) (entry, bool) {
	if s == nil {
		return entry{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[id]
	return e, ok
}

// put records a step.
func (s *State) put(id string, e entry) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ID = id
	if err := s.append(e); err != nil {
		return fmt.Errorf("state file: %w", err)
	}
	s.entries[id] = e
	return nil
}

// Close closes the file.
func (s *State) Close() error { return s.file.Close() }
