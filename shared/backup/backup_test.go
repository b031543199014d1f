package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/backup"
	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/keystore"
	keymemory "github.com/perigee-gateway/perigee/shared/keystore/memory"
	"github.com/perigee-gateway/perigee/shared/orgtest"
	"github.com/perigee-gateway/perigee/shared/registry"
	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/enginestest"
	"github.com/perigee-gateway/perigee/shared/vault"
)

// host is a process over an empty store and keystore.
func host(t *testing.T, store string) *boot.Host {
	t.Helper()
	h, err := boot.Open(t.Context(), boot.Config{
		Organization: "acme", Store: store, Keystore: "local:" + t.TempDir(), LogFormat: "text", LogLevel: "error", InsecureManagement: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func client(t *testing.T, h *boot.Host) *apiclient.Client {
	t.Helper()
	api, err := h.ManagementHandler()
	if err != nil {
		t.Fatal(err)
	}
	return &apiclient.Client{Base: "http://perigee", HTTP: &http.Client{Transport: apiclient.Handler{Handler: api}}}
}

func place(h *boot.Host) backup.Place {
	return backup.Place{Registry: h.Registry, Keystore: h.Keystore}
}

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

// saved is a backup of acme.
func saved(t *testing.T, p backup.Place) ([]byte, backup.Summary) {
	t.Helper()
	var b buffer
	s, err := p.Write(t.Context(), "acme", func() (io.WriteCloser, error) { b.Reset(); return &b, nil })
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), s
}

// engines runs a test on stores of each engine.
func engines(t *testing.T, test func(t *testing.T, empty func() string)) {
	t.Run("memory", func(t *testing.T) { test(t, func() string { return "memory:" }) })
	t.Run("embedded", func(t *testing.T) { test(t, func() string { return "embedded:" + t.TempDir() }) })
	t.Run("firestore", func(t *testing.T) {
		enginestest.RequireEmulator(t)
		test(t, func() string { return "firestore:" + enginestest.Project() })
	})
}

// A backup of what was restored is equal byte for byte, and what was restored
// serves.
func TestRoundTrip(t *testing.T) {
	engines(t, func(t *testing.T, empty func() string) {
		from := host(t, empty())
		orgtest.Fill(t, client(t, from), "acme")
		greeted(t, from)
		first, s := saved(t, place(from))
		if s.Documents < 250 || s.Archives != 8 || s.Aliases != 2 || s.Organization != "acme" {
			t.Errorf("summary is %+v", s)
		}
		if again, _ := saved(t, place(from)); !bytes.Equal(first, again) {
			t.Error("two backups of one organization differ")
		}
		to := host(t, empty())
		restored, err := place(to).Read(t.Context(), bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		if restored != s {
			t.Errorf("restored %+v of %+v", restored, s)
		}
		second, _ := saved(t, place(to))
		if !bytes.Equal(first, second) {
			t.Errorf("the second backup differs: %s", difference(first, second))
		}
		greeted(t, to)
		// Secrets are those of the other place, sealed with this one's keys.
		var app struct{ Credentials []map[string]any }
		if err := client(t, to).Get(t.Context(), "organizations/acme/developers/ann@example.com/apps/shop", nil, &app); err != nil {
			t.Fatal(err)
		}
		if text, _ := json.Marshal(app); !strings.Contains(string(text), "secret-of-ann-1") || !strings.Contains(string(text), `"revoked"`) {
			t.Errorf("app is %s", text)
		}
		var csr []byte // made with the private key
		if err := client(t, to).Get(t.Context(), "organizations/acme/environments/test/keystores/identities/aliases/self/csr", nil, &csr); err != nil {
			t.Error(err)
		}
		if _, err := place(to).Read(t.Context(), bytes.NewReader(first)); !backup.IsExists(err) {
			t.Errorf("restoring over an organization: %v", err)
		}
		// It goes on from there.
		var rev struct{ Revision string }
		err = client(t, to).Do(t.Context(), apiclient.Call{
			Method: "POST", Path: "organizations/acme/apis", Query: map[string][]string{"action": {"import"}, "name": {"hello"}},
			Body: orgtest.Proxy(t, "hello", orgtest.Path, "hello v4"), ContentType: "application/octet-stream",
		}, &rev)
		if err != nil || rev.Revision != "4" {
			t.Errorf("revision %q, %v", rev.Revision, err)
		}
	})
}

// greeted calls the proxy: it verifies a key and reads a map.
func greeted(t *testing.T, h *boot.Host) {
	t.Helper()
	w := httptest.NewRecorder()
	h.GatewayHandler().ServeHTTP(w, httptest.NewRequest("GET", "http://"+orgtest.Host+orgtest.Path+"?apikey="+orgtest.Key, nil))
	if w.Code != 200 || w.Body.String() != orgtest.Greeting {
		t.Errorf("answer is %d %s, want %s", w.Code, w.Body, orgtest.Greeting)
	}
}

func difference(a, b []byte) string {
	x, y := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			var d struct{ Doc struct{ Data []byte } }
			_ = json.Unmarshal([]byte(x[i]), &d)
			return x[i] + "\n" + string(d.Doc.Data) + "\nand\n" + y[min(i, len(y)-1)]
		}
	}
	return "length"
}

// Two organizations of one store do not meet, however alike their names.
func TestNeighbours(t *testing.T) {
	h := host(t, "memory:")
	for _, org := range []string{"acme", "acme2"} {
		orgtest.Fill(t, client(t, h), org)
	}
	data, _ := saved(t, place(h))
	if bytes.Contains(data, []byte("acme2/")) || bytes.Contains(data, []byte(`"id":"acme2"`)) {
		t.Error("the backup has documents of another organization")
	}
}

// failing is a store's engine that fails when it is told to.
type failing struct {
	store.Driver
	left int
}

func (f *failing) fails() error {
	if f.left--; f.left < 0 {
		return &store.Error{Code: store.Internal, Op: "test", Err: errors.New("died here")}
	}
	return nil
}

func (f *failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Driver.Update(ctx, fn)
}

// A restore that ends at any write leaves no organization to be seen, and done
// again gives the whole one.
func TestInterrupted(t *testing.T) {
	from := host(t, "memory:")
	orgtest.Fill(t, client(t, from), "acme")
	data, _ := saved(t, place(from))
	for n := 0; ; n++ {
		engine := &failing{Driver: enginestest.Memory(t), left: n}
		p := onEngine(engine)
		_, err := p.Read(t.Context(), bytes.NewReader(data))
		if err == nil {
			if n < 5 {
				t.Errorf("a restore takes %d writes only", n)
			}
			return
		}
		if ok, err := p.Registry.Organizations.Exists(t.Context(), "acme"); ok || err != nil {
			t.Fatalf("after %d writes the organization is there (%v)", n, err)
		}
		engine.left = 1 << 30
		if _, err := p.Read(t.Context(), bytes.NewReader(data)); err != nil {
			t.Fatalf("again after %d writes: %v", n, err)
		}
		if again, _ := saved(t, p); !bytes.Equal(data, again) {
			t.Fatalf("after %d writes and again it differs: %s", n, difference(data, again))
		}
	}
}

func TestDamaged(t *testing.T) {
	from := host(t, "memory:")
	orgtest.Fill(t, client(t, from), "acme")
	data, _ := saved(t, place(from))
	lines := bytes.SplitAfter(data, []byte("\n"))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":        {nil, "ends too early"},
		"cut":          {bytes.Join(lines[:len(lines)/2], nil), "ends too early"},
		"cut in line":  {data[:len(data)/2], "damaged"},
		"no end":       {bytes.Join(lines[:len(lines)-2], nil), "ends too early"},
		"line lost":    {bytes.Join(append(append([][]byte{}, lines[:20]...), lines[21:]...), nil), "checksum differs"},
		"altered":      {bytes.Replace(data, []byte(`"scope":"environment"`), []byte(`"scope":"enviroment0"`), 1), "checksum differs"},
		"no header":    {bytes.Join(lines[1:], nil), "not a backup"},
		"two headers":  {bytes.Join(append([][]byte{lines[0]}, lines...), nil), "two headers"},
		"other format": {bytes.Replace(data, []byte("perigee-backup/1"), []byte("perigee-backup/2"), 1), `has the format "perigee-backup/2"`},
		"foreign":      {bytes.Replace(data, []byte(`"id":"acme/hello"`), []byte(`"id":"others/hello"`), 1), "is not of organization"},
		"state":        {bytes.Replace(data, []byte(`"collection":"apis"`), []byte(`"collection":"tokens"`), 1), "not part of"},
		"odd record":   {append(append([]byte{}, lines[0]...), "{}\n"...), "no known kind"},
	} {
		to := host(t, "memory:")
		_, err := place(to).Read(t.Context(), bytes.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %s", name, err, c.want)
		}
		if ok, _ := to.Registry.Organizations.Exists(t.Context(), "acme"); ok {
			t.Errorf("%s: there is an organization", name)
		}
	}
}

