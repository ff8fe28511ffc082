package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/explain"
)

var rotationHead = []string{"DRIVER", "EVERY", "NEXT", "STATE", "ATTEMPTS", "LAST", "VERSION", "ENDED", "ERROR"}

func rotationRow(r kms.SecretRotation) []string {
	every, last, failure := "on demand", "", ""
	if r.LastError != nil {
		failure = string(*r.LastError)
	}
	if r.IntervalSeconds != nil {
		every = explain.Short(time.Duration(*r.IntervalSeconds) * time.Second)
	}
	if r.LastOutcome != nil {
		last = string(*r.LastOutcome)
	}
	return []string{string(r.Driver), every, whenOr(r.NextAt, ""), string(r.State), strconv.Itoa(int(r.Attempts)), last, numberOr(r.LastVersion, ""), whenOr(r.LastEndedAt, ""), failure}
}

func (o *operator) rotateSecret() *cobra.Command {
	return o.command("rotate NAME", "Rotate a secret now", "  fountain secrets rotate app.db\n  fountain secrets rotate app.db --output json", oneArg("a secret"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			r, err := c.KMS.RotateSecret(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			o.printRotating(cmd, args[0])
			return o.print(cmd, r, rotationHead, [][]string{rotationRow(*r)})
		})
}

// printRotating prints that the rotation has started, and how to see its end.
func (o *operator) printRotating(cmd *cobra.Command, secret string) {
	fmt.Fprintf(cmd.ErrOrStderr(), "Rotation continues in the background; check it with fountain secrets rotation %s\n", secret)
}

func (o *operator) rollbackSecret() *cobra.Command {
	return o.command("rollback NAME", "Roll back a secret to its previous version, also at its external target", `  fountain secrets rollback app.db
  fountain secrets rollback app.db --output json`, oneArg("a secret"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		r, err := c.KMS.RollbackSecretRotation(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		o.printRotating(cmd, args[0])
		return o.print(cmd, r, rotationHead, [][]string{rotationRow(*r)})
	})
}

// rotationFlags holds the flags that say how a secret is rotated.
type rotationFlags struct {
	driver, url, credential string
	every, overlap          time.Duration
	length                  int32
	collections, actions    []string
}

// rotationFlagNames lists the names of these flags.
var rotationFlagNames = []string{"driver", "every", "length", "target", "credential", "overlap", "collection", "action"}

func (f *rotationFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.driver, "driver", "random", "with --set: random, webhook (your rotator sets the value) or typesense (the value is a key of an engine)")
	flags.DurationVar(&f.every, "every", 0, "with --set: interval of automatic rotations, 1h to 8760h; default: only on demand, by fountain secrets rotate")
	flags.Int32Var(&f.length, "length", 43, "with --set: length of a value, 22 to 1024 characters")
	flags.StringVar(&f.url, "target", "", "for webhook and typesense: URL of the rotator or the engine, which the operator must allow (FOUNTAIN_KMS_ROTATION_ALLOW)")
	flags.StringVar(&f.credential, "credential", "", "for webhook and typesense: name of the secret that signs the requests, or that is the admin key")
	flags.DurationVar(&f.overlap, "overlap", 24*time.Hour, "for webhook and typesense: how long the previous version keeps working there, at most 168h")
	flags.StringSliceVar(&f.collections, "collection", nil, "for typesense: collection that the key can access; may be repeated")
	flags.StringSliceVar(&f.actions, "action", nil, "for typesense: action that the key allows; may be repeated; default: documents:search")
}

func (f *rotationFlags) body() kms.SecretRotationPut {
	body := kms.SecretRotationPut{Driver: kms.SecretRotationPutDriver(f.driver), Length: &f.length}
	if f.every != 0 {
		body.IntervalSeconds = new(int64(f.every / time.Second))
	}
	if f.driver != string(kms.SecretRotationPutDriverRandom) {
		body.OverlapSeconds = new(int64(f.overlap / time.Second))
	}
	if f.url != "" {
		body.URL = &f.url
	}
	if f.credential != "" {
		body.Credential = &f.credential
	}
	if len(f.collections) > 0 {
		body.Collections = &f.collections
	}
	if len(f.actions) > 0 {
		body.Actions = &f.actions
	}
	return body
}

func (o *operator) secretRotation() *cobra.Command {
	var f rotationFlags
	var set, stop bool
	cmd := o.command("rotation NAME", "Show, configure or stop the rotation of a secret", `  fountain secrets rotation app.db
  fountain secrets rotation app.db --set --every 720h
  fountain secrets rotation app.db --set --driver webhook --target https://rotator.example.org/db --credential app.rotator
  fountain secrets rotation app.key --set --driver typesense --target https://search.example.org:8108 --credential app.admin --collection products
  fountain secrets rotation app.db --stop`, oneArg("a secret"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		if set && stop || !set && slices.ContainsFunc(rotationFlagNames, cmd.Flags().Changed) {
			return usagef("--driver, --every, --length and the like go with --set, which excludes --stop")
		}
		if stop {
			if err := c.KMS.DeleteSecretRotation(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" is no longer rotated")
		}
		r, err := (*kms.SecretRotation)(nil), error(nil)
		if set {
			r, err = c.KMS.PutSecretRotation(cmd.Context(), args[0], f.body())
		} else {
			r, err = c.KMS.GetSecretRotation(cmd.Context(), args[0])
		}
		if err != nil {
			return err
		}
		return o.print(cmd, r, rotationHead, [][]string{rotationRow(*r)})
	})
	cmd.Flags().BoolVar(&set, "set", false, "configure the rotation")
	cmd.Flags().BoolVar(&stop, "stop", false, "stop the rotation")
	f.add(cmd)
	return cmd
}
