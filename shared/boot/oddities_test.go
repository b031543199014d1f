package boot_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/tools/txtar"
)

// imported is the answer to an import or deployment.
type imported struct {
	status   int
	body     string
	Revision string
	Warnings []string
}

// upload sends a zip as apigeecli does: one file of a form.
func (s *site) upload(collection, name string, bundle []byte) imported {
	s.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	w, err := form.CreateFormFile("proxy", "/tmp/"+name)
	if err != nil {
		s.t.Fatal(err)
	}
	w.Write(bundle)
	form.Close()
	return s.post(collection+"?action=import&name="+url.QueryEscape(name), form.FormDataContentType(), &b)
}

func (s *site) post(path, contentType string, body io.Reader) imported {
	s.t.Helper()
	r := httptest.NewRequest("POST", "/v1/organizations/org/"+path, body)
	r.Host = "localhost"
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	s.management.ServeHTTP(w, r)
	a := imported{status: w.Code, body: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		s.t.Fatalf("%s: %v: %s", path, err, a.body)
	}
	return a
}

// install imports a bundle and, if it is taken, deploys it.
func (s *site) install(collection, name string, bundle []byte) imported {
	s.t.Helper()
	a := s.upload(collection, name, bundle)
	if a.status != http.StatusOK {
		return a
	}
	d := s.post("environments/test/"+collection+"/"+name+"/revisions/"+a.Revision+"/deployments?override=true", "application/json", strings.NewReader(""))
	if d.status != http.StatusOK {
		return d
	}
	return a
}

// echo answers with what it was asked.
func echo(t *testing.T) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RequestURI(), body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestOddities imports, deploys and calls the bundles of testdata/oddities: what
// public repositories hold that the documentation does not show, and (rt-) the rules
// of the runtime reference. Beside the files of the bundle, with BACKEND replaced by
// an echoing target's URL, a case has
//
//	want.warned    parts of warnings, one to a line
//	want.refused   parts of the message of the refusal, one to a line; then nothing
//	               is called
//	calls          lines "METHOD PATH [NAME=VALUE ...] -> STATUS BODY", the body
//	               without white space around it
func TestOddities(t *testing.T) {
	s, backend := newSite(t), echo(t)
	names, err := filepath.Glob("testdata/oddities/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		name = strings.TrimSuffix(filepath.Base(name), ".txtar")
		t.Run(name, func(t *testing.T) {
			files, sections := map[string]string{}, map[string]string{}
			for _, f := range ar.Files {
				text := strings.ReplaceAll(string(f.Data), "BACKEND", backend)
				if strings.HasPrefix(f.Name, "want.") || f.Name == "calls" {
					sections[f.Name] = text
				} else {
					files[f.Name] = text
				}
			}
			s.t = t
			s.oddity(name, zipped(t, files), sections)
		})
	}
	s.t = t
}

func (s *site) oddity(name string, bundle []byte, sections map[string]string) {
	s.t.Helper()
	collection := "apis"
	if bytes.Contains(bundle, []byte("sharedflowbundle/")) {
		collection = "sharedflows"
	}
	a := s.install(collection, name, bundle)
	warned, text := strings.Join(a.Warnings, "\n"), ""
	if refused := sections["want.refused"]; refused != "" {
		if a.status != http.StatusBadRequest {
			s.t.Fatalf("answered %d %s, want a refusal", a.status, a.body)
		}
		var e struct{ Error struct{ Message string } }
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			s.t.Fatal(err)
		}
		text = e.Error.Message
		for line := range strings.Lines(refused) {
			if line = strings.TrimSpace(line); !strings.Contains(text, line) {
				s.t.Errorf("refused with\n%s\nwithout %s", text, line)
			}
		}
		return
	}
	if a.status != http.StatusOK {
		s.t.Fatalf("answered %d %s", a.status, a.body)
	}
	for line := range strings.Lines(sections["want.warned"]) {
		if line = strings.TrimSpace(line); !strings.Contains(warned, line) {
			s.t.Errorf("warned of\n%s\nwithout %s", warned, line)
		}
	}
	if n := strings.Count(sections["want.warned"], "\n"); n != len(a.Warnings) {
		s.t.Errorf("%d warnings, want %d:\n%s", len(a.Warnings), n, warned)
	}
	for line := range strings.Lines(sections["calls"]) {
		s.called(strings.TrimSpace(line))
	}
}

