package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var rotationHead = []string{"DRIVER", "EVERY", "NEXT", "STATE", "ATTEMPTS", "LAST", "VERSION", "ENDED"}

func rotationRow(r kms.SecretRotation) []string {
	every, last := "on demand", ""
	if r.IntervalSeconds != nil {
		every = (time.Duration(*r.IntervalSeconds) * time.Second).String()
	}
	if r.LastOutcome != nil {
		last = string(*r.LastOutcome)
	}
	return []string{string(r.Driver), every, whenOr(r.NextAt, ""), string(r.State), strconv.Itoa(int(r.Attempts)), last, numberOr(r.LastVersion, ""), whenOr(r.LastEndedAt, "")}
}

func (o *operator) rotateSecret() *cobra.Command {
	return o.command("rotate NAME", "Rotate a secret now", "  fountain secrets rotate app.db\n  fountain secrets rotate app.db --output json", oneArg("a secret"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			r, err := c.KMS.RotateSecret(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, r, rotationHead, [][]string{rotationRow(*r)})
		})
}

func (o *operator) secretRotation() *cobra.Command {
	var every time.Duration
	var length int32
	var set, stop bool
	cmd := o.command("rotation NAME", "Show or say how a secret is rotated", `  fountain secrets rotation app.db
  fountain secrets rotation app.db --set --every 720h
  fountain secrets rotation app.db --stop`, oneArg("a secret"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		if set && stop || !set && (every != 0 || cmd.Flags().Changed("length")) {
			return usagef("--every and --length go with --set, which excludes --stop")
		}
		if stop {
			if err := c.KMS.DeleteSecretRotation(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" is rotated no more")
		}
		r, err := (*kms.SecretRotation)(nil), error(nil)
		if set {
			body := kms.SecretRotationPut{Driver: kms.SecretRotationPutDriverRandom, Length: &length}
			if every != 0 {
				body.IntervalSeconds = new(int64(every / time.Second))
			}
			r, err = c.KMS.PutSecretRotation(cmd.Context(), args[0], body)
		} else {
			r, err = c.KMS.GetSecretRotation(cmd.Context(), args[0])
		}
		if err != nil {
			return err
		}
		return o.print(cmd, r, rotationHead, [][]string{rotationRow(*r)})
	})
	cmd.Flags().BoolVar(&set, "set", false, "rotate it to random values")
	cmd.Flags().DurationVar(&every, "every", 0, "with --set: by the kms itself, so often, 1h to 8760h; default: by fountain secrets rotate alone")
	cmd.Flags().Int32Var(&length, "length", 43, "with --set: characters of a value, 22 to 1024")
	cmd.Flags().BoolVar(&stop, "stop", false, "rotate it no more")
	return cmd
}
