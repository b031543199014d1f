package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"perigee": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
		},
	})
}

// TestScripts runs testdata/*.txtar: command lines of the real program and what
// they print. Besides testscript's own commands there are
//
//	freeports VAR...             sets variables to addresses nobody listens on, and VAR_PORT to their ports
//	get URL PATTERN              asks until the answer, "STATUS BODY", matches
//	post URL FILE PATTERN        sends a file, JSON or form by its name's end, once; the
//	                             answer must match
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/cache")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"freeports": freePorts,
			"get":       get,
			"post":      post,
		},
	})
}

func freePorts(ts *testscript.TestScript, _ bool, vars []string) {
	for _, v := range vars {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv(v, l.Addr().String())
		ts.Setenv(v+"_PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
		ts.Check(l.Close())
	}
}

// get waits up to half a minute: the process under test has to start first.
func get(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: get URL PATTERN")
	}
	want := regexp.MustCompile(args[1])
	last := ""
	for range 300 {
		if last = answer(args[0]); want.MatchString(last) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s gave %q, want %s", args[0], last, want)
}

func post(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: post URL FILE PATTERN")
	}
	contentType := "application/json"
	if strings.HasSuffix(args[1], ".form") {
		contentType = "application/x-www-form-urlencoded"
	}
	resp, err := http.Post(args[0], contentType, strings.NewReader(strings.TrimSpace(ts.ReadFile(args[1]))))
	ts.Check(err)
	if got := text(resp); !regexp.MustCompile(args[2]).MatchString(got) {
		ts.Fatalf("%s gave %q, want %s", args[0], got, args[2])
	}
}

func answer(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	return text(resp)
}

// text is an answer as "STATUS BODY".
func text(resp *http.Response) string {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(resp.StatusCode) + " " + strings.TrimSpace(string(body))
}

// TestReference holds docs/CLI.md against the commands there are.
func TestReference(t *testing.T) {
	var out strings.Builder
	if code := run(t.Context(), []string{"reference"}, streams{out: &out, err: os.Stderr}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	have, err := os.ReadFile("../../docs/CLI.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != out.String() {
		t.Error("docs/CLI.md is not current: run go generate ./cmd/perigee")
	}
}

// TestEveryCommandIsTested looks for a script that runs each command.
func TestEveryCommandIsTested(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	parser, err := kong.New(new(cli), kong.Name("perigee"))
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(true) {
		command := strings.Join(strings.Fields(leaf.FullPath()), " ")
		if !regexp.MustCompile(`(?m)exec ` + command + `( |$)`).MatchString(all.String()) {
			t.Errorf("no script runs %s", command)
		}
	}
}
