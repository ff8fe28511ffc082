package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

// keyringInput is the input of a keyring operation.
type keyringInput struct {
	file    string
	context string
}

func (in *keyringInput) flags(cmd *cobra.Command, what string, bound bool) {
	cmd.Flags().StringVar(&in.file, "file", "-", "read "+what+" from this file, or from standard input with -")
	if bound {
		cmd.Flags().StringVar(&in.context, "context", "", "context that the ciphertext is bound to; decryption needs the same context")
	}
}

// maxKeyringInput is larger than what the kms accepts, so that the kms reports the error.
const maxKeyringInput = 1 << 20

func (in *keyringInput) raw(cmd *cobra.Command) ([]byte, error) {
	from := cmd.InOrStdin()
	if in.file != "-" {
		opened, err := os.Open(in.file)
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		defer opened.Close()
		from = opened
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxKeyringInput))
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	return raw, nil
}

func (in *keyringInput) decoded(cmd *cobra.Command) ([]byte, error) {
	raw, err := in.raw(cmd)
	if err != nil {
		return nil, err
	}
	return fromBase64("the input", string(bytes.TrimSpace(raw)))
}

func fromBase64(what, text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, usagef("%s is not base64", what)
	}
	return raw, nil
}

func (in *keyringInput) bound() *[]byte {
	if in.context == "" {
		return nil
	}
	return new([]byte(in.context))
}

// useKeyring makes a command that uses a keyring.
func (o *operator) useKeyring(verb, short, example string, do func(cmd *cobra.Command, c *fountain.Client, name string) error) *cobra.Command {
	return o.command(verb+" NAME", short, example, oneArg("a keyring"), func(cmd *cobra.Command, c *fountain.Client, args []string) error { return do(cmd, c, args[0]) })
}

// bytesOut prints bytes in base64, or the whole response as JSON.
func (o *operator) bytesOut(cmd *cobra.Command, answer any, number int64, raw []byte) error {
	return o.secret(cmd, answer, "by key "+strconv.FormatInt(number, 10)+":", base64.StdEncoding.EncodeToString(raw))
}

func (o *operator) encryptData() *cobra.Command {
	in := &keyringInput{}
	cmd := o.useKeyring("encrypt", "Encrypt data, and print the ciphertext in base64", "",
		func(cmd *cobra.Command, c *fountain.Client, name string) error {
			plain, err := in.raw(cmd)
			if err != nil {
				return err
			}
			sealed, err := c.KMS.EncryptData(cmd.Context(), name, kms.KeyringPlaintext{Plaintext: plain, Context: in.bound()})
			if err != nil {
				return err
			}
			return o.bytesOut(cmd, sealed, sealed.KeyVersion, sealed.Ciphertext)
		})
	cmd.Long = "encrypt takes up to 32 KiB. For more, encrypt with a data key (fountain keyrings data-key) in your own program."
	cmd.Example = "  fountain keyrings encrypt invoices --file invoice.txt --context invoice-7\n  printf 4711 | fountain keyrings encrypt invoices"
	in.flags(cmd, "the data", true)
	return cmd
}

func (o *operator) decryptData() *cobra.Command {
	in := &keyringInput{}
	cmd := o.useKeyring("decrypt", "Decrypt a base64 ciphertext, and print the data unchanged", "  fountain keyrings decrypt invoices --file invoice.sealed --context invoice-7\n  fountain keyrings decrypt invoices < sealed",
		func(cmd *cobra.Command, c *fountain.Client, name string) error {
			sealed, err := in.decoded(cmd)
			if err != nil {
				return err
			}
			opened, err := c.KMS.DecryptData(cmd.Context(), name, kms.KeyringCiphertextInContext{Ciphertext: sealed, Context: in.bound()})
			if err != nil {
				return err
			}
			if o.output == "json" {
				return o.print(cmd, opened, nil, nil)
			}
			_, err = cmd.OutOrStdout().Write(opened.Plaintext)
			return err
		})
	in.flags(cmd, "the ciphertext", true)
	return cmd
}

func (o *operator) rewrapData() *cobra.Command {
	in := &keyringInput{}
	cmd := o.useKeyring("rewrap", "Re-encrypt a ciphertext with the current key", "  fountain keyrings rewrap invoices --file invoice.sealed --context invoice-7\n  fountain keyrings rewrap invoices < sealed",
		func(cmd *cobra.Command, c *fountain.Client, name string) error {
			sealed, err := in.decoded(cmd)
			if err != nil {
				return err
			}
			again, err := c.KMS.RewrapData(cmd.Context(), name, kms.KeyringCiphertextInContext{Ciphertext: sealed, Context: in.bound()})
			if err != nil {
				return err
			}
			return o.bytesOut(cmd, again, again.KeyVersion, again.Ciphertext)
		})
	in.flags(cmd, "the ciphertext", true)
	return cmd
}

func (o *operator) dataKey() *cobra.Command {
	return o.useKeyring("data-key", "Create a data key, and print it with its wrapped form", "  fountain keyrings data-key invoices\n  fountain keyrings data-key invoices --output json",
		func(cmd *cobra.Command, c *fountain.Client, name string) error {
			key, err := c.KMS.CreateDataKey(cmd.Context(), name)
			if err != nil {
				return err
			}
			return o.print(cmd, key, []string{"PLAINTEXT", "WRAPPED"}, [][]string{{base64.StdEncoding.EncodeToString(key.Plaintext), base64.StdEncoding.EncodeToString(key.Wrapped)}})
		})
}

