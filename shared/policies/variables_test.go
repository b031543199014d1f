package policies_test

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestVariables holds the variables that Apigee's reference says a policy sets, kept
// in testdata/variables.txt, against its cases: each must have its value in one. A
// line of the table is
//
//	POLICY VARIABLE...
//
// where P is the name of the policy.
func TestVariables(t *testing.T) {
	table := readVariables(t)
	for _, kind := range slices.Sorted(maps.Keys(table)) {
		t.Run(kind, func(t *testing.T) {
			shown := shownVariables(t, kind)
			for _, name := range table[kind] {
				if !shown[name] {
					t.Errorf("no case has a value of %s", name)
				}
			}
		})
	}
}

func readVariables(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open("testdata/variables.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := map[string][]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 0 && fields[0] != "#" {
			table[fields[0]] = append(table[fields[0]], fields[1:]...)
		}
	}
	return table
}

var policyName = regexp.MustCompile(`^<\w+\s[^>]*\bname="([^"]+)"`)

// shownVariables are those that have a value in the cases of a policy.
func shownVariables(t *testing.T, kind string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(strings.ToLower(kind), "testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sections := map[string]string{}
		for _, f := range ar.Files {
			sections[f.Name] = string(f.Data)
		}
		name := policyName.FindStringSubmatch(sections["policy.xml"])
		for line := range strings.Lines(sections["want"]) {
			variable, _, valued := strings.Cut(line, " =")
			if valued && name != nil {
				shown[strings.Replace(variable, "."+name[1]+".", ".P.", 1)] = true
			}
		}
	}
	return shown
}
