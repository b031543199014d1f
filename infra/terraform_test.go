package infra_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modules are the folders with Terraform configuration.
var modules = []string{"gcp", "aws", "examples/one-environment", "examples/multi-region", "examples/aws"}

// TestTerraform runs the real Terraform over the modules: fmt, init, validate and
// test. Its providers are this test's own (provider_test.go), with the documented
// schemas: the real ones are not needed, no cloud is called.
func TestTerraform(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		// What needs no Terraform is checked by the other tests.
		t.Log("terraform is not on the PATH: neither validate nor test was run")
		return
	}
	run := environment(t, terraform)
	t.Run("fmt", func(t *testing.T) {
		if out, err := run(".", "fmt", "-check", "-recursive", "-diff"); err != nil {
			t.Errorf("terraform fmt: %s", out)
		}
	})
	for _, m := range modules {
		t.Run(m, func(t *testing.T) {
			dir := copied(t, m)
			if out, err := run(dir, "init", "-backend=false", "-no-color"); err != nil {
				t.Fatalf("terraform init: %s", out)
			}
			if out, err := run(dir, "validate", "-no-color"); err != nil || !strings.Contains(out, "Success!") || strings.Contains(out, "Warning") {
				t.Errorf("terraform validate: %s", out)
			}
			if m == "gcp" {
				if err := os.WriteFile(filepath.Join(dir, "tests", "collections.tftest.hcl"), []byte(planned()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tests, _ := filepath.Glob(filepath.Join(dir, "tests", "*.tftest.hcl")); len(tests) == 0 {
				return
			}
			out, err := run(dir, "test", "-no-color")
			if err != nil {
				t.Errorf("terraform test: %s", out)
			}
			t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
		})
	}
}

// copied returns a module's folder in a copy of this one: init writes beside it.
func copied(t *testing.T, module string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "infra")
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, module)
}

// environment returns a function that runs Terraform with nothing of this machine
// but the providers of a mirror that it makes.
func environment(t *testing.T, terraform string) func(dir string, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{"google", "aws"} {
		file, err := filepath.Abs(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := readSchema(file)
		if err != nil {
			t.Fatal(err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s'\n", schemaFile, file, self)
		for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
			program := filepath.Join(home, "mirror/registry.terraform.io", s.Provider, s.Version, platform, "terraform-provider-"+name+"_v"+s.Version)
			if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	config := filepath.Join(home, "terraformrc")
	text := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", filepath.Join(home, "mirror"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return func(dir string, args ...string) (string, error) {
		cmd := exec.Command(terraform, args...)
		cmd.Dir = dir
		cmd.Env = []string{"TF_CLI_CONFIG_FILE=" + config, "HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "TF_IN_AUTOMATION=1"}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}
}
