package management

import (
	"mime"
	"path"
	"strings"

	apigee "google.golang.org/api/apigee/v1"

	"github.com/perigee-gateway/perigee/shared/entity"
)

// resourceFiles is the answer with a list of files; it always has the list.
func (c *call) resourceFiles(typ string) (any, error) {
	list := []*apigee.GoogleCloudApigeeV1ResourceFile{}
	all, err := c.Registry.ResourceFiles.All(c.ctx(), c.ids("org", "env")...)
	for _, f := range all {
		if typ == "" || f.Type == typ {
			list = append(list, f.API())
		}
	}
	return object{"resourceFile": list}, err
}

func listResourceFiles(c *call) (any, error) { return c.resourceFiles(c.query.Get("type")) }

func listResourceFilesOfType(c *call) (any, error) { return c.resourceFiles(c.param("type")) }

// resourceUpload is the file of the request: the part file, or the body.
func (c *call) resourceUpload() ([]byte, error) {
	u, err := c.upload(entity.MaxResourceBytes)
	if err != nil {
		return nil, err
	}
	if data := u.file("file"); data != nil {
		return data, nil
	}
	return u.any(), nil
}

func createResourceFile(c *call) (any, error) {
	data, err := c.resourceUpload()
	if err != nil {
		return nil, err
	}
	c.made = c.query.Get("type") + "/" + c.query.Get("name")
	f, err := c.Registry.CreateResource(c.ctx(), c.param("org"), c.param("env"), c.query.Get("type"), c.query.Get("name"), data)
	if err != nil {
		return nil, err
	}
	return f.API(), nil
}

func getResourceFile(c *call) (any, error) {
	data, err := c.Registry.Resource(c.ctx(), c.param("org"), c.param("env"), c.param("type"), c.param("name"))
	return file{contentType: contentType(c.param("name")), data: data}, err
}

// contentType is that of a file for downloading: never one a browser would run.
func contentType(name string) string {
	if t, _, err := mime.ParseMediaType(mime.TypeByExtension(path.Ext(name))); err == nil && (t == "application/json" || strings.HasSuffix(t, "yaml")) {
		return t
	}
	return "application/octet-stream"
}

func updateResourceFile(c *call) (any, error) {
	data, err := c.resourceUpload()
	if err != nil {
		return nil, err
	}
	f, err := c.Registry.ReplaceResource(c.ctx(), c.param("org"), c.param("env"), c.param("type"), c.param("name"), data)
	if err != nil {
		return nil, err
	}
	return f.API(), nil
}

func deleteResourceFile(c *call) (any, error) {
	f, err := c.Registry.DeleteResource(c.ctx(), c.param("org"), c.param("env"), c.param("type"), c.param("name"))
	if err != nil {
		return nil, err
	}
	return f.API(), nil
}
