package jwt

import (
	"errors"

	"github.com/perigee-gateway/perigee/shared/fault"
)

// texts are the fault strings before ": policy(P)". Those marked live were seen
// in responses of Apigee; the others follow their form (unverified), and
// Apigee's page asks not to rely on any.
var texts = map[string]string{
	"AlgorithmInTokenNotPresentInConfiguration": "Algorithm in token is not present in Configuration",
	"AlgorithmMismatch":                         "Algorithm in header did not match any algorithm specified in Configuration", // live
	"EncryptionFailed":                          "Encryption failed",
	"FailedToDecode":                            "Failed to Decode Token",      // live
	"FailedToResolveVariable":                   "Failed to Resolve Variable ", // live, with the blank
	"GenerationFailed":                          "Token generation failed",
	"InsufficientKeyLength":                     "Insufficient key length",
	"InvalidClaim":                              "Invalid Claim", // live
	"InvalidConfiguration":                      "Invalid configuration",
	"InvalidCurve":                              "Invalid curve",
	"InvalidJsonFormat":                         "Invalid Json format",
	"InvalidJws":                                "Invalid JWS",
	"InvalidPasswordKey":                        "Invalid password key",
	"InvalidPayload":                            "Invalid payload",
	"InvalidPrivateKey":                         "Invalid private key",
	"InvalidPublicKey":                          "Invalid public key",
	"InvalidSecretKey":                          "Invalid secret key",
	"InvalidSignature":                          "Invalid signature",
	"InvalidToken":                              "Invalid token", // live
	"KeyIdMissing":                              "Key Id missing",
	"KeyParsingFailed":                          "Failed to parse key",
	"MissingMandatoryClaims":                    "Missing mandatory claims",
	"MissingPayload":                            "Missing payload",
	"NoAlgorithmFoundInHeader":                  "No algorithm found in header",
	"NoMatchingPublicKey":                       "No matching public key",
	"SigningFailed":                             "Signing failed",
	"TokenExpired":                              "The Token has expired",      // live
	"TokenNotYetValid":                          "The Token is not yet valid", // live
	"UnhandledCriticalHeader":                   "Unhandled critical header",
	"UnknownException":                          "Unknown exception",
	"WrongKeyType":                              "Wrong key type",
}

// Faults makes the faults of one policy. All are 401.
type Faults struct {
	prefix, policy string
	failed         []string
}

// NewFaults returns the faults of a JWT policy, or with jws of a JWS policy.
func NewFaults(policy string, jws bool) Faults {
	if jws {
		return Faults{"steps.jws.", policy, []string{"JWS.failed", "jws." + policy + ".failed"}}
	}
	return Faults{"steps.jwt.", policy, []string{"JWT.failed", "jwt." + policy + ".failed"}}
}

// Of returns the fault for an error: an *Error by its name, any other as
// UnknownException.
func (f Faults) Of(err error) *fault.Fault {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Name: "UnknownException", Cause: err}
	}
	text := texts[e.Name] + ": policy(" + f.policy + ")"
	if e.Detail != "" {
		text += " " + e.Detail
	}
	return fault.New(f.prefix+e.Name, 401, text).Failed(f.failed...).WithCause(e.Cause)
}
