package migrate_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/perigee-gateway/perigee/shared/apiclient"
)

// dumper reads everything of an organization that a Management API gives, one
// value per path, without what the server makes up (ids, times).
type dumper struct {
	t   *testing.T
	api *apiclient.Client
	org string
	all map[string]string
}

func dump(t *testing.T, api *apiclient.Client, org string) map[string]string {
	t.Helper()
	d := &dumper{t, api, org, map[string]string{}}
	d.value("")
	d.names("environments", d.environment)
	d.items("envgroups", "environmentGroups", "name", func(at string) { d.items(at+"/attachments", "environmentGroupAttachments", "environment", nil) })
	d.items("datacollectors", "dataCollectors", "name", nil)
	d.maps("keyvaluemaps")
	for collection, list := range map[string]string{"apis": "proxies", "sharedflows": "sharedFlows"} {
		d.items(collection, list, "name", func(at string) {
			d.value(at)
			d.names(at+"/revisions", d.bundle)
			if collection == "apis" {
				d.maps(at + "/keyvaluemaps")
			}
		})
	}
	d.items("apiproducts?expand=true", "apiProduct", "name", nil)
	apps := func(at string) { d.items(at+"/apps?expand=true", "app", "name", nil) }
	d.items("developers?expand=true", "developer", "email", apps)
	d.items("appgroups", "appGroups", "name", func(at string) { d.items(at+"/apps", "appGroupApps", "name", nil) })
	return d.all
}

func (d *dumper) get(at string, v any) {
	d.t.Helper()
	at, raw, _ := strings.Cut(at, "?")
	query, _ := url.ParseQuery(raw)
	full := "organizations/" + d.org
	if at != "" {
		full += "/" + at
	}
	if err := d.api.Get(d.t.Context(), full, query, v); err != nil && !apiclient.IsNotFound(err) {
		d.t.Fatalf("%s: %v", at, err)
	}
}

// value keeps what is at a path.
func (d *dumper) value(at string) {
	d.t.Helper()
	var v any
	d.get(at, &v)
	d.keep(at, v)
}

func (d *dumper) keep(at string, v any) {
	d.t.Helper()
	data, err := json.Marshal(plain(v))
	if err != nil {
		d.t.Fatal(err)
	}
	if _, twice := d.all[at]; twice {
		d.t.Errorf("%s is there twice", at)
	}
	d.all[at] = string(data)
}

// madeUp are names of fields the server sets as it likes.
var madeUp = []string{
	"createdAt", "lastModifiedAt", "appId", "developerId", "appGroupId", "issuedAt", "deployStartTime", "metaData", "organizationName",
	"projectId", "runtimeType", "organization",
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, f := range v {
			if slices.Contains(madeUp, k) {
				delete(v, k)
			} else {
				v[k] = plain(f)
			}
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// names walks a list of names.
func (d *dumper) names(at string, each func(at string)) {
	d.t.Helper()
	var list []string
	d.get(at, &list)
	d.keep(at, list)
	for _, n := range list {
		each(at + "/" + url.PathEscape(n))
	}
}

// items walks a list of objects, which may come in pages, and keeps each under a
// field of it.
func (d *dumper) items(at, list, field string, each func(at string)) {
	d.t.Helper()
	var page map[string]json.RawMessage
	d.get(at, &page)
	if page["nextPageToken"] != nil {
		d.t.Fatalf("%s has more pages", at)
	}
	var items []map[string]any
	if page[list] != nil {
		if err := json.Unmarshal(page[list], &items); err != nil {
			d.t.Fatal(err)
		}
	}
	base, _, _ := strings.Cut(at, "?")
	for _, i := range items {
		name, _ := i[field].(string)
		if field == "environment" {
			delete(i, "name") // made up
		}
		here := base + "/" + url.PathEscape(name)
		d.keep("item of "+here, i)
		if each != nil {
			each(here)
		}
	}
}

func (d *dumper) environment(at string) {
	d.value(at)
	for _, collection := range []string{"targetservers", "references", "flowhooks"} {
		d.names(at+"/"+collection, d.value)
	}
	d.names(at+"/keystores", func(ks string) { d.names(ks+"/aliases", d.value) })
	d.value(at + "/debugmask")
	d.maps(at + "/keyvaluemaps")
	var files struct {
		ResourceFile []struct{ Type, Name string }
	}
	d.get(at+"/resourcefiles", &files)
	for _, f := range files.ResourceFile {
		var data []byte
		d.get(at+"/resourcefiles/"+f.Type+"/"+f.Name, &data)
		d.keep(at+"/resourcefiles/"+f.Type+"/"+f.Name, string(data))
	}
	for _, flows := range []string{"", "?sharedFlows=true"} {
		d.value(at + "/deployments" + flows)
	}
}

func (d *dumper) maps(at string) {
	d.names(at, func(m string) {
		var page struct {
			KeyValueEntries []map[string]any
			NextPageToken   string
		}
		d.get(m+"/entries?pageSize=1000", &page)
		if page.NextPageToken != "" {
			d.t.Fatal("more than 1000 entries")
		}
		d.keep(m+"/entries", page.KeyValueEntries)
	})
}

// bundle keeps the files of a revision.
func (d *dumper) bundle(at string) {
	d.t.Helper()
	var data []byte
	d.get(at+"?format=bundle", &data)
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		d.t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range zr.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			d.t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			d.t.Fatal(err)
		}
		files[f.Name] = string(content)
	}
	d.keep(at, files)
}

// differences are the paths whose values are not the same, but for those a
// function lets pass.
func differences(want, got map[string]string, pass func(path string) bool) []string {
	var diff []string
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if want[path] != got[path] && !pass(path) {
			diff = append(diff, path+": want "+want[path]+", got "+got[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[path]; !ok && !pass(path) {
			diff = append(diff, path+": not wanted, got "+got[path])
		}
	}
	return diff
}
