package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/message"
	"github.com/perigee-gateway/perigee/shared/template"
)

const flowPrefix = "messaging.adaptors.http.flow."

const unavailableText = "The Service is temporarily unavailable"

func targetFault(code string, status int, text string) *fault.Fault {
	return &fault.Fault{Code: code, Status: status, Text: text, Target: true}
}

func transportFault(name string, status int, text, reason, subcategory string) *fault.Fault {
	f := targetFault(flowPrefix+name, status, text)
	f.Detail, f.Category, f.Subcategory = reason, "Transport", subcategory
	return f
}

func gatewayTimeout(reason string) *fault.Fault {
	return transportFault("GatewayTimeout", 504, "Gateway Timeout", reason, "Read/write")
}

func unavailable(reason string) *fault.Fault {
	return transportFault("ServiceUnavailable", 503, unavailableText, reason, "HTTP connectivity")
}

func noActiveTargets() *fault.Fault {
	return transportFault("NoActiveTargets", 503, unavailableText, "", "HTTP connectivity")
}

func unexpectedEOF() *fault.Fault {
	return transportFault("UnexpectedEOFAtTarget", 502, "Unexpected EOF at target", "", "Read/write")
}

func sslFault(reason string) *fault.Fault {
	return transportFault("SslHandshakeFailed", 503, "SSL Handshake failed "+reason, "", "SSL")
}

func lengthRequired() *fault.Fault {
	return transportFault("LengthRequired", 411, "'Content-Length' is missing", "", "Request validation")
}

func badPath(err error) *fault.Fault {
	return targetFault("protocol.http.BadPath", 500, "Invalid request path").WithCause(err)
}

// unresolved turns the error of a template into Apigee's fault.
func unresolved(err error) *fault.Fault {
	name := err.Error()
	var u *template.Unresolved
	if errors.As(err, &u) {
		name = u.Name
	}
	return targetFault("entities.UnresolvedVariable", 500, "Unresolved variable : "+name).WithCause(err)
}

// responseCode is the fault of a status outside success.codes. The target's
// response goes to the client unless a fault rule changes it.
func responseCode(m *message.Message) *fault.Fault {
	f := targetFault(flowPrefix+"ErrorResponseCode", m.Status, fmt.Sprintf("ResponseCode %d is treated as error", m.Status))
	f.Reason, f.Message, f.Subcategory = m.Reason, m, "Response codes"
	return f
}

// expired is the fault of a call that has no time left, or whose caller is
// gone, before anything was sent.
func expired(ctx context.Context) *fault.Fault {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return targetFault("flow.APITimedOut", 504, "API timed out").WithCause(ctx.Err())
	}
	return callerGone(ctx.Err())
}

// callerGone is the fault of a call that nobody waits for. No client sees it;
// logs and debug sessions do, with the status the ingress would log.
func callerGone(err error) *fault.Fault {
	return transportFault("UnexpectedEOFAtClient", 499, "Unexpected EOF at client", "", "Read/write").WithCause(err)
}

// asFault turns what stopped an exchange at a stage into Apigee's fault.
func asFault(ctx context.Context, err error, at stage, body *payload) *fault.Fault {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return callerGone(err)
	}
	f = classify(ctx, err, at, body)
	f.Cause = err
	return f
}

func classify(ctx context.Context, err error, at stage, body *payload) *fault.Fault {
	var dial *dialError
	var tunnel *tunnelError
	switch {
	case errors.As(err, &dial):
		return dialFault(dial)
	case errors.As(err, &tunnel):
		return targetFault("protocol.http.ProxyTunnelCreationFailed", 503, "Proxy refused to create tunnel")
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return timeoutFault(at)
	}
	if reason, ok := javaReason(err); ok {
		return sslFault(reason)
	}
	if body != nil && body.err() != nil {
		return uploadFault(body.err())
	}
	return answerFault(err)
}

func dialFault(err *dialError) *fault.Fault {
	if err.timeout() {
		return unavailable("TARGET_CONNECT_TIMEOUT")
	}
	return unavailable("TARGET_CONNECT_HOST_NOT_REACHABLE")
}

func timeoutFault(at stage) *fault.Fault {
	switch at {
	case connecting:
		return gatewayTimeout("TARGET_CONNECT_TIMEOUT")
	case writing:
		return gatewayTimeout("TARGET_WRITE_TIMEOUT")
	case uploading:
		return transportFault("RequestTimeOut", 408, "Request timed out", "", "Read/write")
	}
	return gatewayTimeout("TARGET_READ_TIMEOUT")
}

