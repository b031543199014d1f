package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/perigee-gateway/perigee/shared/backup"
)

type backupCmd struct {
	Org            string   `arg:"" help:"Organization."`
	File           string   `arg:"" help:"File to write; it appears when it is whole."`
	Recipient      []string `help:"Encrypt for the age recipient (age1...)." placeholder:"AGE1..."`
	PassphraseFile string   `help:"Encrypt with the passphrase in the file." placeholder:"FILE"`
	Plaintext      bool     `help:"Do not encrypt: the file holds private keys, consumer secrets and entries of key value maps in the clear."`
	storeFlags
}

// Run writes the backup beside the file and then in its place.
func (c *backupCmd) Run(ctx context.Context, s streams) (err error) {
	keys := backup.Keys{Recipients: c.Recipient}
	if keys.Passphrase, err = passphrase(c.PassphraseFile); err != nil {
		return err
	}
	encrypted := len(c.Recipient) > 0 || keys.Passphrase != ""
	if encrypted == c.Plaintext {
		return errors.New("name one of --recipient, --passphrase-file and --plaintext")
	}
	place, done, err := c.place(ctx)
	if err != nil {
		return err
	}
	defer done()
	file, err := os.CreateTemp(filepath.Dir(c.File), ".backup-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // it was renamed, if all went well
	defer file.Close()
	summary, err := place.Write(ctx, c.Org, func() (io.WriteCloser, error) {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		if err := file.Truncate(0); err != nil {
			return nil, err
		}
		if !encrypted {
			return unclosed{file}, nil
		}
		return keys.Encrypt(file)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close(), os.Rename(file.Name(), c.File)); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "saved %s\n", described(summary))
	return nil
}

// unclosed leaves the closing to somebody else.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

func described(b backup.Summary) string {
	return fmt.Sprintf("organization %s: %d documents, %d archives, %d aliases of keystores, content sha256 %s",
		b.Organization, b.Documents, b.Archives, b.Aliases, b.SHA256)
}

type restoreCmd struct {
	File           string `arg:"" help:"File that backup wrote."`
	Identity       string `help:"age key file that opens it." placeholder:"FILE"`
	PassphraseFile string `help:"File with the passphrase that opens it." placeholder:"FILE"`
	storeFlags
}

// Run makes the organization of a backup, which must not exist.
func (c *restoreCmd) Run(ctx context.Context, s streams) (err error) {
	keys := backup.Keys{}
	if keys.Passphrase, err = passphrase(c.PassphraseFile); err != nil {
		return err
	}
	if c.Identity != "" {
		data, err := os.ReadFile(c.Identity)
		if err != nil {
			return err
		}
		keys.Identities = string(data)
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := keys.Decrypt(file)
	if err != nil {
		return fmt.Errorf("open %s: %w", c.File, err)
	}
	place, done, err := c.place(ctx)
	if err != nil {
		return err
	}
	defer done()
	summary, err := place.Read(ctx, content)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "restored %s\n", described(summary))
	return nil
}

// place is the store of the flags, opened for this process.
func (f *storeFlags) place(ctx context.Context) (backup.Place, func() error, error) {
	if f.Store == "" {
		return backup.Place{}, nil, errors.New("name the --store: a backup has secrets that no Management API gives")
	}
	host, err := f.host(ctx, "")
	if err != nil {
		return backup.Place{}, nil, err
	}
	return backup.Place{Registry: host.Registry, Keystore: host.Keystore}, host.Close, nil
}

// passphrase is the first line of a file; none without a file.
func passphrase(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("%s begins with an empty line, not with a passphrase", name)
	}
	return line, nil
}
