package messagelogging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/fault"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/policy/policytest"
)

// outlet takes all that the policy writes, as text.
type outlet struct {
	bytes.Buffer
	err  error
	sent bool
}

func (o *outlet) Write(_ context.Context, account string, e policy.LogEntry) error {
	payload := fmt.Sprintf("%q", e.Text)
	if e.JSON != nil {
		payload = fmt.Sprint(e.JSON)
	}
	fmt.Fprintf(&o.Buffer, "%s %s %s %s %v %s\n", e.LogName, e.Severity, e.Resource, e.Time.Format(time.RFC3339), e.Labels, payload)
	if account != "" {
		fmt.Fprintln(&o.Buffer, account)
	}
	return o.err
}

func (o *outlet) Flush(context.Context) { o.sent = true }

func (o *outlet) OpenSyslog(s policy.LogServer, _ *policy.Env) policy.LogSink {
	fmt.Fprintf(&o.Buffer, "%s:%d tcp=%t tls=%t\n", s.Host, s.Port, s.TCP, s.SSLInfo != nil)
	return sink{o}
}

func (o *outlet) Append(f policy.LogFile, r policy.Rotation, line []byte) error {
	fmt.Fprintf(&o.Buffer, "%v %+v %s\n", f, r, line)
	return o.err
}

type sink struct{ o *outlet }

func (s sink) Send(_ context.Context, message []byte) {
	s.o.sent = true
	fmt.Fprintf(&s.o.Buffer, "%s\n", message)
}

func services(o *outlet) policy.Services {
	return policy.Services{Logs: logs{o}, Syslog: o, LogFiles: o, Now: func() time.Time { return policytest.Now }}
}

// logs hides Buffer.Write.
type logs struct{ *outlet }

func TestCases(t *testing.T) {
	policytest.Run(t, Kind, policytest.WithServices(func(t *testing.T) policy.Services {
		o := new(outlet)
		if strings.HasSuffix(t.Name(), "pending") {
			o.err = policy.ErrTooManyPending
		}
		if strings.HasSuffix(t.Name(), "disk_full") {
			o.err = errors.New("no space left on device")
		}
		s := services(o)
		if strings.HasSuffix(t.Name(), "no_directory") {
			s.LogFiles = nil
		}
		s.Now = nil
		return s
	}))
}

