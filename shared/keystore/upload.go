package keystore

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"
)

// Format is the layout of an upload, as in the query parameter format.
type Format string

// The formats. KeyCertJAR is Apigee Edge's.
// https://cloud.google.com/apigee/docs/reference/apis/apigee/rest/v1/organizations.environments.keystores.aliases/create
const (
	KeyCertFile    Format = "keycertfile"
	PKCS12         Format = "pkcs12"
	SelfSignedCert Format = "selfsignedcert"
	KeyCertJAR     Format = "keycertjar"
)

// maxUpload is the most bytes a file of an upload may have. What is kept of it
// must fit MaxData.
const maxUpload = 1 << 20

// Upload is the request that makes an alias, or new certificates for one: the
// parts and parameters of …/keystores/{keystore}/aliases. It shows as its
// alias and format only, since it holds a password and a key.
type Upload struct {
	// FileFormat is the layout of what follows.
	FileFormat Format
	// Alias is the name; SelfSignedCert may give it in the body instead.
	Alias string
	// CertFile and KeyFile are the parts of KeyCertFile: PEM, the certificates
	// leaf first. Without KeyFile it makes a CERT.
	CertFile, KeyFile []byte
	// File is the PKCS #12 or JAR file, or the JSON of SelfSignedCert.
	File []byte
	// Password opens an encrypted key or PKCS #12 file.
	Password string
	// IgnoreExpiryValidation takes certificates that have expired.
	IgnoreExpiryValidation bool
	// IgnoreNewlineValidation takes a chain without a line break between two
	// certificates.
	IgnoreNewlineValidation bool
}

// Import makes the alias of an upload and validates it as of now. Every error
// is Invalid and for the caller to read.
func Import(u Upload, now time.Time) (Alias, error) {
	a, err := u.alias(now)
	if err != nil {
		return Alias{}, invalid(err)
	}
	return a, nil
}

// ImportCertificates reads the certificates of an upload that updates an
// alias, for Store.UpdateCertificates. CertFile may be DER too. A key that
// comes with them must be theirs; it is not kept, as an alias keeps its own.
func ImportCertificates(u Upload, now time.Time) ([]*x509.Certificate, error) {
	if u.Alias == "" {
		u.Alias = "update"
	}
	if u.FileFormat == "" {
		u.FileFormat = KeyCertFile
	}
	if u.FileFormat == SelfSignedCert {
		return nil, Errorf(Invalid, "a generated certificate has another key and cannot update an alias")
	}
	a, err := Import(u, now)
	return a.Certs, err
}

func (u Upload) alias(now time.Time) (Alias, error) {
	if max(len(u.File), len(u.CertFile), len(u.KeyFile)) > maxUpload {
		return Alias{}, fmt.Errorf("a file has more than %d bytes", maxUpload)
	}
	var a Alias
	var err error
	switch u.FileFormat {
	case KeyCertFile:
		a, err = u.fromFiles(u.CertFile, u.KeyFile)
	case PKCS12:
		a, err = u.fromPKCS12()
	case KeyCertJAR:
		a, err = u.fromJAR()
	case SelfSignedCert:
		return u.generate(now)
	default:
		err = fmt.Errorf("format %q is none of selfsignedcert, keycertfile, pkcs12", u.FileFormat)
	}
	if err != nil {
		return Alias{}, err
	}
	if !u.IgnoreExpiryValidation {
		err = checkExpiry(a.Certs, now)
	}
	return a, err
}

func checkExpiry(certs []*x509.Certificate, now time.Time) error {
	for _, c := range certs {
		if now.After(c.NotAfter) {
			return fmt.Errorf("the certificate of %s expired on %s", distinguishedName(c.RawSubject), c.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// String names the alias and the format.
func (u Upload) String() string { return fmt.Sprintf("%s upload of alias %q", u.FileFormat, u.Alias) }

// Format prints String for every verb.
func (u Upload) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(u.String())) }

// LogValue logs String.
func (u Upload) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText writes String; no encoder reaches the key.
func (u Upload) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// invalid gives an error the code Invalid.
func invalid(err error) error {
	if CodeOf(err) == Invalid {
		return err
	}
	return Errorf(Invalid, "%w", err)
}
