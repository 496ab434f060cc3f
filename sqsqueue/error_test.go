package sqsqueue

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

const (
	secretKey    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	sessionToken = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"
)

// apiFault returns a connection to a server that answers every request with
// an error, in SQS's form. The server for tests accepts any credentials.
func apiFault(t *testing.T, code, message string) *Conn {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazon.coral.service#" + code, "message": message})
	}))
	t.Cleanup(server.Close)
	return connect(t, server.URL, func(o *Options) { o.Secret, o.Token = secretKey, sessionToken })
}

func TestCredentialErrorsAreClearAndTellNoSecrets(t *testing.T) {
	for code, says := range map[string]string{
		"SignatureDoesNotMatch":       "secret and the region",
		"InvalidSignatureException":   "secret and the region",
		"InvalidClientTokenId":        "key and token",
		"UnrecognizedClientException": "key and token",
		"ExpiredToken":                "renew",
	} {
		c := apiFault(t, code, "The Canonical String should have been 'POST x-amz-security-token:"+sessionToken+" "+secretKey+"'")
		calls := map[string]error{}
		_, calls["Push"] = c.Push(t.Context(), "q", messages("a"))
		_, calls["Reserve"] = c.Reserve(t.Context(), "q", 1)
		calls["Delete"] = c.Delete(t.Context(), []driver.Reservation{{Receipt: &receipt{url: "u", handle: "h"}}})
		_, calls["Size"] = c.Size(t.Context(), "q")
		_, calls["Queues"] = c.Queues(t.Context())
		_, calls["Clear"] = c.Clear(t.Context(), "q")
		calls["Ping"] = c.Ping(t.Context())
		calls["Wait"] = c.Wait(t.Context(), []string{"q"}, time.Minute)
		for call, err := range calls {
			if err == nil {
				t.Errorf("%s with %s succeeded", call, code)
				continue
			}
			if !strings.Contains(err.Error(), code) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s with %s: %v", call, code, err)
			}
			if strings.Contains(err.Error(), secretKey) || strings.Contains(err.Error(), sessionToken) {
				t.Errorf("%s with %s tells secrets: %v", call, code, err)
			}
			if e := (*CredentialsError)(nil); !errors.As(err, &e) {
				t.Errorf("%s with %s is a %T", call, code, err)
			}
		}
	}
}

// The usual chain: from the environment, a profile, or the container's role, and
// an error that says what to do when there is nothing anywhere.
func TestCredentialsOfTheUsualChain(t *testing.T) {
	endpoint := testserver.SQS(t) // found by way of HOME
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "",
	} {
		t.Setenv(name, value)
	}
	none := connect(t, endpoint, func(o *Options) { o.Key, o.Secret = "", "" })
	if _, err := none.Push(t.Context(), "q", messages("a")); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("a push without credentials: %v", err)
	}
	uses := func(want string) {
		t.Helper()
		c := connect(t, endpoint, func(o *Options) { o.Key, o.Secret = "", "" })
		must(t, c.Ping(t.Context()))
		if got, err := client(c).Options().Credentials.Retrieve(t.Context()); err != nil || got.AccessKeyID != want {
			t.Errorf("the key in use is %q (%v), want %q", got.AccessKeyID, err, want)
		}
	}
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId": "of-the-container", "SecretAccessKey": "s", "Token": "t", "Expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		})
	}))
	defer role.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
	uses("of-the-container")
	profiles := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(profiles, []byte("[shop]\naws_access_key_id = of-the-profile\naws_secret_access_key = s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", profiles)
	t.Setenv("AWS_PROFILE", "shop")
	uses("of-the-profile")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	uses("of-the-environment")

	for what, o := range map[string]Options{
		"region":        {Key: "key", Secret: "secret"},
		"no secret":     {Region: "r", Key: "key"},
		"no access key": {Region: "r", Secret: secretKey},
	} {
		if _, err := Open(t.Context(), &o); err == nil || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), secretKey) {
			t.Errorf("Open without %s: %v", what, err)
		}
	}
}

func TestOutage(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "1") // the client is not to try again for seconds
	server := testserver.NewSQS(t)
	c := connect(t, server.DSN, nil)
	q := name("")
	create(t, c, q)
	push(t, c, q, "before")
	held := reserve(t, c, q, 1)
	server.Stop()
	if ids, err := c.Push(t.Context(), q, messages("lost")); err == nil || len(ids) != 0 {
		t.Errorf("a push without a server returned %q and %v", ids, err)
	}
	if rs, err := c.Reserve(t.Context(), q, 1); err == nil || len(rs) != 0 {
		t.Errorf("a reserve without a server returned %d jobs and %v", len(rs), err)
	}
	if err := c.Wait(t.Context(), []string{q}, time.Minute); err == nil {
		t.Error("Wait without a server returned nil")
	}
	err := c.Delete(t.Context(), held)
	if err == nil || errors.Is(err, driver.ErrLost) {
		t.Errorf("a delete without a server returned %v", err)
	}
	server.Start()
	create(t, c, q) // it keeps nothing
	push(t, c, q, "after")
	if got := bodies(reserve(t, c, q, 10)); len(got) != 1 || got[0] != "after" {
		t.Errorf("after the outage the jobs are %q", got)
	}
}
