package boot

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns the process's logger: text for people, or JSON with the
// field names that Cloud Logging understands (severity, message).
//
// Source: https://cloud.google.com/logging/docs/structured-logging
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: %w", level, err)
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l, ReplaceAttr: explained})), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l, ReplaceAttr: cloudNames})), nil
	}
	return nil, fmt.Errorf("log format %q is neither json nor text", format)
}

func cloudNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case "error":
		return explained(groups, a)
	case slog.LevelKey:
		a.Key = "severity"
		if a.Value.String() == "WARN" {
			a.Value = slog.StringValue("WARNING")
		}
	case slog.MessageKey:
		a.Key = "message"
	}
	return a
}

// explained adds to an error what to do about it.
func explained(groups []string, a slog.Attr) slog.Attr {
	if a.Key != "error" || len(groups) > 0 {
		return a
	}
	err, ok := a.Value.Any().(error)
	if !ok {
		return a
	}
	text := err.Error()
	if hint := explain(err); hint != "" {
		text += " (" + hint + ")"
	}
	a.Value = slog.StringValue(text)
	return a
}
