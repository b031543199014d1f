// Package keyvaluemapoperations implements the <KeyValueMapOperations> policy:
// it reads, writes and deletes entries of a key value map. Operations run in
// the order of the file.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/key-value-map-operations-policy
//
// A map or an entry that does not exist is no error: the variable of a <Get> is
// unset then. An entry of several values holds them in one text, separated by
// U+001F; a map that is not there is made by the first <Put>.
//
// Faults (500), which set keyvaluemapoperations.P.failed:
//
//   - steps.keyvaluemapoperations.SetVariableFailed: assignTo cannot be set
//   - steps.keyvaluemapoperations.UnsupportedOperationException: the map has no name
//   - steps.keyvaluemapoperations.UnresolvedVariable: key or value of a <Put>,
//     or key of a <Delete>, is not set
//   - steps.keyvaluemapoperations.ExecutionFailed: the store cannot be asked
//
// Refused at deployment: InvalidIndex, KeyIsMissing, ValueIsMissing.
package keyvaluemapoperations

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the KeyValueMapOperations policy.
var Kind = policy.Define("KeyValueMapOperations", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// MapIdentifier names the map; kvmap if absent. An empty name fails when
	// the policy runs.
	MapIdentifier *string `xml:"mapIdentifier,attr"`
	// MapName names the map instead: the variable in ref, or text.
	MapName *Text `xml:"MapName,once"`
	// Scope says who shares the map. policy is Edge's.
	Scope string `xml:"Scope,once" default:"environment" enum:"organization,environment,apiproxy,policy"`
	// ExpiryTimeInSecs bounds the age of cached values in seconds: 300 if
	// absent, zero or negative.
	ExpiryTimeInSecs *Text `xml:"ExpiryTimeInSecs,once"`
	// ExpiryTimeInSeconds is another name of ExpiryTimeInSecs.
	ExpiryTimeInSeconds *Text `xml:"ExpiryTimeInSeconds,once"`
	// ExclusiveCache is deprecated and of no effect.
	ExclusiveCache bool `xml:"ExclusiveCache"`
	// InitialEntries are written where they do not exist, when the policy first
	// runs in a process. Apigee writes them at deployment, over those that exist.
	// Literals only.
	InitialEntries []Entry `xml:"InitialEntries>Entry"`
	// Put writes entries.
	Put []Put `xml:"Put"`
	// Get reads entries.
	Get []Get `xml:"Get"`
	// Delete removes entries.
	Delete []Delete `xml:"Delete"`
}

// Text is a literal, or the value of the variable in ref if that is set.
type Text struct {
	bundle.Pos
	Ref  string `xml:"ref,attr"`
	Text string `xml:",chardata"`
}

// Key is a <Key>: its parameters are joined by "__".
type Key struct {
	bundle.Pos
	Parameters []Text `xml:"Parameter"`
}

// Entry is an <Entry> of the initial ones.
type Entry struct {
	bundle.Pos
	Key    *Key   `xml:"Key,once"`
	Values []Text `xml:"Value"`
}

// Put is a <Put>.
type Put struct {
	bundle.Pos
	// Override replaces an entry that exists.
	Override bool   `xml:"override,attr"`
	Key      *Key   `xml:"Key,once"`
	Values   []Text `xml:"Value"`
}

// Get is a <Get>.
type Get struct {
	bundle.Pos
	// AssignTo is the variable to set; maps are encrypted, so it should start
	// with "private.".
	AssignTo string `xml:"assignTo,attr,required"`
	// Index is the number of the value to read, from 1; absent, all are.
	Index *string `xml:"index,attr"`
	Key   *Key    `xml:"Key,once"`
}

// Delete is a <Delete>.
type Delete struct {
	bundle.Pos
	Key *Key `xml:"Key,once"`
}

// separator stands between the values of an entry that has several.
const separator = "\x1f"

type step struct {
	policy  string
	failed  string
	maps    policy.KeyValueMaps
	name    text
	level   string
	expiry  text
	ops     []operation
	initial []put

	once sync.Mutex
	done bool
}

// operation is one element of the policy on one map.
type operation interface {
	run(ctx context.Context, fc *flow.Context, s *step, at table) error
}

