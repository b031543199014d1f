package messagelogging

import (
	"context"
	"path/filepath"
	"time"

	"github.com/perigee-gateway/perigee/shared/bundle"
	"github.com/perigee-gateway/perigee/shared/flow"
	"github.com/perigee-gateway/perigee/shared/policy"
	"github.com/perigee-gateway/perigee/shared/template"
)

// File is a file of the host.
//
// Source: https://docs.apigee.com/api-platform/reference/policies/message-logging-policy
type File struct {
	bundle.Pos
	// Message is the line to write.
	Message *Message `xml:"Message,once"`
	// FileName is the name without a directory.
	FileName string `xml:"FileName,once"`
	// FileRotationOptions say when to begin a new file. Without them, never.
	FileRotationOptions *FileRotation `xml:"FileRotationOptions,once"`
}

// FileRotation says when to begin a new file.
type FileRotation struct {
	bundle.Pos
	// RotateFileOnStartup begins a new file with a new process.
	RotateFileOnStartup bool `xml:"rotateFileOnStartup,attr"`
	// FileRotationType is TIME or SIZE.
	FileRotationType string `xml:"FileRotationType,once" default:"SIZE" enum:"TIME,SIZE"`
	// MaxFileSizeInMB is the size of a full file.
	MaxFileSizeInMB int64 `xml:"MaxFileSizeInMB,once"`
	// MaxFilesToRetain is how many old files are kept.
	MaxFilesToRetain int `xml:"MaxFilesToRetain,once" default:"8"`
	// RotationFrequency is the age of a full file.
	RotationFrequency Frequency `xml:"RotationFrequency,once"`
}

// Frequency is a length of time.
type Frequency struct {
	Count int64 `xml:",chardata"`
	// Unit is minute, hour or day.
	Unit string `xml:"unit,attr" default:"hour" enum:"minute,hour,day"`
}

var units = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// fileLines writes to a file.
type fileLines struct {
	files    policy.LogFiles
	message  *template.Template
	policy   string
	name     string
	rotation policy.Rotation
}

func (b *builder) file(c *File) writer {
	env := b.env
	f := &fileLines{files: env.LogFiles, message: b.message("File", c.Message), policy: env.Name(), name: c.FileName}
	if c.FileName == "" || filepath.Base(c.FileName) != c.FileName || !filepath.IsLocal(c.FileName) {
		env.Errorf(c.Pos, "<FileName> is %q, want a name without directories", c.FileName)
	}
	if env.LogFiles == nil {
		env.Errorf(c.Pos, "<File>: this host has no directory for log files (PERIGEE_LOG_DIR); use <CloudLogging>")
	}
	if r := c.FileRotationOptions; r != nil {
		f.rotation = policy.Rotation{AtStart: r.RotateFileOnStartup, Keep: r.MaxFilesToRetain}
		switch {
		case r.FileRotationType == "SIZE" && r.MaxFileSizeInMB > 0:
			f.rotation.MaxBytes = r.MaxFileSizeInMB << 20
		case r.FileRotationType == "TIME" && r.RotationFrequency.Count > 0:
			f.rotation.Every = time.Duration(r.RotationFrequency.Count) * units[r.RotationFrequency.Unit]
		case r.FileRotationType == "SIZE":
			env.Errorf(r.Pos, "<FileRotationType>SIZE</FileRotationType> needs <MaxFileSizeInMB> above 0")
		default:
			env.Errorf(r.Pos, "<FileRotationType>TIME</FileRotationType> needs <RotationFrequency> above 0")
		}
	}
	return f
}

func (f *fileLines) write(_ context.Context, fc *flow.Context) error {
	line, err := f.message.Append(nil, fc, true)
	if err != nil {
		return err
	}
	p := fc.Proxy
	where := policy.LogFile{Organization: p.Organization, Environment: p.Environment, Proxy: p.Name, Revision: p.Revision, Policy: f.policy, Name: f.name}
	return f.files.Append(where, f.rotation, line)
}
