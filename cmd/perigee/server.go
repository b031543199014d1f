package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/perigee-gateway/perigee/shared/apiclient"
	"github.com/perigee-gateway/perigee/shared/boot"
)

// serverFlags say which Management API a command works with: a server's, or one
// in this process over a store.
type serverFlags struct {
	Server       string `default:"http://127.0.0.1:8081" help:"Management API."`
	Token        string `env:"PERIGEE_TOKEN" help:"Bearer token for the Management API."`
	DefaultToken bool   `help:"Send the access token of the Application Default Credentials."`
	storeFlags
}

// storeFlags name a store and its keystore.
type storeFlags struct {
	Store    string `help:"Work on the store itself, without a server: embedded:DIR (of a server that is stopped) or firestore:PROJECT[/DATABASE]." placeholder:"STORE"`
	Keystore string `help:"The store's keystore: local:DIR or secretmanager:PROJECT; default beside an embedded store, or the project's of Firestore." placeholder:"KEYSTORE"`
}

// client opens the Management API; close must be called.
func (f *serverFlags) client(ctx context.Context, org string) (c *apiclient.Client, close func() error, err error) {
	if f.Store == "" {
		c := &apiclient.Client{Base: f.Server, Token: fixedToken(f.Token)}
		if f.DefaultToken {
			c.Token, err = defaultToken(ctx)
		}
		return c, func() error { return nil }, err
	}
	host, err := f.host(ctx, org)
	if err != nil {
		return nil, nil, err
	}
	h, err := host.ManagementHandler()
	if err != nil {
		return nil, nil, err
	}
	return &apiclient.Client{Base: "http://perigee", HTTP: &http.Client{Transport: apiclient.Handler{Handler: h}}}, host.Close, nil
}

// host opens the store for this process alone.
func (f *storeFlags) host(ctx context.Context, org string) (*boot.Host, error) {
	if f.Keystore == "" {
		f.Keystore = boot.KeystoreOf(f.Store)
	}
	return boot.Open(ctx, boot.Config{
		Organization: org, Store: f.Store, Keystore: f.Keystore, LogFormat: "text", LogLevel: "error",
		InsecureManagement: true, Project: os.Getenv("GOOGLE_CLOUD_PROJECT"),
	})
}

func fixedToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// defaultToken gives access tokens of the Application Default Credentials, each
// as long as it lives.
func defaultToken(ctx context.Context) (func(context.Context) (string, error), error) {
	source, err := google.DefaultTokenSource(ctx, "https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
	if err != nil {
		return nil, fmt.Errorf("default credentials: %w", err)
	}
	source = oauth2.ReuseTokenSource(nil, source)
	return func(context.Context) (string, error) {
		t, err := source.Token()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	}, nil
}
