package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/perigee-gateway/perigee/shared/bundle"
)

type deployCmd struct {
	Bundle         string `arg:"" help:"Bundle directory or zip."`
	Name           string `help:"Name of the proxy or shared flow; default: the bundle's own."`
	Env            string `required:"" help:"Environment to deploy to."`
	Org            string `default:"local" help:"Organization."`
	Server         string `default:"http://127.0.0.1:8081" help:"Management API."`
	Token          string `env:"PERIGEE_TOKEN" help:"Bearer token for the Management API."`
	ServiceAccount string `help:"Service account that targets' Google tokens are minted for."`
}

// Run imports the bundle and deploys the new revision, taking the place of the
// one deployed before.
func (c *deployCmd) Run(ctx context.Context, s streams) error {
	b, err := bundle.Load(c.Bundle)
	if err != nil {
		return err
	}
	data, err := bundle.Zip(b)
	if err != nil {
		return err
	}
	name := c.Name
	if name == "" {
		name = b.Name
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(c.Bundle), filepath.Ext(c.Bundle))
	}
	collection := "apis"
	if b.Kind == bundle.KindSharedFlow {
		collection = "sharedflows"
	}
	org := strings.TrimSuffix(c.Server, "/") + "/v1/organizations/" + url.PathEscape(c.Org)
	var imported struct{ Revision string }
	if err := c.call(ctx, "POST", org+"/"+collection+"?action=import&name="+url.QueryEscape(name), data, &imported); err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	u := fmt.Sprintf("%s/environments/%s/%s/%s/revisions/%s/deployments?override=true", org, url.PathEscape(c.Env), collection, url.PathEscape(name), imported.Revision)
	if c.ServiceAccount != "" {
		u += "&serviceAccount=" + url.QueryEscape(c.ServiceAccount)
	}
	if err := c.call(ctx, "POST", u, nil, nil); err != nil {
		return fmt.Errorf("deploy %s revision %s: %w", name, imported.Revision, err)
	}
	fmt.Fprintf(s.out, "deployed %s revision %s to %s\n", name, imported.Revision, c.Env)
	return nil
}

func (c *deployCmd) call(ctx context.Context, method, url string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return apiError(resp.Status, data)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

// apiError is the message of a Google API error body.
func apiError(status string, data []byte) error {
	var e struct{ Error struct{ Message string } }
	if json.Unmarshal(data, &e) == nil && e.Error.Message != "" {
		return errors.New(e.Error.Message)
	}
	return errors.New(status)
}
