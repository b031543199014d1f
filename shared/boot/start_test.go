package boot_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// heavy are packages that every cold start would pay for, whatever is deployed.
// docs/PERFORMANCE.md has what they took.
var heavy = []string{"github.com/santhosh-tekuri/jsonschema", "github.com/getkin/kin-openapi"}

// linked are all packages that the functions link.
func linked(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", module+"functions/gateway", module+"functions/management", module+"functions/lambda").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	all := map[string]bool{}
	for pkg := range strings.Lines(string(out)) {
		all[strings.TrimSpace(pkg)] = true
	}
	return all
}

func TestLinked(t *testing.T) {
	for pkg := range linked(t) {
		for _, h := range heavy {
			if strings.HasPrefix(pkg, h) {
				t.Errorf("%s is linked", pkg)
			}
		}
	}
}

// maxInit is how many bytes one of our packages may allocate before main. Tables are
// fine; regular expressions and what else is compiled wait until they are wanted.
const maxInit = 64 << 10

var initialized = regexp.MustCompile(`(?m)^init (\S+) .* clock, (\d+) bytes`)

// TestInit starts this program, which links all of ours, and has the runtime tell
// what is done before main.
func TestInit(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	all, ours := linked(t), 0
	for _, m := range initialized.FindAllStringSubmatch(string(out), -1) {
		if !strings.HasPrefix(m[1], module) || !all[m[1]] {
			continue
		}
		ours++
		if n, _ := strconv.Atoi(m[2]); n > maxInit {
			t.Errorf("%s allocates %d bytes before main", m[1], n)
		}
	}
	if ours < 20 {
		t.Errorf("%d of our packages in\n%s", ours, out)
	}
}
