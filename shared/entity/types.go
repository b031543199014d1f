package entity

import (
	"encoding/json"

	apigee "google.golang.org/api/apigee/v1"
)

// TargetServer is the API's type whose isEnabled is true unless it is given.
// The API's own type alone cannot tell absent from false.
type TargetServer struct {
	apigee.GoogleCloudApigeeV1TargetServer
}

// MarshalJSON always writes isEnabled.
func (t TargetServer) MarshalJSON() ([]byte, error) {
	v := t.GoogleCloudApigeeV1TargetServer
	v.ForceSendFields = append([]string{"IsEnabled"}, v.ForceSendFields...)
	return v.MarshalJSON()
}

// UnmarshalJSON takes a missing isEnabled for true.
func (t *TargetServer) UnmarshalJSON(data []byte) error {
	v := apigee.GoogleCloudApigeeV1TargetServer{IsEnabled: true}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	t.GoogleCloudApigeeV1TargetServer = v
	return nil
}

// ResourceFile is a resource file of an environment or, with Environment "", of
// the organization. Property sets are of type "properties".
type ResourceFile struct {
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Archive Archive `json:"archive"`
}

// API is the file as the Management API lists it.
func (f *ResourceFile) API() *apigee.GoogleCloudApigeeV1ResourceFile {
	return &apigee.GoogleCloudApigeeV1ResourceFile{Name: f.Name, Type: f.Type}
}

// Cache is a named cache's settings. In Apigee X caches come into being by use
// and the API only lists and deletes them.
type Cache struct {
	Name string `json:"name"`
	// DefaultExpirySeconds is the life of an entry put without one; 0 is the
	// data plane's default.
	DefaultExpirySeconds int `json:"defaultExpirySeconds,omitempty"`
}

// Instance is a runtime instance and the environments attached to it.
type Instance struct {
	apigee.GoogleCloudApigeeV1Instance
	Attachments []*apigee.GoogleCloudApigeeV1InstanceAttachment
}

// instance is the JSON of an Instance.
type instance struct {
	Instance    *apigee.GoogleCloudApigeeV1Instance             `json:"instance"`
	Attachments []*apigee.GoogleCloudApigeeV1InstanceAttachment `json:"attachments,omitempty"`
}

// MarshalJSON keeps the two apart, as the API's type has its own marshaller.
func (i Instance) MarshalJSON() ([]byte, error) {
	return json.Marshal(instance{&i.GoogleCloudApigeeV1Instance, i.Attachments})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (i *Instance) UnmarshalJSON(data []byte) error {
	v := instance{Instance: &i.GoogleCloudApigeeV1Instance}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	i.Attachments = v.Attachments
	return nil
}
