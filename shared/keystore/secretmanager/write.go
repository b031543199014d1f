package secretmanager

import (
	"context"
	"strconv"
	"strings"
	"time"

	sm "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/perigee-gateway/perigee/shared/keystore"
)

// refused is an error of prepare: trying again is of no use.
type refused struct{ error }

// write is one change of a secret, in as many attempts as it needs.
type write struct {
	client *sm.Client
	driver *Driver
	name   string
	data   []byte
	number string // of the version added, once it is
}

// try makes one attempt. It is a Conflict if the secret has changed meanwhile.
func (w *write) try(ctx context.Context, prepare func(*secret) error) (string, error) {
	s, err := w.get(ctx)
	made := keystore.IsNotFound(err)
	if made {
		s = &secret{Secret: &secretmanagerpb.Secret{Name: w.driver.path(w.name)}, made: true}
	} else if err != nil {
		return "", err
	}
	if err := prepare(s); err != nil {
		w.discard(ctx)
		return "", refused{err}
	}
	if made {
		if s, err = w.create(ctx, s); err != nil {
			return "", err
		}
	}
	if err := w.add(ctx); err != nil {
		return "", err
	}
	obsolete := s.GetVersionAliases()[aliasPrevious]
	version := versionOf(w.number, w.data)
	s.advance(w.name, w.number, version)
	_, err = w.client.UpdateSecret(ctx, &secretmanagerpb.UpdateSecretRequest{Secret: s.Secret, UpdateMask: mask})
	if err != nil {
		return "", w.lost(failure(w.name, err))
	}
	if obsolete != 0 {
		w.destroy(ctx, strconv.FormatInt(obsolete, 10))
	}
	w.awaitVisible(ctx, version)
	return version, nil
}

func (w *write) get(ctx context.Context) (*secret, error) {
	pb, err := w.client.GetSecret(ctx, &secretmanagerpb.GetSecretRequest{Name: w.driver.path(w.name)})
	if err != nil {
		return nil, failure(w.name, err)
	}
	return &secret{Secret: pb}, nil
}

// create makes the secret without a version. If another has made it just now,
// that is a Conflict.
func (w *write) create(ctx context.Context, s *secret) (*secret, error) {
	w.number = "" // was of a secret deleted since
	parent, id, _ := strings.Cut(s.GetName(), "/secrets/")
	pb, err := w.client.CreateSecret(ctx, &secretmanagerpb.CreateSecretRequest{
		Parent: parent, SecretId: id,
		Secret: &secretmanagerpb.Secret{Labels: s.Labels, Annotations: s.Annotations, Replication: w.driver.replication()},
	})
	if err != nil {
		return nil, w.lost(failure(w.name, err))
	}
	return &secret{Secret: pb, made: true}, nil
}

// add adds the version, once.
func (w *write) add(ctx context.Context) error {
	if w.number != "" {
		return nil
	}
	sum := checksum(w.data)
	v, err := w.client.AddSecretVersion(ctx, &secretmanagerpb.AddSecretVersionRequest{
		Parent: w.driver.path(w.name), Payload: &secretmanagerpb.SecretPayload{Data: w.data, DataCrc32C: &sum},
	})
	if err != nil {
		return w.lost(failure(w.name, err))
	}
	w.number = v.GetName()[strings.LastIndexByte(v.GetName(), '/')+1:]
	return nil
}

// lost makes a Conflict, to try again, of what another's write can cause.
func (w *write) lost(err error) error {
	switch keystore.CodeOf(err) {
	case keystore.AlreadyExists, keystore.NotFound:
		return keystore.Errorf(keystore.Conflict, "%w", err)
	}
	return err
}

// discard destroys the version added, which is not needed.
func (w *write) discard(ctx context.Context) {
	if w.number != "" {
		w.destroy(ctx, w.number)
	}
}

// destroy destroys a version. Where it fails the version stays, unused.
func (w *write) destroy(ctx context.Context, number string) {
	_, _ = w.client.DestroySecretVersion(ctx, &secretmanagerpb.DestroySecretVersionRequest{
		Name: w.driver.path(w.name) + "/versions/" + number,
	})
}

// visibleTries bounds the wait for a write to show: about three seconds.
const visibleTries = 6

// awaitVisible waits until Get shows a version, as far as one reader can tell.
// It is a courtesy to readers without GetVersion; the write is done.
func (w *write) awaitVisible(ctx context.Context, version string) {
	for try := range visibleTries {
		if _, got, err := w.driver.access(ctx, w.name, aliasCurrent); err == nil && got == version {
			return
		}
		if sleep(ctx, 50*time.Millisecond<<try) != nil {
			return
		}
	}
}
