package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var (
	secretHead      = []string{"NAME", "VERSION", "PREVIOUS", "PENDING", "UPDATED"}
	versionHead     = []string{"VERSION", "STAGE", "CREATED", "DELETED", "DESTROYED"}
	destructionHead = []string{"VERSION", "DESTROYED", "COPIES MAY REMAIN IN"}
)

func secretRow(s kms.SecretMetadata) []string {
	return []string{s.Name, strconv.FormatInt(s.Version, 10), numberOr(s.PreviousVersion, ""), numberOr(s.PendingVersion, ""), when(s.UpdatedAt)}
}

func numberOr(n *int64, none string) string {
	if n == nil {
		return none
	}
	return strconv.FormatInt(*n, 10)
}

func versionRow(v kms.SecretVersion) []string {
	stage := ""
	if v.Stage != nil {
		stage = string(*v.Stage)
	}
	return []string{strconv.FormatInt(v.Version, 10), stage, when(v.CreatedAt), whenOr(v.DeletedAt, ""), whenOr(v.DestroyedAt, "")}
}

// newSecrets makes the commands for secrets.
func newSecrets() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List secrets by name, without their values", "  fountain secrets list\n  fountain secrets list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			secrets, rows := []kms.SecretMetadata{}, [][]string{}
			for s, err := range c.KMS.Secrets(cmd.Context()) {
				if err != nil {
					return err
				}
				secrets, rows = append(secrets, s), append(rows, secretRow(s))
			}
			return o.print(cmd, secrets, secretHead, rows)
		})
	versions := o.command("versions NAME", "List a secret's versions, newest first, without their values", "  fountain secrets versions app.db\n  fountain secrets versions app.db --output json", oneArg("a secret"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			versions, rows := []kms.SecretVersion{}, [][]string{}
			for v, err := range c.KMS.SecretVersions(cmd.Context(), args[0]) {
				if err != nil {
					return err
				}
				versions, rows = append(versions, v), append(rows, versionRow(v))
			}
			return o.print(cmd, versions, versionHead, rows)
		})
	return group("secrets", "Store, read and rotate secrets, and pass them to a process", list, o.getSecret(), o.putSecret(), versions, o.promoteSecret(),
		o.deleteSecret(), o.undeleteSecret(), o.destroySecret(), o.watchSecret(), o.rotateSecret(), o.rollbackSecret(), o.secretRotation(), o.secretPolicies(), o.secretAccess(), newSecretsRun(o))
}

func (o *operator) getSecret() *cobra.Command {
	var version string
	cmd := o.command("get NAME", "Print a secret's value to standard output", "  fountain secrets get app.db\n  fountain secrets get app.db --version previous", oneArg("a secret"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if version == "" {
				s, err := c.KMS.GetSecret(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return o.secret(cmd, s, fmt.Sprintf("%s, version %d:", s.Name, s.Version), s.Value)
			}
			v, err := c.KMS.GetSecretVersion(cmd.Context(), args[0], version)
			if err != nil {
				return err
			}
			return o.secret(cmd, v, fmt.Sprintf("%s, version %d:", args[0], v.Version), v.Value)
		})
	cmd.Flags().StringVar(&version, "version", "", "version: a number, current, previous or pending; default: current")
	return cmd
}

func (o *operator) putSecret() *cobra.Command {
	var file string
	var over int64
	var create, pending bool
	cmd := o.command("put NAME", "Store a new version of a secret", `  fountain secrets put app.db --value-file db.password
  openssl rand -hex 32 | fountain secrets put app.db --value-file - --if-version 3
  fountain secrets put app.db --value-file - --pending`, oneArg("a secret"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		if create && (over > 0 || pending) {
			return usagef("--create excludes --if-version and --pending")
		}
		value, err := valueFrom(file)
		if err != nil {
			return err
		}
		var opts []fountain.CallOption
		if create {
			opts = append(opts, fountain.WithIfNoneMatch())
		}
		if over > 0 {
			opts = append(opts, fountain.WithIfMatch(fountain.IfMatch(over)))
		}
		store := c.KMS.PutSecret
		if pending {
			store = c.KMS.ProposeSecret
		}
		s, err := store(cmd.Context(), args[0], kms.SecretPut{Value: value}, opts...)
		if err != nil {
			return err
		}
		return o.print(cmd, s, secretHead, [][]string{secretRow(*s)})
	})
	cmd.Long = `put stores a value, encrypted. The name determines who can read it: a service can read the secrets of its own
name, so app.db is for the service app, and administrators can read all, unless policies say otherwise
("fountain secrets policies list"). "fountain secrets run" passes it to a process.`
	cmd.Flags().StringVar(&file, "value-file", "", "read the value from this file, or from standard input with -, without the line break at its end; default: prompt for it")
	cmd.Flags().Int64Var(&over, "if-version", 0, "fail unless this version is current")
	cmd.Flags().BoolVar(&create, "create", false, "fail if the secret exists")
	cmd.Flags().BoolVar(&pending, "pending", false, "store a pending version, next to the current one until it is promoted")
	return cmd
}

// valueFrom reads a secret's value: a whole file or standard input without one trailing line break, or what is typed
// without echo.
func valueFrom(file string) (string, error) {
	if file == "" {
		return newSecretFrom(file, "Value: ")
	}
	in := io.Reader(os.Stdin)
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read value: %w", err)
		}
		defer opened.Close()
		in = opened
	}
	raw, err := io.ReadAll(io.LimitReader(in, 1<<20)) // more than the kms accepts, so that the kms reports the error
	if err != nil {
		return "", fmt.Errorf("read value: %w", err)
	}
	if !utf8.Valid(raw) {
		return "", usagef("the value is not UTF-8 text; encode it, for example in base64")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"), nil
}

