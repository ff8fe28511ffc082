package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var keyHead = []string{"NAME", "ID", "OWNER", "STATUS", "ENDS", "LAST USED", "USES", "SCOPES"}

// countedUses explains two columns of keyHead. The kms sees a key when it is presented there, and not the requests that
// are made with the tokens for it.
const countedUses = `USES counts how often the kms has accepted the key: each exchange of the key for a token, each check by
"keys verify" (verifyApiKey), and each call of the endpoints for introspection and revocation with it. Requests
that are sent with a token are not counted; a gateway exchanges a key once and uses the token for many requests.
LAST USED is the time of the last of these uses. Both are written in batches, a moment later.`

func keyRow(k kms.APIKey) []string {
	return []string{k.Name, k.ID, k.OwnerID, string(k.Status), when(k.ExpiresAt), whenOr(k.LastUsedAt, "never"), fmt.Sprint(k.Uses), strings.Join(k.Scopes, " ")}
}

func newKeys() *cobra.Command {
	o := &operator{}
	var everybody bool
	list := o.command("list", "List API keys: your own, or with --all those of all owners", "  fountain keys list\n  fountain keys list --all", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			mine := kms.ListAPIKeysParamsOwner("me")
			params := &kms.ListAPIKeysParams{Owner: &mine}
			if everybody {
				params.Owner = nil
			}
			var keys []kms.APIKey
			var rows [][]string
			for {
				page, err := c.KMS.ListAPIKeys(cmd.Context(), params)
				if err != nil {
					return err
				}
				for _, k := range page.Items {
					keys, rows = append(keys, k), append(rows, keyRow(k))
				}
				if params.Cursor = page.NextCursor; page.NextCursor == nil {
					return o.print(cmd, keys, keyHead, rows)
				}
			}
		})
	list.Long = `list shows your API keys, or with --all those of all owners.

` + countedUses
	list.Flags().BoolVar(&everybody, "all", false, "list the keys of all owners; for administrators")
	get := o.command("get ID", "Show the description of an API key", "  fountain keys get key_01...\n  fountain keys get key_01... --output json", oneArg("a key's id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			k, err := c.KMS.GetAPIKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, k, keyHead, [][]string{keyRow(*k)})
		})
	get.Long = `get shows the description of an API key.

` + countedUses
	retire := o.command("retire ID", "Retire a rotated key before its overlap ends; its successors stay valid", "  fountain keys retire key_01...\n  fountain keys retire key_01... --output json", oneArg("a key's id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.KMS.RetireAPIKey(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" has ended")
		})
	revoke := o.command("revoke ID", "Revoke an API key and its successors, the keys created from it by rotation", "  fountain keys revoke key_01...\n  fountain keys revoke key_01... --output json", oneArg("a key's id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			ended, err := c.KMS.RevokeAPIKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, ended, []string{"ENDED"}, [][]string{{fmt.Sprint(ended.Revoked)}})
		})
	return group("keys", "Manage API keys", list, get, o.createKey(), o.updateKey(), o.rotateKey(), retire, revoke, o.verifyKey())
}

func (o *operator) createKey() *cobra.Command {
	var scopes []string
	var life time.Duration
	var forUser, forService, environment, rate string
	var metadata map[string]string
	cmd := o.command("create NAME", "Create an API key", "  fountain keys create import --scope elements:read --scope elements:write\n  fountain keys create nightly --scope elements:read --expires-in 720h", oneArg("a name for the key"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if len(scopes) == 0 {
				return usagef("fountain keys create needs --scope; fountain permissions scopes lists the scopes")
			}
			body := kms.APIKeyCreate{Name: args[0], Scopes: scopes}
			switch {
			case forUser != "":
				u, err := userNamed(cmd.Context(), c, forUser)
				if err != nil {
					return err
				}
				body.OwnerKind, body.OwnerID = new(kms.APIKeyCreateOwnerKindUser), &u.ID
			case forService != "":
				s, err := serviceNamed(cmd.Context(), c, forService)
				if err != nil {
					return err
				}
				body.OwnerKind, body.OwnerID = new(kms.APIKeyCreateOwnerKindService), &s.ID
			}
			if life > 0 {
				body.ExpiresAt = new(time.Now().Add(life))
			}
			if environment != "" {
				body.Environment = new(kms.APIKeyCreateEnvironment(environment))
			}
			if len(metadata) > 0 {
				body.Metadata = &metadata
			}
			limit, err := rateFrom(rate)
			if err != nil {
				return err
			}
			body.RateLimit = limit
			made, err := c.KMS.CreateAPIKey(cmd.Context(), body)
			if err != nil {
				return err
			}
			return o.secret(cmd, made, "created "+made.APIKey.ID+", which expires "+when(made.APIKey.ExpiresAt)+". The key is shown only once:", made.Key)
		})
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "scope of the key; may be repeated")
	cmd.Flags().DurationVar(&life, "expires-in", 0, "lifetime of the key, for example 720h; default: 90 days; at most 365 days")
	cmd.Flags().StringVar(&environment, "environment", "", "environment in the text of the key: live or test; default: live")
	cmd.Flags().StringToStringVar(&metadata, "metadata", nil, "metadata entry, NAME=VALUE; may be repeated")
	cmd.Flags().StringVar(&rate, "rate", "", "rate limit of the key, for example 10/1m; default: no limit")
	cmd.Flags().StringVar(&forUser, "user", "", "create the key for this user; default: for yourself")
	cmd.Flags().StringVar(&forService, "service", "", "create the key for this service; default: for yourself")
	cmd.MarkFlagsMutuallyExclusive("user", "service")
	return cmd
}

