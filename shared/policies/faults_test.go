package policies_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestFaults holds what Apigee's reference says a policy can fail with, kept in
// testdata/faults.txt, against the faults that the cases of the policy produce:
// every one must come out of a case, with its status and its whole body, and
// none may come out that the table does not have. A line of the table is
//
//	POLICY STATUS CODE    a fault at run time
//	POLICY deploy NAME    a refusal at deployment
//	POLICY never CODE WHY one that perigee does not raise, and why
//
// A code that begins with + is not in the reference.
func TestFaults(t *testing.T) {
	table := readFaults(t)
	for _, kind := range slices.Sorted(maps.Keys(table)) {
		t.Run(kind, func(t *testing.T) {
			want, got := table[kind], produced(t, kind)
			for _, row := range slices.Sorted(maps.Keys(want)) {
				switch status, code, _ := strings.Cut(row, " "); {
				case status == "never":
					for g := range got {
						if strings.HasSuffix(g, " "+code) {
							t.Errorf("%s is said never to come and came out of %s", g, got[g])
						}
					}
				case got[row] == "":
					t.Errorf("no case has %s", row)
				}
			}
			for row, file := range got {
				if !want[row] {
					t.Errorf("%s has %s, which is not in the table", file, row)
				}
			}
		})
	}
}

func readFaults(t *testing.T) map[string]map[string]bool {
	t.Helper()
	f, err := os.Open("testdata/faults.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := map[string]map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") || strings.TrimSpace(s.Text()) == "" {
			continue
		}
		fields := strings.Fields(s.Text())
		if len(fields) < 3 || fields[1] == "never" && len(fields) == 3 || fields[1] != "never" && len(fields) != 3 {
			t.Fatalf("testdata/faults.txt: %q", s.Text())
		}
		if table[fields[0]] == nil {
			table[fields[0]] = map[string]bool{}
		}
		table[fields[0]][fields[1]+" "+strings.TrimPrefix(fields[2], "+")] = true
	}
	return table
}

// refusal is the name that a refusal of a deployment begins with, where Apigee
// has one for it.
var refusal = regexp.MustCompile(`^policies/policy\.xml:\d+: ([A-Z][A-Za-z0-9]+): `)

// produced are the faults and refusals of a policy's cases, and a case of each.
func produced(t *testing.T, kind string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(strings.ToLower(kind), "testdata", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases of %s: %v", kind, err)
	}
	got := map[string]string{}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		faults, bodies := 0, 0
		for _, f := range ar.Files {
			switch f.Name {
			case "want.fault":
				line, _, _ := strings.Cut(string(f.Data), "\n")
				got[line] = file
				faults++
			case "want.body":
				bodies++
			case "want.refused":
				for line := range strings.Lines(string(f.Data)) {
					if m := refusal.FindStringSubmatch(line); m != nil {
						got[fmt.Sprintf("deploy %s", m[1])] = file
					}
				}
			}
		}
		if faults != bodies {
			t.Errorf("%s does not show the body of its fault", file)
		}
	}
	return got
}
