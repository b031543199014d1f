package boot_test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/perigee-gateway/perigee/"

// rules say which packages (by prefix, relative to the module) must not import
// which others. docs/ARCHITECTURE.md gives the reasons.
var rules = []struct{ of, not string }{
	{"shared/policies/", "shared/policies/"},
	{"shared/policies/", "shared/store"},
	{"shared/policies/", "shared/registry"},
	{"shared/policies/", "cloud.google.com/"},
	{"shared/flow", "shared/policy"},
	{"shared/flow", "shared/bundle"},
	{"shared/message", "shared/flow"},
	{"shared/bundle", "shared/flow"},
	{"shared/pipeline", "shared/policies"},
	{"shared/pipeline", "shared/target"},
	{"shared/pipeline", "shared/store"},
	{"shared/policy", "shared/pipeline"},
	{"shared/gateway", "shared/boot"},
	{"shared/gateway", "shared/management"},
	{"shared/management", "shared/gateway"},
	{"shared/store", "shared/registry"},
	{"shared/target", "shared/pipeline"},
	{"shared/target", "cloud.google.com/"},
}

// cloudSDKs are the packages that may import a cloud client.
var cloudSDKs = []string{
	"shared/store/firestore", "shared/keystore/secretmanager", "shared/keystore/secretmanagertest", "shared/googletoken",
	"shared/cloudlogging", "shared/pubsub", "shared/boot", "shared/management/auth", "shared/otel", "shared/telemetry",
}

// TestImports walks the direct imports of every package.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		for _, imp := range fields[1:] {
			check(t, pkg, strings.TrimPrefix(imp, module))
		}
	}
}

func check(t *testing.T, pkg, imp string) {
	for _, r := range rules {
		if strings.HasPrefix(pkg, r.of) && strings.HasPrefix(imp, r.not) && !within(imp, pkg) {
			t.Errorf("%s imports %s", pkg, imp)
		}
	}
	if strings.HasPrefix(imp, "cloud.google.com/go/") && !allowed(pkg) {
		t.Errorf("%s imports %s: cloud clients belong into their adapters", pkg, imp)
	}
}

// within reports whether imp is pkg itself or beneath it, or a package that
// several policies share inside their own tree.
func within(imp, pkg string) bool { return imp == pkg || strings.HasPrefix(imp, pkg+"/") }

func allowed(pkg string) bool {
	for _, p := range cloudSDKs {
		if pkg == p || strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}