// called makes one call of a case.
func (s *site) called(line string) {
	s.t.Helper()
	call, want, ok := strings.Cut(line, " -> ")
	parts := strings.Fields(call)
	if !ok || len(parts) < 2 {
		s.t.Fatalf("%q is no call", line)
	}
	r, err := http.NewRequest(parts[0], s.gateway+parts[1], nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range parts[2:] {
		name, value, _ := strings.Cut(h, "=")
		if name == "body" {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(value)), int64(len(value))
			continue
		}
		r.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + strings.TrimSpace(string(body))); got != strings.TrimSpace(want) {
		s.t.Errorf("%s\n got %s\nwant %s", call, got, want)
	}
}

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// utf16Text is text in UTF-16, with a byte order mark.
func utf16Text(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}

// TestOddEncodings calls a proxy all of whose files are in one encoding.
func TestOddEncodings(t *testing.T) {
	s := newSite(t)
	latin := func(declared string) func(string) string {
		return func(text string) string {
			text = strings.NewReplacer("ü", "\xfc", "UTF-8", declared).Replace(text)
			return strings.ReplaceAll(text, "€", "&#8364;")
		}
	}
	for name, encode := range map[string]func(string) string{
		"plain": func(text string) string { return text },
		"bom":   func(text string) string { return "\ufeff" + text },
		"crlf":  func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") },
		"cr":    func(text string) string { return strings.ReplaceAll(text, "\n", "\r") },
		"utf16le": func(text string) string {
			return utf16Text(binary.LittleEndian, strings.ReplaceAll(text, "UTF-8", "UTF-16"))
		},
		"utf16be": func(text string) string {
			return utf16Text(binary.BigEndian, strings.ReplaceAll(text, "UTF-8", "utf-16"))
		},
		"saved":   func(text string) string { return strings.ReplaceAll(text, "UTF-8", "UTF-16") },
		"latin1":  latin("ISO-8859-1"),
		"windows": func(text string) string { return strings.ReplaceAll(latin("windows-1252")(text), "&#8364;", "\x80") },
		"ascii": func(text string) string {
			return strings.NewReplacer("ü", "&#xfc;", "€", "&#8364;", "UTF-8", "US-ASCII").Replace(text)
		},
		"single":   func(text string) string { return strings.ReplaceAll(text, `"`, "'") },
		"undeclar": func(text string) string { return text[strings.Index(text, "?>")+2:] },
	} {
		const head = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
		files := map[string]string{
			"apiproxy/" + name + ".xml": encode(head + "<APIProxy name=\"" + name + "\"/>"),
			"apiproxy/proxies/default.xml": encode(head + "<ProxyEndpoint name=\"default\">\n<PreFlow name=\"PreFlow\">\n<Request>\n<Step>\n<Name>\nReply\n</Name>\n</Step>\n</Request>\n</PreFlow>\n" +
				"<HTTPProxyConnection>\n<BasePath>\n/encoded/" + name + "\n</BasePath>\n</HTTPProxyConnection>\n<RouteRule name=\"none\"/>\n</ProxyEndpoint>\n"),
			"apiproxy/policies/Reply.xml": encode(head + "<AssignMessage name=\"Reply\">\n<Set>\n<Payload contentType=\"text/plain\">ü €</Payload>\n</Set>\n</AssignMessage>\n"),
		}
		if a := s.install("apis", name, zipped(t, files)); a.status != http.StatusOK || len(a.Warnings) > 0 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		s.called("GET /encoded/" + name + " -> 200 ü €")
	}
}