// table is a map at run time.
type table struct {
	scope  policy.MapScope
	name   string
	maxAge time.Duration
}

// Run executes the operations.
func (s *step) Run(ctx context.Context, fc *flow.Context) error {
	name, _, _ := s.name.eval(fc)
	if name == "" {
		return s.fault("UnsupportedOperationException", "java.lang.UnsupportedOperationException")
	}
	at := table{scope: policy.MapScope{Level: s.level}, name: name, maxAge: s.maxAge(fc)}
	if s.level == "apiproxy" || s.level == "policy" {
		at.scope.Proxy = fc.Proxy.Name
	}
	if err := s.seed(ctx, fc, at); err != nil {
		return err
	}
	for _, op := range s.ops {
		if err := op.run(ctx, fc, s, at); err != nil {
			return err
		}
	}
	return nil
}

// seed writes those of the initial entries that do not exist, once in a process.
func (s *step) seed(ctx context.Context, fc *flow.Context, at table) error {
	if len(s.initial) == 0 {
		return nil
	}
	s.once.Lock()
	defer s.once.Unlock()
	if s.done {
		return nil
	}
	for i := range s.initial {
		if err := s.initial[i].run(ctx, fc, s, at); err != nil {
			return err
		}
	}
	s.done = true
	return nil
}

// maxAge is how old a cached value may be; 0 is the default.
func (s *step) maxAge(fc *flow.Context) time.Duration {
	text, _, ok := s.expiry.eval(fc)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n <= 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

type put struct {
	override bool
	key      key
	values   []text
}

func (p *put) run(ctx context.Context, fc *flow.Context, s *step, at table) error {
	k, missing, ok := p.key.eval(fc)
	if !ok {
		return s.unresolved(missing)
	}
	value := ""
	for i, v := range p.values {
		t, missing, ok := v.eval(fc)
		if !ok {
			return s.unresolved(missing)
		}
		if i > 0 {
			value += separator
		}
		value += t
	}
	return s.stored(s.maps.Put(ctx, at.scope, at.name, k, value, p.override))
}

type get struct {
	target flow.Var
	index  int // from 1; 0 is all
	key    key
}

func (g *get) run(ctx context.Context, fc *flow.Context, s *step, at table) error {
	k, _, ok := g.key.eval(fc)
	value := ""
	if ok {
		var err error
		if value, ok, err = s.maps.Get(ctx, at.scope, at.name, k, at.maxAge); err != nil {
			return s.stored(err)
		}
	}
	if err := g.assign(fc, value, ok); err != nil {
		return s.fault("SetVariableFailed", "Failed to set variable "+g.target.Name()+" in KeyValueMapStepDefinition "+s.policy).WithCause(err)
	}
	return nil
}

func (g *get) assign(fc *flow.Context, value string, found bool) error {
	if !found {
		return fc.Remove(g.target.Name())
	}
	if !strings.Contains(value, separator) {
		if g.index > 1 {
			return fc.Remove(g.target.Name())
		}
		return g.target.Set(fc, flow.StringValue(value))
	}
	values := strings.Split(value, separator)
	switch {
	case g.index == 0:
		return g.target.Set(fc, flow.ListValue(values))
	case g.index > len(values):
		return fc.Remove(g.target.Name())
	}
	return g.target.Set(fc, flow.StringValue(values[g.index-1]))
}

type remove struct{ key key }

func (r *remove) run(ctx context.Context, fc *flow.Context, s *step, at table) error {
	k, missing, ok := r.key.eval(fc)
	if !ok {
		return s.unresolved(missing)
	}
	return s.stored(s.maps.Delete(ctx, at.scope, at.name, k))
}

// stored turns an error of the store into a fault.
func (s *step) stored(err error) error {
	if err == nil {
		return nil
	}
	return s.fault("ExecutionFailed", "Failed to execute KeyValueMapOperations: "+s.policy).WithCause(err)
}

func (s *step) unresolved(name string) error {
	return s.fault("UnresolvedVariable", "Unresolved variable : "+name)
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.keyvaluemapoperations."+name, 500, text).Failed(s.failed)
}
