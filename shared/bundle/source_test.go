package bundle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	tinyProxy = `<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>%s</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`
	tinyFlow  = `<SharedFlow name="default"/>`
)

type entry struct {
	name, data string
	mode       fs.FileMode
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		w, err := zw.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func proxyEntry() entry {
	return entry{name: "apiproxy/proxies/default.xml", data: fmt.Sprintf(tinyProxy, "/a")}
}

func TestLoadZip(t *testing.T) {
	data := zipOf(t, entry{name: "apiproxy/"}, entry{name: "apiproxy/proxies/"}, proxyEntry(),
		entry{name: "__MACOSX/apiproxy/proxies/._default.xml", data: "x"},
		entry{name: "apiproxy/resources/jsc/a.js", data: "1"})
	b, err := LoadZip(data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Kind != KindAPIProxy || b.Proxy("default") == nil || string(b.Resource("jsc", "a.js").Data) != "1" {
		t.Errorf("%+v", b)
	}
	if got := b.Resource("jsc", "a.js").URL(); got != "jsc://a.js" {
		t.Error(got)
	}
}

// apigeecli packs a shared flow beside an empty folder apiproxy.
func TestLoadZipEmptyFolder(t *testing.T) {
	data := zipOf(t, entry{name: "apiproxy/"}, entry{name: "sharedflowbundle/sharedflows/"},
		entry{name: "sharedflowbundle/sharedflows/default.xml", data: tinyFlow})
	b, err := LoadZip(data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Kind != KindSharedFlow || b.SharedFlow() == nil {
		t.Errorf("%+v", b)
	}
}

// What archivers of Windows, macOS and Java make of a folder.
func TestLoadZipArchivers(t *testing.T) {
	data := fmt.Sprintf(tinyProxy, "/a")
	for name, entries := range map[string][]entry{
		"backslashes":          {{name: `apiproxy\proxies\default.xml`, data: data}, {name: `apiproxy\resources\jsc\lib\a.js`, data: "1"}},
		"backslash folders":    {{name: `apiproxy\`}, {name: `apiproxy\proxies\`}, {name: `apiproxy\proxies\default.xml`, data: data}, {name: `apiproxy\resources\jsc\lib\a.js`, data: "1"}},
		"dot":                  {{name: "./"}, {name: "./apiproxy/"}, {name: "./apiproxy/proxies/default.xml", data: data}, {name: "./apiproxy/resources/jsc/lib/a.js", data: "1"}},
		"folder without slash": {{name: "apiproxy", mode: fs.ModeDir | 0o755}, {name: "apiproxy/proxies/default.xml", data: data}, {name: "apiproxy/resources/jsc/lib/a.js", data: "1"}},
		"folders twice":        {{name: "apiproxy/"}, {name: "apiproxy/"}, {name: "apiproxy/proxies/default.xml", data: data}, {name: "apiproxy/resources/jsc/lib/a.js", data: "1"}},
		"macOS":                {{name: "apiproxy/proxies/default.xml", data: data}, {name: "apiproxy/resources/jsc/lib/a.js", data: "1"}, {name: "apiproxy/.DS_Store", data: "\x00"}, {name: "__MACOSX/apiproxy/._proxies", data: "\x00"}, {name: "apiproxy/proxies/._default.xml", data: "\x00"}},
		"code page 437":        {{name: "apiproxy/proxies/default.xml", data: data}, {name: "apiproxy/resources/jsc/lib/a.js", data: "1"}, {name: "apiproxy/resources/jsc/\x81.js", data: "1"}},
		"project":              {{name: "my-proxy-main/README.md", data: "x"}, {name: "my-proxy-main/apiproxy/proxies/default.xml", data: data}, {name: "my-proxy-main/apiproxy/resources/jsc/lib/a.js", data: "1"}, {name: "my-proxy-main/pom.xml", data: "<project/>"}},
		"extension":            {{name: "apiproxy/proxies/default.XML", data: data}, {name: "apiproxy/resources/jsc/lib/a.js", data: "1"}},
	} {
		b, err := LoadZip(zipOf(t, entries...), Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b.Proxy("default") == nil || b.Resource("jsc", "lib/a.js") == nil || len(b.Warnings) > 0 {
			t.Errorf("%s: %v %v", name, b.Proxies, b.Warnings)
		}
		if name == "code page 437" && b.Resource("jsc", "ü.js") == nil {
			t.Errorf("%s: %v", name, b.Resources[1].Name)
		}
	}
}

func TestLoadZipRefuses(t *testing.T) {
	bomb := entry{name: "apiproxy/resources/jsc/a.js", data: strings.Repeat("a", 2<<20)}
	small := Limits{TotalBytes: 1000, FileBytes: 500, Files: 4}
	for name, c := range map[string]struct {
		data   []byte
		limits Limits
		want   string
	}{
		"no zip":       {[]byte("PK"), Limits{}, "read zip: zip: not a valid zip file"},
		"large":        {make([]byte, MaxZipBytes+1), Limits{}, "zip is larger than 15728640 bytes"},
		"empty":        {zipOf(t), Limits{}, "the source holds no apiproxy or sharedflowbundle folder"},
		"parent":       {zipOf(t, entry{name: "apiproxy/../../x"}), Limits{}, `zip entry "apiproxy/../../x" has a name that is not a plain relative path`},
		"absolute":     {zipOf(t, entry{name: "/apiproxy/x"}), Limits{}, `zip entry "/apiproxy/x" has a name that is not a plain relative path`},
		"drive":        {zipOf(t, entry{name: "C:/apiproxy/x"}), Limits{}, `zip entry "C:/apiproxy/x" has a name that is not a plain relative path`},
		"backslash":    {zipOf(t, entry{name: `apiproxy\..\..\x`}), Limits{}, `zip entry "apiproxy/../../x" has a name that is not a plain relative path`},
		"dot, parent":  {zipOf(t, entry{name: "./../x"}), Limits{}, `zip entry "../x" has a name that is not a plain relative path`},
		"dot, root":    {zipOf(t, entry{name: ".//x/./y"}), Limits{}, `zip entry "x/./y" has a name that is not a plain relative path`},
		"dot":          {zipOf(t, entry{name: "apiproxy/./x"}), Limits{}, `zip entry "apiproxy/./x" has a name that is not a plain relative path`},
		"empty name":   {zipOf(t, entry{name: ""}), Limits{}, `zip entry "" has a name that is not a plain relative path`},
		"symlink":      {zipOf(t, entry{name: "apiproxy/x", data: "/etc/passwd", mode: fs.ModeSymlink | 0o777}), Limits{}, `zip entry "apiproxy/x" is a symbolic link or a special file`},
		"device":       {zipOf(t, entry{name: "apiproxy/x", mode: fs.ModeDevice | 0o777}), Limits{}, `zip entry "apiproxy/x" is a symbolic link or a special file`},
		"twice":        {zipOf(t, proxyEntry(), proxyEntry()), Limits{}, `zip entry "apiproxy/proxies/default.xml" appears twice`},
		"file, folder": {zipOf(t, entry{name: "apiproxy/x"}, entry{name: "apiproxy/x/"}), Limits{}, `zip entry "apiproxy/x/" appears twice`},
		"bomb":         {zipOf(t, proxyEntry(), bomb), Limits{}, `zip entry "apiproxy/resources/jsc/a.js" is packed more than 100 times`},
		"file":         {zipOf(t, proxyEntry(), entry{name: "a", data: strings.Repeat("a", 501)}), small, `zip entry "a" is larger than 500 bytes`},
		"total":        {zipOf(t, entry{name: "a", data: strings.Repeat("a", 400)}, entry{name: "b", data: strings.Repeat("a", 400)}, entry{name: "c", data: strings.Repeat("a", 400)}), small, "zip unpacks to more than 1000 bytes"},
		"files":        {zipOf(t, entry{name: "a"}, entry{name: "b"}, entry{name: "c"}, entry{name: "d"}, entry{name: "e"}), small, "zip has more than 4 files"},
		"both":         {zipOf(t, proxyEntry(), entry{name: "sharedflowbundle/sharedflows/default.xml", data: tinyFlow}), Limits{}, "more than one bundle: apiproxy, sharedflowbundle"},
	} {
		_, err := LoadZip(c.data, c.limits)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// A header that says less than the data holds must not get more in.
func TestLoadZipLyingSize(t *testing.T) {
	data := zipOf(t, proxyEntry(), entry{name: "apiproxy/resources/jsc/a.js", data: strings.Repeat("ab", 50_000)})
	size := []byte{0xa0, 0x86, 0x01, 0} // 100000
	at := bytes.LastIndex(data, size)
	if at < 0 {
		t.Fatal("no size in the directory")
	}
	copy(data[at:], []byte{10, 0, 0, 0})
	if _, err := LoadZip(data, Limits{FileBytes: 1000}); err == nil {
		t.Error("loaded")
	}
	encrypted := zipOf(t, proxyEntry())
	directory := bytes.Index(encrypted, []byte("PK\x01\x02"))
	encrypted[directory+8] |= 1
	if _, err := LoadZip(encrypted, Limits{}); err == nil || !strings.HasSuffix(err.Error(), "is encrypted") {
		t.Error(err)
	}
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadDir(t *testing.T) {
	proxy := writeTree(t, map[string]string{"x/apiproxy/proxies/default.xml": fmt.Sprintf(tinyProxy, "/a"), "x/pom.xml": "x"})
	flow := writeTree(t, map[string]string{"sharedflowbundle/sharedflows/default.xml": tinyFlow})
	renamed := writeTree(t, map[string]string{"proxies/default.xml": fmt.Sprintf(tinyProxy, "/a")})
	for dir, kind := range map[string]Kind{
		proxy:                                   KindAPIProxy,
		filepath.Join(proxy, "x"):               KindAPIProxy,
		filepath.Join(proxy, "x", "apiproxy"):   KindAPIProxy,
		renamed:                                 KindAPIProxy,
		flow:                                    KindSharedFlow,
		filepath.Join(flow, "sharedflowbundle"): KindSharedFlow,
	} {
		b, err := Load(dir)
		if err != nil || b.Kind != kind {
			t.Errorf("%s: %v %v", dir, b, err)
			continue
		}
		var names []string
		for name := range b.Files() {
			names = append(names, name)
		}
		if len(names) != 1 || !strings.HasSuffix(names[0], "/default.xml") || strings.Count(names[0], "/") != 1 {
			t.Errorf("%s: files %q", dir, names)
		}
	}
	if _, err := Load(filepath.Join(proxy, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := LoadDir(filepath.Join(proxy, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ZipDir(filepath.Join(proxy, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestLoadDirSymlink(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"apiproxy/proxies/default.xml": fmt.Sprintf(tinyProxy, "/a"),
		"secret":                       "x",
	})
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "apiproxy", "s.js")); err != nil {
		t.Fatal(err)
	}
	const want = "s.js: symbolic links and special files are not allowed"
	if _, err := LoadDir(dir); err == nil || err.Error() != want {
		t.Error(err)
	}
	if _, err := ZipDir(dir); err == nil || err.Error() != want {
		t.Error(err)
	}
}

func TestLoadFSLimits(t *testing.T) {
	fsys := fstest.MapFS{
		"apiproxy/resources/jsc/a.js":  {Data: make([]byte, MaxResourceBytes+1)},
		"apiproxy/proxies/default.xml": {Data: fmt.Appendf(nil, tinyProxy, "/a")},
	}
	const want = "resources/jsc/a.js: too large: more than 15728640 bytes are left for it"
	if _, err := LoadFS(fsys); err == nil || err.Error() != want {
		t.Error(err)
	}
	_, _, _, err := readFS(fsys, "", Limits{Files: 2}.orDefault())
	if err == nil || err.Error() != "more than 2 files" {
		t.Error(err)
	}
}

// The same files give the same bytes, from a folder or from a zip in any order,
// and what is packed is what was loaded.
func TestZip(t *testing.T) {
	files := map[string]string{
		"apiproxy/proxies/default.xml": "\ufeff" + fmt.Sprintf(tinyProxy, "/a") + "\r\n",
		"apiproxy/resources/jsc/a.js":  "1",
		"apiproxy/README.md":           "x",
		"apiproxy/.DS_Store":           "x",
	}
	dir := writeTree(t, files)
	fromDir, err := ZipDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for name, data := range files {
		entries = append(entries, entry{name: "top/" + name, data: data})
	}
	b, err := LoadZip(zipOf(t, entries...), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	fromZip, err := Zip(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fromDir, fromZip) {
		t.Error("zips differ")
	}
	path := filepath.Join(dir, "b.zip")
	if err := os.WriteFile(path, fromZip, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil || dump(again) != dump(b) {
		t.Errorf("%v\n%s", err, dump(again))
	}
	for name, data := range again.Files() {
		if files["apiproxy/"+name] != string(data) {
			t.Errorf("%s: %q", name, data)
		}
		break
	}
}

func TestLoadLargeZipFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.zip")
	if err := os.WriteFile(path, make([]byte, MaxZipBytes+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasSuffix(err.Error(), "zip is larger than 15728640 bytes") {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	var flows strings.Builder
	for i := range MaxFlows + 1 {
		fmt.Fprintf(&flows, `<Flow name="f%d"><Condition>a</Condition></Flow>`, i)
	}
	fsys := fstest.MapFS{}
	put := func(name, data string) { fsys["apiproxy/"+name] = &fstest.MapFile{Data: []byte(data)} }
	for i := range MaxProxyEndpoints + 1 {
		put(fmt.Sprintf("proxies/p%02d.xml", i), fmt.Sprintf(strings.Replace(tinyProxy, "default", fmt.Sprint("p", i), 1), fmt.Sprint("/", i)))
	}
	for i := range MaxTargetEndpoints + 1 {
		put(fmt.Sprintf("targets/t%d.xml", i), fmt.Sprintf(`<TargetEndpoint name="t%d"><LocalTargetConnection><Path>/</Path></LocalTargetConnection></TargetEndpoint>`, i))
	}
	put("targets/flows.xml", `<TargetEndpoint name="flows"><Flows>`+flows.String()+`</Flows><LocalTargetConnection><Path>/</Path></LocalTargetConnection></TargetEndpoint>`)
	for i := range MaxPropertySets + 1 {
		put(fmt.Sprintf("resources/properties/%d.properties", i), "a=b")
	}
	put("resources/properties/0.properties", strings.Repeat("a", MaxPropertySet+1))
	put("policies/long.xml", `<Quota name="`+strings.Repeat("a", MaxNameBytes+1)+`"/>`)
	_, err := LoadFS(fsys)
	const want = `apiproxy: 1002 TargetEndpoints, the limit is 1000
apiproxy: 11 ProxyEndpoints, the limit is 10
apiproxy: 51 property sets, the limit is 50
policies/long.xml:1: name of <Quota> is longer than 255 characters
resources/properties/0.properties: property set has 112641 bytes, the limit is 112640
targets/flows.xml:1: <TargetEndpoint> has 201 flows, the limit is 200`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestBasePath(t *testing.T) {
	const (
		plain    = "it must be a plain path"
		rooted   = "it must start with /"
		empty    = "it must not have empty segments"
		wildcard = "* must be a whole segment"
		first    = "* cannot be its first segment"
		dots     = "it must not have . or .. segments"
	)
	for path, want := range map[string]string{
		"/": "", "/a": "", "/a/": "", "/v1/a-b_c.d~e": "", "/v1/*": "", "/v1/*/x": "", "/v1/*/*/x": "", "/a%20b": "", "/grpc.Service": "",
		"a": rooted, "": rooted, "*": rooted, "/a//b": empty, "//": "", "/a//": empty,
		"/*": first, "/*/search": first, "/a/**/b": wildcard, "/a/b*": wildcard, "/a/**": wildcard,
		"/a?b": plain, "/a#b": plain, "/a b": plain, "/{a}": plain, `/a\b`: plain, "/a/../b": dots, "/./b": dots,
	} {
		if got := basePathFault(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

func TestAccessors(t *testing.T) {
	b, err := LoadFS(fstest.MapFS{
		"apiproxy/proxies/default.xml":               {Data: fmt.Appendf(nil, tinyProxy, "/a/")},
		"apiproxy/proxies/z.xml":                     {Data: []byte(strings.Replace(fmt.Sprintf(tinyProxy, "/"), "default", "z", 1))},
		"apiproxy/integration-endpoints/i.xml":       {Data: []byte(`<IntegrationEndpoint name="i"/>`)},
		"apiproxy/policies/q.xml":                    {Data: []byte(`<Quota name="q"/>`)},
		"apiproxy/resources/properties/a.properties": {Data: []byte("a=b")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.BasePaths(); !slices.Equal(got, []string{"/a", "/"}) {
		t.Error(got)
	}
	if b.Policy("q").Kind != "Quota" || b.Policy("x") != nil || b.Integration("i") == nil || b.Target("t") != nil || b.SharedFlow() != nil {
		t.Error("look-ups by name")
	}
	if b.Kind.Folder() != "apiproxy" || KindSharedFlow.Folder() != "sharedflowbundle" {
		t.Error("folders")
	}
	ps := Properties{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
	if v, ok := ps.Get("a"); v != "2" || !ok {
		t.Error(v)
	}
	if _, ok := ps.Get("b"); ok {
		t.Error("b is there")
	}
}

func TestProblems(t *testing.T) {
	var ps Problems
	ps.Warnf(Pos{"b.xml", 2}, "w")
	if ps.Err() != nil || ps.Error() != "" {
		t.Error("warnings are no error")
	}
	ps.Errorf(Pos{"b.xml", 10}, "later")
	ps.Errorf(Pos{"b.xml", 9}, "sooner %d", 1)
	ps.Errorf(Pos{"b.xml", 9}, "sooner %d", 1)
	ps.Add(Pos{File: "a.xml"}, errors.New("plain"))
	ps.Add(Pos{}, nil)
	ps.Add(Pos{}, Problems{{Message: "no place"}})
	err := ps.Err()
	const want = "no place\na.xml: plain\nb.xml:9: sooner 1\nb.xml:10: later"
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var all Problems
	if !errors.As(fmt.Errorf("load: %w", err), &all) || len(all.Warnings()) != 1 || len(all.Errors()) != 4 {
		t.Errorf("%v", all)
	}
	if got := all.Warnings().String(); got != "b.xml:2: warning: w" {
		t.Error(got)
	}
}

// FuzzLoadZip: an archive that loads is packed to one that loads to the same
// model, and packing is stable.
func FuzzLoadZip(f *testing.F) {
	f.Add(zipOf(f, proxyEntry(), entry{name: "apiproxy/x.xml", data: `<APIProxy name="x"/>`}))
	f.Add(zipOf(f, entry{name: "sharedflowbundle/sharedflows/default.xml", data: tinyFlow}, entry{name: ".x/y"}))
	f.Add(zipOf(f, entry{name: "a/apiproxy/../x"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Limits{TotalBytes: 1 << 20, FileBytes: 1 << 18, Files: 100}
		b, err := LoadZip(data, limits)
		if err != nil {
			return
		}
		total := 0
		for name, data := range b.Files() {
			if total += len(data); !fs.ValidPath(name) || total > 1<<20 {
				t.Errorf("%q, %d bytes", name, total)
			}
		}
		packed, err := Zip(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := LoadZip(packed, Limits{Ratio: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := dump(again), dump(b); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if twice, _ := Zip(again); !bytes.Equal(twice, packed) {
			t.Error("packing is not stable")
		}
	})
}