func TestUnknownOrganization(t *testing.T) {
	h := host(t, "memory:")
	_, err := place(h).Write(t.Context(), "acme", func() (io.WriteCloser, error) { return &buffer{}, nil })
	if err == nil || !strings.Contains(err.Error(), `organization "acme" not found`) {
		t.Errorf("error is %v", err)
	}
}

// A backup that meets a change begins anew; one that always does, gives up.
func TestChanging(t *testing.T) {
	h := host(t, "memory:")
	api := client(t, h)
	orgtest.Fill(t, api, "acme")
	begun := 0
	change := func() {
		err := api.Do(t.Context(), apiclient.Call{Method: "PATCH", Path: "organizations/acme/apis/hello", Query: map[string][]string{"updateMask": {"labels"}},
			JSON: map[string]any{"labels": map[string]string{"n": strings.Repeat("x", begun)}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	var b buffer
	_, err := place(h).Write(t.Context(), "acme", func() (io.WriteCloser, error) {
		begun++
		b.Reset()
		if begun == 1 {
			return closing{&b, change}, nil
		}
		return &b, nil
	})
	if err != nil || begun != 2 {
		t.Errorf("begun %d times, error %v", begun, err)
	}
	_, err = place(h).Write(t.Context(), "acme", func() (io.WriteCloser, error) { begun++; return closing{&b, change}, nil })
	if !errors.Is(err, backup.ErrChanging) {
		t.Errorf("error is %v", err)
	}
}

// closing does something between the first reading and the second.
type closing struct {
	io.Writer
	then func()
}

func (c closing) Close() error { c.then(); return nil }

func TestCrypt(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	encrypted := func(k backup.Keys) []byte {
		t.Helper()
		var b bytes.Buffer
		w, err := k.Encrypt(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "content"); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b.Bytes(), []byte("content")) {
			t.Error("it is not encrypted")
		}
		return b.Bytes()
	}
	decrypted := func(k backup.Keys, data []byte) (string, error) {
		r, err := k.Decrypt(bytes.NewReader(data))
		if err != nil {
			return "", err
		}
		got, err := io.ReadAll(r)
		return string(got), err
	}
	pass := backup.Keys{Passphrase: "correct horse", Work: 10}
	forKey := encrypted(backup.Keys{Recipients: []string{id.Recipient().String()}})
	forPass := encrypted(pass)
	identities := backup.Keys{Identities: "# mine\n" + id.String() + "\n"}
	for _, c := range []struct {
		keys backup.Keys
		data []byte
		want string
	}{
		{identities, forKey, "content"}, {pass, forPass, "content"}, {backup.Keys{}, []byte("plain"), "plain"}, {identities, nil, ""},
	} {
		if got, err := decrypted(c.keys, c.data); got != c.want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, c.want)
		}
	}
	other, _ := age.GenerateX25519Identity()
	for _, c := range []struct {
		keys backup.Keys
		data []byte
	}{
		{backup.Keys{Identities: other.String()}, forKey}, {backup.Keys{Passphrase: "wrong"}, forPass}, {backup.Keys{}, forKey},
		{identities, forPass}, {backup.Keys{Identities: "rubbish"}, forKey}, {identities, forKey[:len(forKey)-1]},
	} {
		if got, err := decrypted(c.keys, c.data); err == nil {
			t.Errorf("opened: %q", got)
		}
	}
	for _, k := range []backup.Keys{{}, {Recipients: []string{"age1nonsense"}}, {Passphrase: "x", Recipients: []string{id.Recipient().String()}}} {
		if _, err := k.Encrypt(io.Discard); err == nil {
			t.Errorf("%+v is taken", k)
		}
	}
}

// onEngine is a place over an engine, with an empty keystore.
func onEngine(d store.Driver) backup.Place {
	keys := keymemory.New()
	return backup.Place{Registry: registry.New(store.New(d), vault.New(keys)), Keystore: keystore.New(keys)}
}
