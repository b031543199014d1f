package management

import (
	"iter"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
	"github.com/perigee-gateway/perigee/shared/registry"
)

// The same handlers serve the maps of the organization, of an environment and of
// an API proxy: the path says which.

type keyValueMap = apigee.GoogleCloudApigeeV1KeyValueMap

// mapScope is whose map the path means.
func (c *call) mapScope() entity.MapScope {
	return entity.MapScope{Environment: c.param("env"), Proxy: c.param("api")}
}

// mapID is the id of the path's map, or of another name in its place.
func (c *call) mapID(name string) []string { return append(c.mapScope().Parts(c.param("org")), name) }

func listMaps(c *call) (any, error) {
	if api := c.param("api"); api != "" {
		if _, err := c.Registry.APIs.Get(c.ctx(), c.param("org"), api); err != nil {
			return nil, err
		}
	}
	return c.Registry.Maps.Names(c.ctx(), registry.Page{}, c.mapScope().Parts(c.param("org"))...)
}

func getMap(c *call) (any, error) { return c.Registry.Maps.Get(c.ctx(), c.mapID(c.param("map"))...) }

func createMap(c *call) (any, error) {
	m := new(keyValueMap)
	// Edge's maps came with their entries.
	if err := c.decode(m, "entry"); err != nil {
		return nil, err
	}
	c.made = m.Name
	return m, c.Registry.Maps.Create(c.ctx(), m, c.mapID(m.Name)...)
}

func replaceMap(c *call) (any, error) {
	m := new(keyValueMap)
	if err := c.decode(m); err != nil {
		return nil, err
	}
	if err := sameName("key value map", m.Name, c.param("map")); err != nil {
		return nil, err
	}
	return m, c.Registry.Maps.Replace(c.ctx(), m, c.mapID(c.param("map"))...)
}

func deleteMap(c *call) (any, error) {
	return c.Registry.Maps.Delete(c.ctx(), c.mapID(c.param("map"))...)
}

type entry = apigee.GoogleCloudApigeeV1KeyValueEntry

// entryList always has both fields: apigeecli reads one page into what it read
// the last into.
type entryList struct {
	KeyValueEntries []*entry `json:"keyValueEntries"`
	NextPageToken   string   `json:"nextPageToken"`
}

// listEntries gives 100 entries unless asked for up to 1000.
func listEntries(c *call) (any, error) {
	p, err := c.page(100, 1000)
	if err != nil {
		return nil, err
	}
	items, next, err := take(p, func(p registry.Page) iter.Seq2[registry.EntryItem, error] {
		return c.Registry.Entries(c.ctx(), c.param("org"), c.mapScope(), c.param("map"), p)
	}, func(i registry.EntryItem) string { return i.Token })
	list := entryList{KeyValueEntries: []*entry{}, NextPageToken: next}
	for _, i := range items {
		list.KeyValueEntries = append(list.KeyValueEntries, i.GoogleCloudApigeeV1KeyValueEntry)
	}
	return list, err
}

// getEntry tells a map that does not exist from an entry that does not.
func getEntry(c *call) (any, error) {
	e, err := c.Registry.Entry(c.ctx(), c.param("org"), c.mapScope(), c.param("map"), c.param("key"))
	if !entity.IsNotFound(err) {
		return shownEntry(e), err
	}
	if _, missing := getMap(c); missing != nil {
		return nil, missing
	}
	return nil, err
}

// shownEntry has its value also where that is empty.
func shownEntry(e *entry) *entry {
	if e != nil {
		e.ForceSendFields = []string{"Value"}
	}
	return e
}

func createEntry(c *call) (any, error) {
	e := new(entry)
	if err := c.decode(e); err != nil {
		return nil, err
	}
	c.made = e.Name
	return shownEntry(e), c.Registry.CreateEntry(c.ctx(), c.param("org"), c.mapScope(), c.param("map"), e)
}

func updateEntry(c *call) (any, error) {
	e := new(entry)
	if err := c.decode(e); err != nil {
		return nil, err
	}
	if err := sameName("key value entry", e.Name, c.param("key")); err != nil {
		return nil, err
	}
	e.Name = c.param("key")
	return shownEntry(e), c.Registry.UpdateEntry(c.ctx(), c.param("org"), c.mapScope(), c.param("map"), e)
}

func deleteEntry(c *call) (any, error) {
	e, err := c.Registry.DeleteEntry(c.ctx(), c.param("org"), c.mapScope(), c.param("map"), c.param("key"))
	return shownEntry(e), err
}