func TestWritten(t *testing.T) {
	fc := policytest.Context(t, map[string][]byte{"request": []byte("GET /v1/pets?id=7\nX-A: \"q\"\n")})
	id := fc.Text("system.uuid")
	for _, c := range []struct{ name, xml, want string }{
		{"text", `<CloudLogging><LogName>projects/{organization.name}/logs/apigee</LogName><Message> id {request.queryparam.id} {unset}{unset:none} </Message></CloudLogging>`,
			"projects/org/logs/apigee INFO api 2026-04-01T12:00:00Z map[] \"id 7 none\"\n"},
		{"json", `<CloudLogging><LogName>projects/p/logs/a/b.c</LogName><Message contentType="application/json">
		  {"verb":"{request.verb}", "n": 1, "h": "{escapeJSON(request.header.x-a)}"}</Message>
		  <Labels><Label><Key>k</Key><Value>{request.verb}!</Value></Label><Label><Key>e</Key><Value/></Label></Labels>
		  <ResourceType>global</ResourceType></CloudLogging><logLevel>WARN</logLevel>`,
			"projects/p/logs/a%2Fb.c WARNING global 2026-04-01T12:00:00Z map[e: k:GET!] map[h:\"q\" n:1 verb:GET]\n"},
		{"json array", `<CloudLogging><LogName>projects/p/logs/a%2Fb</LogName><Message contentType="application/json; charset=utf-8">[1]</Message></CloudLogging><logLevel>ALERT</logLevel>`,
			"projects/p/logs/a%2Fb ALERT api 2026-04-01T12:00:00Z map[] \"[1]\"\n"},
		{"delimiters", `<CloudLogging><LogName>folders/1/logs/l</LogName><Message variablePrefix="@" variableSuffix="#">{a} @request.verb#</Message></CloudLogging><logLevel>ERROR</logLevel>`,
			"folders/1/logs/l ERROR api 2026-04-01T12:00:00Z map[] \"{a} GET\"\n"},
		{"template", `<CloudLogging><LogName>projects/p/logs/l</LogName><Message contentType="application/json" template="template://call.json">unread</Message></CloudLogging>`,
			"projects/p/logs/l INFO api 2026-04-01T12:00:00Z map[] map[verb:GET]\n"},
		{"syslog template", `<Syslog><Message template="template://call.json"/></Syslog><BufferMessage>true</BufferMessage>`,
			"localhost:514 tcp=false tls=false\n{\"verb\": \"GET\"}\n"},
		{"syslog", `<Syslog><Message>[tag="{organization.name}.{environment.name}"] {request.queryparam.id}</Message><Host>logs.example.com</Host></Syslog>`,
			"logs.example.com:514 tcp=false tls=false\n[tag=\"org.test\"] 7\n"},
		{"syslog header", `<Syslog><Message>m</Message><Host>h</Host><Port>6514</Port><Protocol>TCP</Protocol><FormatMessage>true</FormatMessage><SSLInfo><Enabled>true</Enabled></SSLInfo></Syslog>`,
			"h:6514 tcp=true tls=true\n<14>1 2026-04-01T12:00:00.000+0000 " + id + " Apigee - - - m\n"},
		{"syslog date", `<Syslog><Message>m</Message><Protocol>tcp</Protocol><FormatMessage>true</FormatMessage><DateFormat>yyMMdd-HH:mm:ss.SSS</DateFormat></Syslog><logLevel>ALERT</logLevel>`,
			"localhost:514 tcp=true tls=false\n<9>1 260401-12:00:00.000 " + id + " Apigee - - - m\n"},
		{"payload only", `<Syslog><Message>m</Message><FormatMessage>true</FormatMessage><PayloadOnly>true</PayloadOnly></Syslog>`,
			"localhost:514 tcp=false tls=false\nm\n"},
		{"file", `<File><Message>m {request.verb}</Message><FileName>calls.log</FileName></File>`,
			"{org test proxy 1 ML-1 calls.log} {AtStart:false MaxBytes:0 Every:0s Keep:0} m GET\n"},
		{"file by size", `<File><Message>m</Message><FileName>f</FileName><FileRotationOptions rotateFileOnStartup="true"><FileRotationType>SIZE</FileRotationType><MaxFileSizeInMB>10</MaxFileSizeInMB><MaxFilesToRetain>10</MaxFilesToRetain></FileRotationOptions></File>`,
			"{org test proxy 1 ML-1 f} {AtStart:true MaxBytes:10485760 Every:0s Keep:10} m\n"},
		{"file by time", `<File><Message>m</Message><FileName>f</FileName><FileRotationOptions rotateFileOnStartup="false"><FileRotationType>TIME</FileRotationType><RotationFrequency unit="minute">2</RotationFrequency></FileRotationOptions></File>`,
			"{org test proxy 1 ML-1 f} {AtStart:false MaxBytes:0 Every:2m0s Keep:8} m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := new(outlet)
			p := policytest.Compile(t, Kind, `<MessageLogging async="true" continueOnError="true" enabled="true" name="ML-1"><DisplayName>Log</DisplayName><Properties/>`+c.xml+`</MessageLogging>`,
				services(o), &bundle.Resource{Type: "template", Name: "call.json", Data: []byte(`{"verb": "{request.verb}"}`)})
			before := o.Len()
			if err := p.Run(t.Context(), fc); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(c.xml, "<Syslog") && o.Len() != before {
				t.Error("the message was sent before the response")
			}
			fc.Drain(t.Context())
			if !o.sent && !strings.HasPrefix(c.xml, "<File") {
				t.Error("nothing was flushed")
			}
			if got := o.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestPostClient logs what was answered, after it was.
func TestPostClient(t *testing.T) {
	o := new(outlet)
	p := policytest.Compile(t, Kind, `<MessageLogging name="ML-1"><CloudLogging><LogName>projects/p/logs/l</LogName>
	  <Message>{response.status.code} {message.content}</Message></CloudLogging></MessageLogging>`, services(o))
	fc := policytest.Context(t, map[string][]byte{"response": []byte("404 Not Found\n\nno such pet\n"), "phase": []byte("post-client")})
	fc.Proxy = &flow.Proxy{ServiceAccount: "sa@p.iam.gserviceaccount.com"}
	if err := p.Run(t.Context(), fc); err != nil {
		t.Fatal(err)
	}
	if got, want := o.String(), "projects/p/logs/l INFO api 2026-04-01T12:00:00Z map[] \"404 no such pet\"\nsa@p.iam.gserviceaccount.com\n"; got != want {
		t.Errorf("got %s", got)
	}
}

// FuzzLogName finds no name that leads to another resource.
func FuzzLogName(f *testing.F) {
	for _, s := range []string{"projects/p/logs/l", "projects/p/logs/a%2Fb", "projects/p/x/logs/l", "folders/1/logs/..", "projects//logs/x", "projects/p/logs/%zz", "projects/#/logs/0", "projects/example.com:p-1/logs/l"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := logName(s)
		if name == "" {
			return
		}
		if parts := strings.Split(name, "/"); len(parts) != 4 || parts[2] != "logs" || strings.ContainsAny(name, " \n?#") {
			t.Errorf("%q became %q", s, name)
		}
	})
}

func TestFault(t *testing.T) {
	o := new(outlet)
	p := policytest.Compile(t, Kind, `<MessageLogging name="ML-1"><CloudLogging><LogName>{l}</LogName><Message>m</Message></CloudLogging></MessageLogging>`, services(o))
	f, _ := p.Run(t.Context(), policytest.Context(t, nil)).(*fault.Fault)
	if f == nil || f.ShortName() != "InvalidGoogleCloudLogName" || strings.Join(f.FailedVariables, " ") != "messagelogging.failed messagelogging.ML-1.failed" {
		t.Errorf("fault is %v, sets %v", f, f.FailedVariables)
	}
}

func benchmark(b *testing.B, xml string) {
	p := policytest.Compile(b, Kind, xml, services(new(outlet)))
	fc := policytest.Context(b, map[string][]byte{"request": []byte("GET /v1/pets?id=7\nX-A: q\n")})
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), fc); err != nil {
			b.Fatal(err)
		}
		fc.Drain(b.Context())
	}
}

func BenchmarkRun(b *testing.B) {
	benchmark(b, `<MessageLogging name="ML-1"><CloudLogging><LogName>projects/{organization.name}/logs/l</LogName>
	  <Message contentType="application/json">{"proxy":"{apiproxy.name}","verb":"{request.verb}","path":"{proxy.pathsuffix}"}</Message></CloudLogging></MessageLogging>`)
}

func BenchmarkSyslog(b *testing.B) {
	benchmark(b, `<MessageLogging name="ML-1"><Syslog><Message>{apiproxy.name} {request.verb} {proxy.pathsuffix}</Message><FormatMessage>true</FormatMessage></Syslog></MessageLogging>`)
}