// twoArgs requires a secret and a version of it.
func twoArgs(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s takes two arguments, a secret and a version", cmd.CommandPath())
	}
	return nil
}

func (o *operator) promoteSecret() *cobra.Command {
	var over int64
	cmd := o.command("promote NAME VERSION", "Promote the pending version to the current one, or roll back to an earlier version",
		"  fountain secrets promote app.db pending --if-version 3\n  fountain secrets promote app.db previous", twoArgs,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			var opts []fountain.CallOption
			if over > 0 {
				opts = append(opts, fountain.WithIfMatch(fountain.IfMatch(over)))
			}
			s, err := c.KMS.PromoteSecretVersion(cmd.Context(), args[0], args[1], opts...)
			if err != nil {
				return err
			}
			return o.print(cmd, s, secretHead, [][]string{secretRow(*s)})
		})
	cmd.Flags().Int64Var(&over, "if-version", 0, "fail unless this version is current")
	return cmd
}

func (o *operator) deleteSecret() *cobra.Command {
	return o.command("delete NAME VERSION", "Delete a secret version, with the option to undelete it", "  fountain secrets delete app.db 3\n  fountain secrets delete app.db previous", twoArgs,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.KMS.DeleteSecretVersion(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			return o.done(cmd, "version "+args[1]+" of "+args[0]+" deleted")
		})
}

func (o *operator) undeleteSecret() *cobra.Command {
	return o.command("undelete NAME VERSION", "Undelete a secret version", "  fountain secrets undelete app.db 3\n  fountain secrets undelete app.db 3 --output json", twoArgs,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			v, err := c.KMS.UndeleteSecretVersion(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return o.print(cmd, v, versionHead, [][]string{versionRow(*v)})
		})
}

func (o *operator) destroySecret() *cobra.Command {
	cmd := o.command("destroy NAME VERSION", "Destroy a secret version permanently", "  fountain secrets destroy app.db 3\n  fountain secrets destroy app.db previous", twoArgs,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			d, err := c.KMS.DestroySecretVersion(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			remains := make([]string, len(d.Remains))
			for i, where := range d.Remains {
				remains[i] = strings.ReplaceAll(string(where), "_", " ")
			}
			return o.print(cmd, d, destructionHead, [][]string{{strconv.FormatInt(d.Version, 10), when(d.DestroyedAt), strings.Join(remains, ", ")}})
		})
	cmd.Long = `destroy overwrites the version's data key and its encrypted value; it cannot be undone. Backups from before
contain both until they expire.`
	return cmd
}

func (o *operator) watchSecret() *cobra.Command {
	var known int64
	cmd := o.command("watch NAME", "Wait for a new current version of a secret, and print its number", "  fountain secrets watch app.db --version 3\n  fountain secrets watch app.db", oneArg("a secret"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			version, err := known, error(nil)
			if known == 0 {
				if version, err = c.KMS.WatchSecret(cmd.Context(), args[0], 0, 0); err != nil {
					return err
				}
			}
			for now := version; ; {
				if now, err = c.KMS.WatchSecret(cmd.Context(), args[0], version, watchWait); err != nil {
					return err
				}
				if now != version {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), now)
					return err
				}
			}
		})
	cmd.Flags().Int64Var(&known, "version", 0, "version that is already known; default: the current one")
	return cmd
}

// watchWait is how long one request waits for another version.
const watchWait = 20 * time.Second
