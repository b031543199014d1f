package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/perigee-gateway/perigee/shared/boot"
)

// credentialsVariable holds the external_account configuration of workload
// identity federation, which has no secret in it: a file is all that Google's
// libraries read, and a zip of only the program has none.
const credentialsVariable = "PERIGEE_GOOGLE_CREDENTIALS"

// googleVariable names the file that Google's libraries read.
const googleVariable = "GOOGLE_APPLICATION_CREDENTIALS"

// prepare checks what can be checked before the first call, so that a function
// that is set up wrongly fails as it is deployed. It connects to nothing.
func prepare() error {
	c, err := boot.FromEnv()
	if err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	if err := writeCredentials(os.Getenv(credentialsVariable)); err != nil {
		return err
	}
	if needsGoogle(c) && os.Getenv(googleVariable) == "" {
		return errors.New("there are no Google credentials for " + c.Store + ": set " + credentialsVariable +
			" to the external_account configuration of workload identity federation (docs/DEPLOY.md, \"AWS\")")
	}
	return nil
}

// needsGoogle reports whether the store is Google's own Firestore: on Lambda no
// metadata server gives credentials for it.
func needsGoogle(c boot.Config) bool {
	return strings.HasPrefix(c.Store, "firestore:") && os.Getenv("FIRESTORE_EMULATOR_HOST") == ""
}

func writeCredentials(text string) error {
	if text == "" {
		return nil
	}
	var file struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return fmt.Errorf("%s is not JSON: %w", credentialsVariable, err)
	}
	if file.Type != "external_account" {
		return fmt.Errorf("%s has type %q: only external_account belongs into a variable, anything else is a secret", credentialsVariable, file.Type)
	}
	dir, err := os.MkdirTemp("", "perigee")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "google.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Setenv(googleVariable, name)
}

// reportInit tells Lambda why the function cannot start.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror
func reportInit(err error) {
	body, _ := json.Marshal(map[string]any{
		"errorType": "Perigee.Configuration", "errorMessage": err.Error(), "stackTrace": []string{},
	})
	r, rerr := http.NewRequest(http.MethodPost, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if rerr != nil {
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Lambda-Runtime-Function-Error-Type", "Perigee.Configuration")
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
	}
}
