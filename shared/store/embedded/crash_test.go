package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/perigee-gateway/perigee/shared/store"
	"github.com/perigee-gateway/perigee/shared/store/embedded"
)

// crashDir makes this test binary the process that gets killed.
const crashDir = "PERIGEE_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForEver has several writers, each with a document of its own per write
// and a counter it shares with the others, and prints every acknowledged write.
func writeForEver(dir string) error {
	d, err := embedded.Open(dir)
	if err != nil {
		return err
	}
	s := store.New(d)
	ctx := context.Background()
	var mu sync.Mutex // keeps lines whole
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d/%d", w, i)
				err := s.Update(ctx, func(tx store.Tx) error {
					n := 0
					if c, err := tx.Get(counter); err == nil {
						n, _ = strconv.Atoi(string(c.Data))
					}
					if err := tx.Put(store.Doc{Key: counter, Data: []byte(strconv.Itoa(n + 1))}); err != nil {
						return err
					}
					return tx.Create(store.Doc{Key: appKey(id), Data: []byte(id), Fields: map[string]string{"developer": strconv.Itoa(w)}})
				})
				if err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

var counter = appKey("counter")

func appKey(id string) store.Key { return store.Key{Collection: "apps", ID: id} }

// A process killed at any moment has kept every write it acknowledged, and
// nothing by half.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			if n == 50+37*round {
				if err := cmd.Process.Kill(); err != nil { // SIGKILL
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("the process was not killed: %v", err)
		}
		checkAfterCrash(t, dir, acknowledged)
	}
}

// checkAfterCrash holds the documents against what was acknowledged, removes
// them and keeps the counter in step, for the next round to begin again.
func checkAfterCrash(t *testing.T, dir string, acknowledged map[string]bool) {
	t.Helper()
	d, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(d)
	defer func() { _ = s.Close() }()
	found := map[string]bool{}
	for w := range 4 {
		q := store.Query{Collection: "apps", Where: map[string]string{"developer": strconv.Itoa(w)}}
		for doc, err := range s.Query(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			if string(doc.Data) != doc.Key.ID || !strings.HasPrefix(doc.Key.ID, strconv.Itoa(w)+"/") {
				t.Errorf("%s holds %q", doc.Key, doc.Data)
			}
			found[doc.Key.ID] = true
		}
	}
	for id := range acknowledged {
		if !found[id] {
			t.Errorf("lost %s of %d acknowledged", id, len(acknowledged))
		}
	}
	c, err := s.Get(t.Context(), counter)
	if err != nil || string(c.Data) != strconv.Itoa(len(found)) {
		t.Errorf("counter %s, %v; documents %d", c.Data, err, len(found))
	}
	if _, err := s.DeleteAll(t.Context(), store.Query{Collection: "apps"}); err != nil {
		t.Fatal(err)
	}
	clear(acknowledged)
}
