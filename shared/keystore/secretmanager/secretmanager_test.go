package secretmanager_test

import (
	"context"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/perigee-gateway/perigee/shared/keystore"
	"github.com/perigee-gateway/perigee/shared/keystore/keystoretest"
	"github.com/perigee-gateway/perigee/shared/keystore/secretmanager"
	"github.com/perigee-gateway/perigee/shared/keystore/secretmanager/secretmanagertest"
)

func open(t testing.TB, s *secretmanagertest.Server) *secretmanager.Driver {
	d := secretmanager.New("acme", nil, s.ClientOptions()...)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDriver(t *testing.T) {
	keystoretest.Run(t, func(t *testing.T) (keystore.Driver, func() keystore.Driver) {
		s := secretmanagertest.Start(t)
		return open(t, s), func() keystore.Driver { return open(t, s) }
	})
}

// mustPut stores a secret n times.
func mustPut(t *testing.T, d keystore.Driver, name string, n int) (version string) {
	t.Helper()
	for i := range n {
		var err error
		if version, err = d.Put(t.Context(), name, []byte{'0' + byte(i)}, map[string]string{
			"org": "acme", "env": "test", "keystore": "My Store", "alias": "ä",
		}); err != nil {
			t.Fatal(err)
		}
	}
	return version
}

func TestNaming(t *testing.T) {
	s := secretmanagertest.Start(t)
	mustPut(t, open(t, s), "alias/acme/test/My Store/ä", 1)
	secret := s.Secrets()[0]
	if !regexp.MustCompile(`^projects/acme/secrets/perigee-[0-9a-f]{64}$`).MatchString(secret.GetName()) {
		t.Errorf("named %s", secret.GetName())
	}
	labels := secret.GetLabels()
	if labels["org"] != "acme" || labels["env"] != "test" || labels["managed-by"] != "perigee" ||
		len(labels["keystore"]) != 42 || len(labels["alias"]) != 42 {
		t.Errorf("labels %v", labels)
	}
	if got := secret.GetAnnotations()["perigee-name"]; got != "alias/acme/test/My Store/ä" {
		t.Errorf("annotated %q", got)
	}
	if secret.GetReplication().GetAutomatic() == nil {
		t.Errorf("replication %v", secret.GetReplication())
	}
}

func TestLocations(t *testing.T) {
	s := secretmanagertest.Start(t)
	d := secretmanager.New("acme", []string{"europe-west6"}, s.ClientOptions()...)
	defer d.Close() //nolint:errcheck // a test
	mustPut(t, d, "a", 1)
	if r := s.Secrets()[0].GetReplication().GetUserManaged().GetReplicas(); len(r) != 1 || r[0].GetLocation() != "europe-west6" {
		t.Errorf("replicas %v", r)
	}
}

// Old key material does not pile up, but a reader of the version before still
// finds it.
func TestOldVersionsAreDestroyed(t *testing.T) {
	s := secretmanagertest.Start(t)
	d := open(t, s)
	before := mustPut(t, d, "a", 4)
	mustPut(t, d, "a", 1)
	if n := s.Enabled(s.Secrets()[0].GetName()); n != 2 {
		t.Errorf("%d versions are enabled", n)
	}
	if data, err := d.GetVersion(t.Context(), "a", before); err != nil || string(data) != "3" {
		t.Errorf("version before: %q, %v", data, err)
	}
}

// A reader costs one call.
func TestCalls(t *testing.T) {
	s := secretmanagertest.Start(t)
	d := open(t, s)
	version := mustPut(t, d, "a", 1)
	s.Calls()
	_, _, _ = d.Get(t.Context(), "a")
	_, _ = d.GetVersion(t.Context(), "a", version)
	if calls := s.Calls(); len(calls) != 1 || calls["AccessSecretVersion"] != 2 {
		t.Errorf("calls %v", calls)
	}
}

// Who creates a secret may die before it has a version: it is not there, and
// the next one makes it.
func TestHalfMade(t *testing.T) {
	s := secretmanagertest.Start(t)
	d := open(t, s)
	s.Fail(func(method string) error {
		if method == "AddSecretVersion" {
			return status.Error(codes.PermissionDenied, "no")
		}
		return nil
	})
	_, err := d.Create(t.Context(), "a", []byte("one"), nil)
	wantCode(t, err, keystore.Denied)
	s.Fail(nil)

	_, _, err = d.Get(t.Context(), "a")
	wantCode(t, err, keystore.NotFound)
	for e := range d.List(t.Context(), nil) {
		t.Errorf("listed %v", e)
	}
	_, err = d.Replace(t.Context(), "a", "", []byte("one"))
	wantCode(t, err, keystore.NotFound)
	if _, err := d.Create(t.Context(), "a", []byte("two"), nil); err != nil {
		t.Fatal(err)
	}
}

// A write that lost its etag destroys nothing of the winner's and leaves no
// version of its own.
func TestLostRace(t *testing.T) {
	s := secretmanagertest.Start(t)
	loser, winner := open(t, s), open(t, s)
	var raced atomic.Bool
	s.Fail(func(method string) error {
		if method == "UpdateSecret" && raced.CompareAndSwap(false, true) {
			if _, err := winner.Create(context.Background(), "a", []byte("winner"), nil); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	_, err := loser.Create(t.Context(), "a", []byte("loser"), nil)
	wantCode(t, err, keystore.AlreadyExists)
	if data, _, err := winner.Get(t.Context(), "a"); err != nil || string(data) != "winner" {
		t.Errorf("%q, %v", data, err)
	}
	if n := s.Enabled(s.Secrets()[0].GetName()); n != 1 {
		t.Errorf("%d versions are enabled", n)
	}
}

// The secret may be deleted between the steps of a write.
func TestDeletedMeanwhile(t *testing.T) {
	for _, at := range []string{"AddSecretVersion", "UpdateSecret"} {
		s := secretmanagertest.Start(t)
		d, other := open(t, s), open(t, s)
		mustPut(t, d, "a", 1)
		var raced atomic.Bool
		s.Fail(func(method string) error {
			if method == at && raced.CompareAndSwap(false, true) {
				return other.Delete(context.Background(), "a")
			}
			return nil
		})
		if _, err := d.Put(t.Context(), "a", []byte("again"), nil); err != nil {
			t.Errorf("deleted before %s: %v", at, err)
		}
		if data, _, err := d.Get(t.Context(), "a"); err != nil || string(data) != "again" {
			t.Errorf("deleted before %s: %q, %v", at, data, err)
		}
	}
}

func TestDisabledByHand(t *testing.T) {
	s := secretmanagertest.Start(t)
	d := open(t, s)
	version := mustPut(t, d, "a", 1)
	s.Disable(s.Secrets()[0].GetName())
	_, _, err := d.Get(t.Context(), "a")
	wantCode(t, err, keystore.Denied)
	_, err = d.GetVersion(t.Context(), "a", version)
	wantCode(t, err, keystore.NotFound)
}

func TestErrorCodes(t *testing.T) {
	s := secretmanagertest.Start(t)
	d := open(t, s)
	version := mustPut(t, d, "a", 1)
	for code, want := range map[codes.Code]keystore.Code{
		codes.PermissionDenied: keystore.Denied,
		codes.Unauthenticated:  keystore.Denied,
		codes.Internal:         keystore.Unavailable,
		codes.InvalidArgument:  keystore.Invalid,
		codes.NotFound:         keystore.NotFound,
	} {
		s.Fail(func(string) error { return status.Error(code, "told to") })
		_, _, err := d.Get(t.Context(), "a")
		wantCode(t, err, want)
		_, err = d.GetVersion(t.Context(), "a", version)
		wantCode(t, err, want)
		wantCode(t, d.Delete(t.Context(), "a"), want)
		for _, err := range d.List(t.Context(), nil) {
			wantCode(t, err, want)
		}
	}
}

func TestDeadline(t *testing.T) {
	s := secretmanagertest.Start(t)
	d := open(t, s)
	mustPut(t, d, "a", 1)
	s.Fail(func(string) error { return status.Error(codes.Unavailable, "down") }) // which the client retries
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := d.Get(ctx, "a")
	wantCode(t, err, keystore.Unavailable)
}

// Other people's secrets of the project are left alone.
func TestForeignSecrets(t *testing.T) {
	s := secretmanagertest.Start(t)
	mustPut(t, open(t, s), "a", 1)
	other := secretmanager.New("acme2", nil, s.ClientOptions()...)
	defer other.Close() //nolint:errcheck // a test
	for e := range other.List(t.Context(), nil) {
		t.Errorf("listed %v", e)
	}
}

func wantCode(t *testing.T, err error, code keystore.Code) {
	t.Helper()
	if err == nil || keystore.CodeOf(err) != code {
		t.Errorf("error %v, want one of code %q", err, code)
	}
}