// TestOddZips deploys what archivers and build tools make of one proxy.
func TestOddZips(t *testing.T) {
	s := newSite(t)
	proxy := func(name string) map[string]string {
		return map[string]string{
			name + ".xml": `<APIProxy name="` + name + `"/>`,
			"proxies/default.xml": `<ProxyEndpoint name="default"><PreFlow name="PreFlow"><Request><Step><Name>JS</Name></Step></Request></PreFlow>
				<HTTPProxyConnection><BasePath>/zip/` + name + `</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`,
			"policies/JS.xml":          `<Javascript name="JS" timeLimit="2000"><ResourceURL>jsc://lib/a.js</ResourceURL></Javascript>`,
			"resources/jsc/lib/a.js":   `context.setVariable('request.content', 'script');`,
			"resources/jsc/._a.js":     "\x00",
			"policies/.DS_Store":       "\x00",
			"proxies/default.xml~":     "<",
			"policies/Thumbs.db":       "\x00",
			"manifests/manifest.xml":   "<Manifest/>",
			"resources/openapi/x.yaml": "a: b",
		}
	}
	rename := func(to func(string) string) func(map[string]string) map[string]string {
		return func(files map[string]string) map[string]string {
			out := map[string]string{}
			for name, text := range files {
				out[to("apiproxy/"+name)] = text
			}
			return out
		}
	}
	for name, c := range map[string]struct {
		pack    func(map[string]string) map[string]string
		refused string
	}{
		"plain":       {rename(func(n string) string { return n }), ""},
		"dot":         {rename(func(n string) string { return "./" + n }), ""},
		"windows":     {rename(func(n string) string { return strings.ReplaceAll(n, "/", `\`) }), ""},
		"project":     {rename(func(n string) string { return "repository-main/" + n }), ""},
		"no-folder":   {rename(func(n string) string { return strings.TrimPrefix(n, "apiproxy/") }), ""},
		"deep":        {rename(func(n string) string { return "a/b/" + n }), "holds no apiproxy or sharedflowbundle folder"},
		"other-case":  {rename(strings.ToUpper), "holds no apiproxy or sharedflowbundle folder"},
		"parent":      {rename(func(n string) string { return "../" + n }), "has a name that is not a plain relative path"},
		"windows-up":  {rename(func(n string) string { return `..\` + n }), "has a name that is not a plain relative path"},
		"sharedflows": {rename(func(n string) string { return strings.Replace(n, "apiproxy/", "sharedflowbundle/", 1) }), "not a bundle of an API proxy"},
	} {
		a := s.install("apis", name, zipped(t, c.pack(proxy(name))))
		switch {
		case c.refused != "":
			if a.status != http.StatusBadRequest || !strings.Contains(a.body, c.refused) {
				t.Errorf("%s: %d %s, want %s", name, a.status, a.body, c.refused)
			}
		case a.status != http.StatusOK:
			t.Errorf("%s: %d %s", name, a.status, a.body)
		default:
			s.called("GET /zip/" + name + " -> 200 script")
		}
	}
}

// TestLargeBundle deploys a proxy as large as they get: a thousand policies,
// hundreds of flows, megabytes of resources.
func TestLargeBundle(t *testing.T) {
	s := newSite(t)
	files, flows := map[string]string{}, ""
	for i := range 1000 {
		files[fmt.Sprintf("apiproxy/policies/AM-%d.xml", i)] = fmt.Sprintf(`<AssignMessage name="AM-%d"><AssignVariable><Name>v%d</Name><Value>%d</Value></AssignVariable></AssignMessage>`, i, i, i)
	}
	for i := range 200 {
		flows += fmt.Sprintf(`<Flow name="f%d"><Condition>proxy.pathsuffix MatchesPath "/f%d/**"</Condition><Request><Step><Name>AM-%d</Name></Step><Step><Name>Reply</Name></Step></Request></Flow>`, i, i, i)
	}
	noise := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	files["apiproxy/resources/jsc/large.js"] = "// " + hex.EncodeToString(noise)
	files["apiproxy/policies/Reply.xml"] = `<AssignMessage name="Reply"><Set><Payload contentType="text/plain">{v199:none}</Payload></Set></AssignMessage>`
	files["apiproxy/proxies/default.xml"] = `<ProxyEndpoint name="default"><Flows>` + flows + `</Flows><HTTPProxyConnection><BasePath>/large</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`
	if a := s.install("apis", "large", zipped(t, files)); a.status != http.StatusOK || len(a.Warnings) > 0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.called("GET /large/f199/x -> 200 199")
	s.called("GET /large/f1/x -> 200 none")
	files["apiproxy/resources/jsc/large.js"] = strings.Repeat(hex.EncodeToString(noise), 2) + "x"
	if a := s.install("apis", "larger", zipped(t, files)); a.status != http.StatusBadRequest || !strings.Contains(a.body, "is larger than") && !strings.Contains(a.body, "packed more than") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestRequestHeads sends requests with more in their heads than Apigee takes.
func TestRequestHeads(t *testing.T) {
	s := newSite(t)
	files := map[string]string{"apiproxy/proxies/default.xml": `<ProxyEndpoint name="default"><HTTPProxyConnection><BasePath>/heads</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`}
	if a := s.install("apis", "heads", zipped(t, files)); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	s.called("GET /heads?" + strings.Repeat("a", 10_000) + " -> 200")
	s.called("GET /heads?" + strings.Repeat("a", 10_240) + ` -> 414 {"fault":{"faultstring":"request line size exceeding 10,240","detail":{"errorcode":"protocol.http.TooBigLine"}}}`)
	s.called("GET /heads X-A=" + strings.Repeat("a", 60_000) + " -> 200")
	s.called("GET /heads X-A=" + strings.Repeat("a", 40_000) + " X-A=" + strings.Repeat("b", 40_000) +
		` -> 431 {"fault":{"faultstring":"request headers size exceeding 61,440","detail":{"errorcode":"protocol.http.TooBigHeaders"}}}`)
}

// TestOddResources deploys resources that editors saved with a byte order mark, in
// another encoding and with the line ends of Windows.
func TestOddResources(t *testing.T) {
	s := newSite(t)
	files := map[string]string{
		"apiproxy/proxies/default.xml": `<ProxyEndpoint name="default"><PreFlow name="PreFlow"><Request><Step><Name>JS</Name></Step><Step><Name>OAS</Name><Condition>request.queryparam.oas = "1"</Condition></Step><Step><Name>Reply</Name></Step></Request></PreFlow>
			<HTTPProxyConnection><BasePath>/saved</BasePath></HTTPProxyConnection><RouteRule name="none"/></ProxyEndpoint>`,
		"apiproxy/policies/JS.xml":                      `<Javascript name="JS" timeLimit="2000"><IncludeURL>jsc://lib.js</IncludeURL><ResourceURL>jsc://main.js</ResourceURL></Javascript>`,
		"apiproxy/policies/OAS.xml":                     `<OASValidation name="OAS"><OASResource>oas://api.yaml</OASResource></OASValidation>`,
		"apiproxy/policies/Reply.xml":                   `<AssignMessage name="Reply"><Set><Payload contentType="text/plain">{x} {propertyset.main.first} {propertyset.main.second}</Payload></Set></AssignMessage>`,
		"apiproxy/resources/jsc/lib.js":                 "\ufeff// first line\r\nvar lib = 'ü';\r\n",
		"apiproxy/resources/jsc/main.js":                "\ufeffcontext.setVariable('x', lib);\r\n",
		"apiproxy/resources/properties/main.properties": "\ufefffirst=1\r\nsecond=two\r\n",
		"apiproxy/resources/oas/api.yaml":               "\ufeffopenapi: 3.0.0\r\ninfo: {title: t, version: '1'}\r\npaths:\r\n  /a:\r\n    get:\r\n      responses:\r\n        '200': {description: ok}\r\n",
	}
	if a := s.install("apis", "saved", zipped(t, files)); a.status != http.StatusOK || len(a.Warnings) > 0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.called("GET /saved/a -> 200 ü 1 two")
	s.called("GET /saved/a?oas=1 -> 200 ü 1 two")
}
