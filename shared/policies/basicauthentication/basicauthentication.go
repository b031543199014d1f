// Package basicauthentication implements the <BasicAuthentication> policy: it
// makes the value of a Basic Authorization header of a user and a password, or
// takes one apart. It verifies nothing.
//
// Source: https://cloud.google.com/apigee/docs/api-platform/reference/policies/basic-authentication-policy
//
// Faults (500), which set BasicAuthentication.P.failed:
//
//   - steps.basicauthentication.InvalidBasicAuthenticationSource: Source is not
//     "Basic " and the Base64 of user:password
//   - steps.basicauthentication.UnresolvedVariable: a variable is not set and
//     IgnoreUnresolvedVariables is false
//   - steps.basicauthentication.SetVariableFailed: a variable cannot be set
//
// Refused at deployment: UserNameRequired, PasswordRequired, AssignToRequired,
// SourceRequired.
package basicauthentication

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
)

// Kind is the BasicAuthentication policy.
var Kind = policy.Define("BasicAuthentication", New)

// Config is the policy's XML.
type Config struct {
	policy.Header
	// Operation is Encode or Decode. Required.
	Operation string `xml:"Operation,once,required" enum:"Encode,Decode"`
	// IgnoreUnresolvedVariables makes variables that are not set empty text when
	// encoding, and leaves user and password alone when decoding.
	IgnoreUnresolvedVariables bool `xml:"IgnoreUnresolvedVariables,once" default:"true"`
	// User is the variable of the user: read to encode, set to decode. Required.
	User Ref `xml:"User,once"`
	// Password is the variable of the password. Required.
	Password Ref `xml:"Password,once"`
	// AssignTo is the variable to set when encoding.
	AssignTo AssignTo `xml:"AssignTo,once"`
	// Source is the variable to decode.
	Source string `xml:"Source,once"`
}

// Ref names a variable.
type Ref struct {
	bundle.Pos
	Ref string `xml:"ref,attr"`
}

// AssignTo is the <AssignTo>.
type AssignTo struct {
	bundle.Pos
	Variable string `xml:",chardata"`
	// CreateNew overwrites a variable that is set already.
	CreateNew bool `xml:"createNew,attr"`
}

type step struct {
	failed         string
	ignore         bool
	user, password flow.Var
	target         flow.Var // of encode
	overwrite      bool
	source         flow.Var // of decode
}

// New compiles the policy.
func New(c *Config, env *policy.Env) (policy.Policy, error) {
	require(env, c.User.Ref, "UserNameRequired: <User> with ref is missing for operation %s", c.Operation)
	require(env, c.Password.Ref, "PasswordRequired: <Password> with ref is missing for operation %s", c.Operation)
	s := &step{
		failed: "BasicAuthentication." + env.Name() + ".failed", ignore: c.IgnoreUnresolvedVariables,
		user: env.Var(c.User.Ref), password: env.Var(c.Password.Ref),
	}
	if c.Operation == "Decode" {
		require(env, c.Source, "SourceRequired: <Source> is missing for operation %s", c.Operation)
		s.source = env.Var(c.Source)
		return policy.Func(s.decode), nil
	}
	require(env, c.AssignTo.Variable, "AssignToRequired: <AssignTo> is missing for operation %s", c.Operation)
	s.target, s.overwrite = env.Var(c.AssignTo.Variable), c.AssignTo.CreateNew
	return policy.Func(s.encode), nil
}

func require(env *policy.Env, value, format, operation string) {
	if value == "" {
		env.Errorf(bundle.Pos{}, format, operation)
	}
}

func (s *step) encode(_ context.Context, fc *flow.Context) error {
	user, err := s.read(fc, s.user)
	if err != nil {
		return err
	}
	password, err := s.read(fc, s.password)
	if err != nil {
		return err
	}
	if !s.overwrite && !s.target.Get(fc).IsNull() {
		return nil
	}
	return s.set(fc, s.target, "Basic "+base64.StdEncoding.EncodeToString([]byte(user.String()+":"+password.String())))
}

func (s *step) decode(_ context.Context, fc *flow.Context) error {
	source, err := s.read(fc, s.source)
	if err != nil || source.IsNull() {
		return err
	}
	user, password, ok := parse(source.String())
	if !ok {
		return s.fault("InvalidBasicAuthenticationSource", "Source variable : "+s.source.Name()+" for basic authentication decode policy is not valid")
	}
	if err := s.set(fc, s.user, user); err != nil {
		return err
	}
	return s.set(fc, s.password, password)
}

// parse takes apart "Basic " and Base64 of "user:password" (RFC 7617). The
// scheme may have any case, the padding may be missing.
func parse(source string) (user, password string, ok bool) {
	scheme, credentials, ok := strings.Cut(strings.TrimSpace(source), " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	credentials = strings.TrimRight(strings.TrimSpace(credentials), "=")
	plain, err := base64.RawStdEncoding.DecodeString(credentials)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

func (s *step) read(fc *flow.Context, v flow.Var) (flow.Value, error) {
	val := v.Get(fc)
	if val.IsNull() && !s.ignore {
		return val, s.fault("UnresolvedVariable", "Unresolved variable : "+v.Name())
	}
	return val, nil
}

func (s *step) set(fc *flow.Context, v flow.Var, text string) error {
	if err := v.Set(fc, flow.StringValue(text)); err != nil {
		return s.fault("SetVariableFailed", "Failed to set variable "+v.Name()).WithCause(err)
	}
	return nil
}

func (s *step) fault(name, text string) *fault.Fault {
	return fault.New("steps.basicauthentication."+name, 500, text).Failed(s.failed)
}