func (o *operator) unwrapDataKey() *cobra.Command {
	in := &keyringInput{}
	cmd := o.useKeyring("unwrap", "Unwrap a data key, and print it in base64", "  fountain keyrings unwrap invoices --file key.wrapped\n  fountain keyrings unwrap invoices < key.wrapped",
		func(cmd *cobra.Command, c *fountain.Client, name string) error {
			wrapped, err := in.decoded(cmd)
			if err != nil {
				return err
			}
			key, err := c.KMS.UnwrapDataKey(cmd.Context(), name, kms.WrappedDataKey{Wrapped: wrapped})
			if err != nil {
				return err
			}
			return o.secret(cmd, key, "the data key:", base64.StdEncoding.EncodeToString(key.Plaintext))
		})
	in.flags(cmd, "the wrapped key", false)
	return cmd
}

func (o *operator) computeMac() *cobra.Command {
	in := &keyringInput{}
	cmd := o.useKeyring("mac", "Compute the HMAC of data, and print it in base64", "  fountain keyrings mac sums --file invoice.txt\n  fountain keyrings mac sums --output json < invoice.txt",
		func(cmd *cobra.Command, c *fountain.Client, name string) error {
			data, err := in.raw(cmd)
			if err != nil {
				return err
			}
			made, err := c.KMS.ComputeMac(cmd.Context(), name, kms.KeyringData{Data: data})
			if err != nil {
				return err
			}
			return o.bytesOut(cmd, made, made.KeyVersion, made.Mac)
		})
	in.flags(cmd, "the data", false)
	return cmd
}

func (o *operator) signData() *cobra.Command {
	in := &keyringInput{}
	cmd := o.useKeyring("sign", "Sign data, and print the signature in base64", "  fountain keyrings sign releases --file SHA256SUMS\n  fountain keyrings sign releases --output json < SHA256SUMS",
		func(cmd *cobra.Command, c *fountain.Client, name string) error {
			data, err := in.raw(cmd)
			if err != nil {
				return err
			}
			made, err := c.KMS.SignData(cmd.Context(), name, kms.KeyringData{Data: data})
			if err != nil {
				return err
			}
			return o.bytesOut(cmd, made, made.KeyVersion, made.Signature)
		})
	in.flags(cmd, "the data", false)
	return cmd
}

func (o *operator) verifyMac() *cobra.Command {
	return o.check("verify-mac", "mac", "Verify an HMAC; the exit status is 1 if it is not valid", func(cmd *cobra.Command, c *fountain.Client, name string, data, given []byte, number int64) (*kms.KeyringVerdict, error) {
		return c.KMS.VerifyMac(cmd.Context(), name, kms.KeyringMacCheck{Data: data, Mac: given, KeyVersion: number})
	})
}

func (o *operator) verifySignature() *cobra.Command {
	return o.check("verify", "signature", "Verify a signature; the exit status is 1 if it is not valid", func(cmd *cobra.Command, c *fountain.Client, name string, data, given []byte, number int64) (*kms.KeyringVerdict, error) {
		return c.KMS.VerifySignature(cmd.Context(), name, kms.KeyringSignatureCheck{Data: data, Signature: given, KeyVersion: number})
	})
}

func (o *operator) check(verb, flag, short string, do func(cmd *cobra.Command, c *fountain.Client, name string, data, given []byte, number int64) (*kms.KeyringVerdict, error)) *cobra.Command {
	in, given, number := &keyringInput{}, "", int64(0)
	example := fmt.Sprintf("  fountain keyrings %s releases --file SHA256SUMS --%s BASE64 --key-version 1\n  fountain keyrings %s releases --%s BASE64 --key-version 2 < SHA256SUMS", verb, flag, verb, flag)
	cmd := o.useKeyring(verb, short, example, func(cmd *cobra.Command, c *fountain.Client, name string) error {
		if number < 1 { // a guessed key would make a correct signature look wrong
			return usagef("--key-version is required: it was printed with the %s", flag)
		}
		data, err := in.raw(cmd)
		if err != nil {
			return err
		}
		raw, err := fromBase64("--"+flag, given)
		if err != nil {
			return err
		}
		verdict, err := do(cmd, c, name, data, raw, number)
		if err != nil {
			return err
		}
		if err := o.print(cmd, verdict, []string{"VALID"}, [][]string{{strconv.FormatBool(verdict.Valid)}}); err != nil {
			return err
		}
		if !verdict.Valid {
			return errors.New("it is not valid")
		}
		return nil
	})
	in.flags(cmd, "the data", false)
	cmd.Long = fmt.Sprintf(`%s needs --key-version: the %s is exactly what the algorithm produces, as other programs and libraries use it,
so it does not name its key. The version of the key was part of the response that returned it (keyVersion):
store both together. A %s of another key is not valid.`, verb, flag, flag)
	cmd.Flags().StringVar(&given, flag, "", "the "+flag+", in base64")
	cmd.Flags().Int64Var(&number, "key-version", 0, "version of the key, as printed by sign and mac")
	return cmd
}
