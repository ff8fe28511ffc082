package story

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
)

// family shows the services.
func (t *teller) family(ctx context.Context) error {
	c, err := fountain.New(t.URL, t.Options.Options...)
	if err != nil {
		return err
	}
	list, err := c.Gateway.ListGatewayServices(ctx)
	if err != nil {
		return err
	}
	t.say("Four services stand behind one gateway at %s. It lets a request through only when the service's contract allows it.", t.URL)
	t.call("GET /gateway/v1/services", "200")
	ready := 0
	for _, s := range list.Items {
		t.row("%-10s %s", s.Name, s.Status)
		if s.Status == gateway.ServiceStatusStatusReady {
			ready++
		}
	}
	if ready < 4 || ready < len(list.Items) {
		return failed("only %d of %d services are ready", ready, len(list.Items))
	}
	return nil
}

// bootstrap creates the first administrator and shows that bootstrap works only once.
func (t *teller) bootstrap(ctx context.Context) error {
	if t.BootstrapTokenFile == "" {
		t.say("There is an administrator already, so this step has nothing to do.")
		return nil
	}
	raw, err := os.ReadFile(t.BootstrapTokenFile)
	if err != nil {
		return fmt.Errorf("read the bootstrap token: %w", err)
	}
	anonymous, err := fountain.New(t.URL, t.Options.Options...)
	if err != nil {
		return err
	}
	t.say("The kms wrote a one-time token to a file that only its owner can read. Whoever can read it makes the first administrator, once.")
	request := kms.AdminBootstrap{Token: strings.TrimSpace(string(raw)), Username: t.Username, Password: t.Password}
	user, err := anonymous.KMS.BootstrapAdmin(ctx, request)
	if err != nil {
		return err
	}
	t.call("POST /kms/v1/bootstrap/admin", "201 "+user.Username+", "+user.ID)
	if user.Invitation == nil {
		return failed("the first administrator got no invitation")
	}
	t.Invitation = user.Invitation.Token
	_, err = anonymous.KMS.BootstrapAdmin(ctx, request)
	var refusal *fountain.Error
	if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Status >= 500 {
		return failed("the same token made a second administrator, or was not refused: %w", err)
	}
	t.call("POST /kms/v1/bootstrap/admin", answerOf(refusal))
	return nil
}

// signIn creates the story's client.
func (t *teller) signIn(ctx context.Context) (err error) {
	if t.Username == "" {
		if t.client, err = t.Client(t.code); err != nil {
			return err
		}
		t.say("The session of `fountain login`, or the key in FOUNTAIN_API_KEY, is used.")
	} else {
		opts := append([]fountain.Option{fountain.WithUser(t.Username, t.Password), fountain.WithStepUp(t.code)}, t.Options.Options...)
		if t.client, err = fountain.New(t.URL, opts...); err != nil {
			return err
		}
		t.say("The SDK signs in when the first call needs it, and renews the token before its ten minutes are over.")
	}
	token, err := t.client.Token(ctx, "sequence")
	if err != nil {
		return err
	}
	if token == "" {
		return failed("there is no access token")
	}
	t.call("POST /kms/v1/auth/login", "200 an access token")
	if t.userID, err = subject(token); err != nil {
		return err
	}
	anonymous, err := fountain.New(t.URL, t.Options.Options...)
	if err != nil {
		return err
	}
	_, err = anonymous.Sequence.ListElements(ctx, t.Scope, "spokenWord", nil)
	if !errors.Is(err, fountain.ErrUnauthenticated) {
		return failed("a call without a token was not refused: %w", err)
	}
	t.say("Without it nothing happens:")
	t.call("GET /sequence/v1/scopes/"+t.Scope+"/spokenWord/elements", answerOf(err))
	return nil
}

// subject reads the subject of a token. It is only displayed, so it is not verified.
func subject(token string) (string, error) {
	var claims struct {
		Subject string `json:"sub"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", failed("the access token is not a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return "", failed("the access token is not a JWT")
	}
	return claims.Subject, nil
}

// answerOf returns a refusal as the story shows it: 401 authentication_required.
func answerOf(err error) string {
	var e *fountain.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s", e.Status, e.Code)
	}
	return "no answer"
}