// uploadFault is for a caller's body that could not be read.
func uploadFault(err error) *fault.Fault {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, message.ErrTooBig), errors.As(err, &tooLarge):
		return targetFault("protocol.http.TooBigBody", 413, "Body buffer overflow")
	case isTimeout(err):
		return transportFault("RequestTimeOut", 408, "Request timed out", "", "Read/write")
	}
	return callerGone(err)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// answerFault is for answers that are none, or no HTTP.
func answerFault(err error) *fault.Fault {
	text := err.Error()
	switch {
	case strings.Contains(text, "response headers exceeded"), strings.Contains(text, "header list too large"),
		strings.Contains(text, "header list exceeds"):
		return targetFault("protocol.http.TooBigHeaders", 502, "response headers size exceeding 61,440")
	case strings.Contains(text, "invalid header field"):
		return targetFault("protocol.http.InvalidHeader", 500, "Invalid request header")
	case strings.Contains(text, "invalid method"):
		return targetFault("protocol.http.InvalidMethod", 500, "Invalid request method")
	case strings.Contains(text, "malformed"), strings.Contains(text, "transfer encoding"), strings.Contains(text, "Content-Length"):
		return targetFault("protocol.http.BadResponse", 502, "Invalid response from target")
	}
	return unexpectedEOF()
}

// bodyFault turns an error met while reading the response's body into a fault.
func bodyFault(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return callerGone(err)
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded):
		return gatewayTimeout("TARGET_READ_TIMEOUT").WithCause(err)
	}
	return unexpectedEOF().WithCause(err)
}

// counts reports whether a fault is the server's doing: only these take a
// TargetServer towards MaxFailures and are worth a try elsewhere.
func counts(f *fault.Fault) bool {
	switch f.Code {
	case flowPrefix + "GatewayTimeout", flowPrefix + "ServiceUnavailable", flowPrefix + "UnexpectedEOFAtTarget",
		flowPrefix + "SslHandshakeFailed", "protocol.http.ProxyTunnelCreationFailed", "protocol.http.BadResponse":
		return true
	}
	return false
}

// javaReason returns what Apigee's Java says where Go's TLS says err.
func javaReason(err error) (string, bool) {
	var (
		shake   *handshakeError
		name    *nameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		remote  *net.OpError
	)
	switch {
	case errors.As(err, &name):
		return name.Error(), true
	case errors.As(err, &unknown):
		return noPath, true
	case errors.As(err, &invalid):
		return invalidReason(invalid), true
	case errors.As(err, &record):
		return "javax.net.ssl.SSLException: Unsupported or unrecognized SSL message", true
	case errors.As(err, &remote) && remote.Op == "remote error":
		return "Received fatal alert: " + alertName(remote.Err), true
	case !errors.As(err, &shake):
		return "", false
	}
	return handshakeReason(shake.err), true
}

const noPath = "sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target"

func invalidReason(err x509.CertificateInvalidError) string {
	if err.Reason != x509.Expired || err.Cert == nil {
		if err.Reason == x509.IncompatibleUsage {
			return "sun.security.validator.ValidatorException: Extended key usage does not permit use for TLS server authentication"
		}
		return noPath
	}
	const java = "Mon Jan 02 15:04:05 UTC 2006"
	if strings.Contains(err.Error(), "is before") {
		return "java.security.cert.CertificateNotYetValidException: NotBefore: " + err.Cert.NotBefore.UTC().Format(java)
	}
	return "java.security.cert.CertificateExpiredException: NotAfter: " + err.Cert.NotAfter.UTC().Format(java)
}

func handshakeReason(err error) string {
	switch {
	case errors.Is(err, errNoCertificate), errors.Is(err, errSuite), errors.Is(err, errNoHTTP2):
		return "Received fatal alert: " + strings.ReplaceAll(err.Error(), " ", "_")
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "java.net.SocketTimeoutException: handshake timed out after " + handshakeTimeout.Round(time.Second).String()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "Remote host terminated the handshake"
	case strings.Contains(err.Error(), "protocol version"):
		return "Received fatal alert: protocol_version"
	}
	return noPath
}

// alertName turns "tls: bad certificate" into "bad_certificate", as Java
// writes alerts.
func alertName(err error) string {
	s := strings.TrimPrefix(err.Error(), "tls: ")
	switch s {
	case "protocol version not supported":
		return "protocol_version"
	case "handshake failure":
		return "handshake_failure"
	case "unknown certificate authority":
		return "unknown_ca"
	case "expired certificate":
		return "certificate_expired"
	case "revoked certificate":
		return "certificate_revoked"
	case "error decrypting message":
		return "decrypt_error"
	case "unrecognized name":
		return "unrecognized_name"
	}
	return strings.ReplaceAll(s, " ", "_")
}