// rateFrom parses a rate limit: "" if none is given, 0 to remove it, else uses/window.
func rateFrom(text string) (*kms.KeyRateLimit, error) {
	if text == "" {
		return nil, nil
	}
	if text == "0" {
		return &kms.KeyRateLimit{Limit: 0, WindowSeconds: 1}, nil
	}
	uses, window, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(uses, 10, 64)
	d, windowErr := time.ParseDuration(window)
	if err != nil || windowErr != nil || n <= 0 || d < time.Second || d%time.Second != 0 {
		return nil, usagef("--rate is uses/window in whole seconds, for example 10/1m, or 0")
	}
	return &kms.KeyRateLimit{Limit: n, WindowSeconds: int64(d / time.Second)}, nil
}

func (o *operator) updateKey() *cobra.Command {
	var name, rate string
	var metadata map[string]string
	cmd := o.command("update ID", "Update an API key's name, metadata or rate limit", "  fountain keys update key_01... --rate 10/1m\n  fountain keys update key_01... --name nightly --metadata team=data", oneArg("a key's id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			limit, err := rateFrom(rate)
			if err != nil {
				return err
			}
			change := kms.APIKeyUpdate{Name: optional(name), RateLimit: limit}
			if cmd.Flags().Changed("metadata") {
				change.Metadata = &metadata
			}
			if change == (kms.APIKeyUpdate{}) {
				return usagef("fountain keys update needs --name, --metadata or --rate")
			}
			k, err := c.KMS.GetAPIKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if k, err = c.KMS.UpdateAPIKey(cmd.Context(), k.ID, fountain.IfMatch(k.Version), change); err != nil {
				return err
			}
			return o.print(cmd, k, keyHead, [][]string{keyRow(*k)})
		})
	cmd.Flags().StringVar(&name, "name", "", "new name of the key")
	cmd.Flags().StringVar(&rate, "rate", "", "rate limit of the key, for example 10/1m; 0 removes the limit")
	cmd.Flags().StringToStringVar(&metadata, "metadata", nil, "metadata entry, NAME=VALUE, replacing all current metadata; may be repeated")
	return cmd
}

func (o *operator) rotateKey() *cobra.Command {
	var overlap, life time.Duration
	cmd := o.command("rotate ID", "Rotate an API key; the old key stays valid for the overlap", "  fountain keys rotate key_01...\n  fountain keys rotate key_01... --overlap 24h", oneArg("a key's id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			body := kms.APIKeyRotate{OverlapSeconds: new(int64(overlap / time.Second))}
			if life > 0 {
				body.ExpiresAt = new(time.Now().Add(life))
			}
			made, err := c.KMS.RotateAPIKey(cmd.Context(), args[0], body)
			if err != nil {
				return err
			}
			return o.secret(cmd, made, "created "+made.APIKey.ID+", which expires "+when(made.APIKey.ExpiresAt)+"; "+made.Replaces+" works until "+when(made.ReplacedExpiresAt)+". The new key is shown only once:", made.Key)
		})
	cmd.Flags().DurationVar(&overlap, "overlap", time.Hour, "how long the old key stays valid, at most 168h")
	cmd.Flags().DurationVar(&life, "expires-in", 0, "lifetime of the new key; default: that of the old key, within what was granted")
	return cmd
}

func (o *operator) verifyKey() *cobra.Command {
	var file string
	cmd := o.command("verify", "Verify an API key", "  fountain keys verify --key-file key\n  echo \"$KEY\" | fountain keys verify", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			text, err := readShort(file)
			if err != nil {
				return err
			}
			v, err := c.KMS.VerifyAPIKey(cmd.Context(), kms.APIKeyVerify{Key: text})
			if err != nil {
				return err
			}
			if err := o.print(cmd, v, []string{"VALID", "CODE"}, [][]string{{fmt.Sprint(v.Valid), string(v.Code)}}); err != nil {
				return err
			}
			if !v.Valid {
				return fmt.Errorf("the key is not valid: %s", v.Code)
			}
			return nil
		})
	cmd.Flags().StringVar(&file, "key-file", "-", "read the API key from this file, or from standard input with -")
	return cmd
}
