package backup

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"filippo.io/age"
)

// ageHeader begins every age file.
// Source: https://age-encryption.org/v1
const ageHeader = "age-encryption.org/v1\n"

// maxWork bounds what a passphrase may cost to try: 2^22 rounds of scrypt, as
// age's own tool does.
const maxWork = 22

// Keys are what a backup is encrypted for, or opened with.
type Keys struct {
	// Recipients are age's (age1...), for writing.
	Recipients []string
	// Identities is the text of an age key file, for reading.
	Identities string
	// Passphrase is for both, in place of the others.
	Passphrase string
	// Work makes a passphrase cost 2^Work rounds of scrypt to try; 0 is age's
	// own choice, about a second.
	Work int
}

// Encrypt is a writer whose content arrives at w encrypted. Close it before w.
func (k Keys) Encrypt(w io.Writer) (io.WriteCloser, error) {
	recipients, err := k.recipients()
	if err != nil {
		return nil, err
	}
	return age.Encrypt(w, recipients...)
}

func (k Keys) recipients() ([]age.Recipient, error) {
	switch {
	case k.Passphrase != "" && len(k.Recipients) > 0:
		return nil, errors.New("a backup is encrypted for recipients or with a passphrase, not both")
	case k.Passphrase != "":
		r, err := age.NewScryptRecipient(k.Passphrase)
		if err == nil && k.Work > 0 {
			r.SetWorkFactor(k.Work)
		}
		return []age.Recipient{r}, err
	case len(k.Recipients) == 0:
		return nil, errors.New("nobody could read it: no recipient is named")
	}
	return age.ParseRecipients(strings.NewReader(strings.Join(k.Recipients, "\n")))
}

// Decrypt is the content of a backup, encrypted or not.
func (k Keys) Decrypt(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(len(ageHeader))
	if err != nil && err != io.EOF {
		return nil, err
	}
	if string(head) != ageHeader {
		return in, nil
	}
	identities, err := k.identities()
	if err != nil {
		return nil, err
	}
	return age.Decrypt(in, identities...)
}

func (k Keys) identities() ([]age.Identity, error) {
	switch {
	case k.Passphrase != "":
		i, err := age.NewScryptIdentity(k.Passphrase)
		if err == nil {
			i.SetMaxWorkFactor(maxWork)
		}
		return []age.Identity{i}, err
	case k.Identities != "":
		return age.ParseIdentities(strings.NewReader(k.Identities))
	}
	return nil, errors.New("the backup is encrypted: name its identity or its passphrase")
}
