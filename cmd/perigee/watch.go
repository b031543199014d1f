package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/perigee-gateway/perigee/shared/boot"
	"github.com/perigee-gateway/perigee/shared/bundle"
)

// settle is how long files must be quiet before a bundle is deployed again:
// editors write in several steps.
const settle = 150 * time.Millisecond

// deployer deploys bundles from disk and prints one line for each.
type deployer struct {
	host *boot.Host
	env  string
	out  io.Writer
	base string // URL of the gateway

	seen map[string][sha256.Size]byte // the files deployed last, by path
}

// watch deploys the bundles and then each again when its files change, until
// ctx ends. Shared flows go first: proxies call them.
func (d *deployer) watch(ctx context.Context, paths []string) error {
	if len(paths) == 0 {
		<-ctx.Done()
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	for _, p := range paths {
		if err := add(w, p); err != nil {
			return err
		}
	}
	for _, p := range sharedFlowsFirst(paths) {
		d.changed(p)
		d.deploy(ctx, p)
	}
	return d.loop(ctx, w, paths)
}

func (d *deployer) loop(ctx context.Context, w *fsnotify.Watcher, paths []string) error {
	dirty := map[string]bool{}
	timer := time.NewTimer(time.Hour)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			fmt.Fprintln(d.out, "watch:", err)
		case e := <-w.Events:
			if p := owner(paths, e.Name); p != "" && e.Op != fsnotify.Chmod {
				dirty[p] = true
				timer.Reset(settle)
			}
			if e.Has(fsnotify.Create) {
				add(w, e.Name) // a new folder; a file that is gone again does not matter
			}
		case <-timer.C:
			for _, p := range paths {
				if dirty[p] && d.changed(p) {
					d.deploy(ctx, p)
				}
			}
			clear(dirty)
		}
	}
}

// changed says whether the files of a bundle are others than those seen last: in the
// folder of a project much else is written, logs and builds among it.
func (d *deployer) changed(path string) bool {
	data, err := bundle.ZipDir(path)
	if err != nil {
		if data, err = os.ReadFile(path); err != nil {
			return true // deploying says what is wrong
		}
	}
	sum := sha256.Sum256(data)
	if d.seen[path] == sum {
		return false
	}
	if d.seen == nil {
		d.seen = map[string][sha256.Size]byte{}
	}
	d.seen[path] = sum
	return true
}

// deploy prints one line for a bundle that went live, or its problems.
func (d *deployer) deploy(ctx context.Context, path string) {
	start := time.Now()
	live, err := d.host.DeployBundle(ctx, d.env, path)
	if err != nil {
		var problems bundle.Problems
		if errors.As(err, &problems) {
			for _, p := range problems.Errors() {
				fmt.Fprintf(d.out, "refused     %s/%s\n", path, p)
			}
			return
		}
		fmt.Fprintf(d.out, "refused     %s: %v\n", path, err)
		return
	}
	for _, p := range live.Warnings {
		fmt.Fprintf(d.out, "warning     %s/%s: %s\n", path, p.Pos, p.Message)
	}
	what := "shared flow " + live.Name
	if len(live.BasePaths) > 0 {
		what = live.Name + " at"
		for _, b := range live.BasePaths {
			what += " " + d.base + b
		}
	}
	fmt.Fprintf(d.out, "deployed    %s (revision %s, %d ms)\n", what, live.Revision, time.Since(start).Milliseconds())
}

func sharedFlowsFirst(paths []string) []string {
	var flows, proxies []string
	for _, p := range paths {
		if isSharedFlow(p) {
			flows = append(flows, p)
		} else {
			proxies = append(proxies, p)
		}
	}
	return append(flows, proxies...)
}

func isSharedFlow(path string) bool {
	if filepath.Base(path) == bundle.KindSharedFlow.Folder() {
		return true
	}
	_, err := os.Stat(filepath.Join(path, bundle.KindSharedFlow.Folder()))
	return err == nil
}

// add watches a bundle: a file's folder, or a folder and all beneath it.
func add(w *fsnotify.Watcher, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return w.Add(filepath.Dir(path))
	}
	return filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil
		}
		return w.Add(p)
	})
}

// owner returns the bundle that a changed file belongs to, "" if none.
func owner(paths []string, file string) string {
	for _, p := range paths {
		if file == filepath.Clean(p) || strings.HasPrefix(file, filepath.Clean(p)+string(filepath.Separator)) {
			return p
		}
	}
	return ""
}
