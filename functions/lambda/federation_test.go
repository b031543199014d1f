package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/auth/credentials"
	"golang.org/x/oauth2/google"
)

const (
	cloudPlatform  = "https://www.googleapis.com/auth/cloud-platform"
	serviceAccount = "perigee-gateway-l@acme-apis.iam.gserviceaccount.com"
	audience       = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/perigee-aws/providers/aws"
	secretKey      = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// googleSide is the part of Google that federation asks: the token service, which
// takes the proof of an AWS role, and the one that lets a federated identity be a
// service account.
type googleSide struct {
	t       *testing.T
	secret  string // that AWS knows the role by
	proofs  int
	refused string // an error that the token service answers
}

func (g *googleSide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/v1/token":
		if err := g.exchange(r); err != nil {
			w.WriteHeader(http.StatusForbidden)
			json.NewEncoder(w).Encode(map[string]string{"error": "unauthorized_client", "error_description": err.Error()})
			return
		}
		fmt.Fprint(w, `{"access_token":"federated","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`)
	case "/v1/projects/-/serviceAccounts/" + serviceAccount + ":generateAccessToken":
		if r.Header.Get("Authorization") != "Bearer federated" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"accessToken":"of the service account","expireTime":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	default:
		g.t.Errorf("unexpected call of %s", r.URL)
		w.WriteHeader(http.StatusNotFound)
	}
}

// exchange checks a token exchange as Google's token service does: the subject
// token is a request of sts:GetCallerIdentity, signed with the role's key, for
// this audience.
//
// Source: https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func (g *googleSide) exchange(r *http.Request) error {
	g.proofs++
	if g.refused != "" {
		return fmt.Errorf("%s", g.refused)
	}
	for name, want := range map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"audience":             audience,
		"subject_token_type":   "urn:ietf:params:aws:token-type:aws4_request",
		"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
	} {
		if got := r.PostFormValue(name); got != want {
			return fmt.Errorf("%s is %q", name, got)
		}
	}
	text, err := url.QueryUnescape(r.PostFormValue("subject_token"))
	if err != nil {
		return err
	}
	var proof struct {
		URL, Method string
		Headers     []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(text), &proof); err != nil {
		return err
	}
	if proof.Method != "POST" || proof.URL != "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15" {
		return fmt.Errorf("the proof is %s %s", proof.Method, proof.URL)
	}
	headers := map[string]string{}
	for _, h := range proof.Headers {
		headers[strings.ToLower(h.Key)] = h.Value
	}
	if headers["x-goog-cloud-target-resource"] != audience || headers["x-amz-security-token"] != "session" {
		return fmt.Errorf("the proof is for %v", headers)
	}
	signed := headers["authorization"]
	delete(headers, "authorization")
	if want := signature(headers, g.secret); signed != want {
		return fmt.Errorf("signature %s, want %s", signed, want)
	}
	return nil
}

// signature is AWS Signature Version 4 of the proof.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func signature(headers map[string]string, secret string) string {
	var names []string
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("POST\n/\nAction=GetCallerIdentity&Version=2011-06-15\n")
	for _, name := range names {
		b.WriteString(name + ":" + headers[name] + "\n")
	}
	list := strings.Join(names, ";")
	b.WriteString("\n" + list + "\n" + hex.EncodeToString(sha256.New().Sum(nil)))
	date := headers["x-amz-date"]
	scope := date[:8] + "/eu-west-1/sts/aws4_request"
	sum := sha256.Sum256([]byte(b.String()))
	toSign := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), toSign) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" + scope + ", SignedHeaders=" + list + ", Signature=" + hex.EncodeToString(key)
}

// federation sets the process up as Terraform and Lambda do: the configuration is
// the module's own template, with the test's servers for Google's, and the role's
// credentials are in the environment.
func federation(t *testing.T, g *googleSide) {
	t.Helper()
	g.t = t
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	text, err := os.ReadFile("../../infra/aws/credentials.json.tftpl")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer(
		"${project_number}", "123", "${pool}", "perigee-aws", "${provider}", "aws", "${service_account}", serviceAccount,
		"https://sts.googleapis.com", s.URL, "https://iamcredentials.googleapis.com", s.URL,
	).Replace(string(text))
	if strings.Contains(config, "${") {
		t.Fatalf("what is this: %s", config)
	}
	for k, v := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "session",
		"PERIGEE_STORE": "firestore:acme-apis", "PERIGEE_KEYSTORE": "secretmanager:acme-apis",
		"FIRESTORE_EMULATOR_HOST": "", "TMPDIR": t.TempDir(), googleVariable: "", credentialsVariable: config,
	} {
		t.Setenv(k, v)
	}
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
}

// libraries are Google's, that get the token: the first is what Firestore and
// Secret Manager use.
var libraries = map[string]func(context.Context) (string, error){
	"cloud.google.com/go/auth": func(ctx context.Context) (string, error) {
		c, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{cloudPlatform}})
		if err != nil {
			return "", err
		}
		token, err := c.Token(ctx)
		if err != nil {
			return "", err
		}
		return token.Value, nil
	},
	"golang.org/x/oauth2/google": func(ctx context.Context) (string, error) {
		c, err := google.FindDefaultCredentials(ctx, cloudPlatform)
		if err != nil {
			return "", err
		}
		token, err := c.TokenSource.Token()
		if err != nil {
			return "", err
		}
		return token.AccessToken, nil
	},
}

// TestFederation is the way from the function's AWS role to a token of the service
// account at Google, with Google's libraries and no key of Google's.
func TestFederation(t *testing.T) {
	for name, token := range libraries {
		t.Run(name, func(t *testing.T) {
			g := &googleSide{secret: secretKey}
			federation(t, g)
			got, err := token(t.Context())
			if err != nil || got != "of the service account" || g.proofs != 1 {
				t.Errorf("%q %v after %d exchanges", got, err, g.proofs)
			}
		})
	}
}

// TestFederationRefused is a role that the pool's provider does not take, and keys
// that are not the role's.
func TestFederationRefused(t *testing.T) {
	for name, token := range libraries {
		t.Run(name, func(t *testing.T) {
			federation(t, &googleSide{secret: secretKey, refused: "The given credential is rejected by the attribute condition."})
			if got, err := token(t.Context()); err == nil || !strings.Contains(err.Error(), "attribute condition") {
				t.Errorf("%q %v", got, err)
			}
			federation(t, &googleSide{secret: "another"})
			if got, err := token(t.Context()); err == nil {
				t.Errorf("%q with another's key", got)
			} else if strings.Contains(err.Error(), secretKey) {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}
