package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/seal"
)

// newRootKeySplit makes the command that splits the root key into shares for safe keeping.
func newRootKeySplit() *cobra.Command {
	var shares, threshold int
	var out []string
	var file string
	cmd := &cobra.Command{
		Use:   "split",
		Short: "Split a copy of the root key into shares, for safekeeping (on the machine of the kms)",
		Long: `split writes shares of the root key (Shamir's scheme). Any --threshold of them can be combined into the key
again ("fountain root-key combine"); fewer reveal nothing about it. The kms does not need the shares: they are
for the case that its file is lost. The key itself is not printed.

Give --out once for each share, each time with another medium or directory, and give each share to another
person. With a single --out all shares are in one directory, where together they ARE the root key: separate
them immediately. A rotation creates a new root key: split it again, and keep the old shares for as long as
there are backups from before the rotation.`,
		Example: `  fountain root-key split --shares 5 --threshold 3 --out /media/a --out /media/b --out /media/c --out /media/d --out /media/e
  fountain root-key split --shares 3 --threshold 2 --out shares --file /run/keys/root.key`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(out) != 1 && len(out) != shares {
				return usagef("pass --out once, or once for each of the %d shares", shares)
			}
			return splitRootKey(cmd, file, shares, threshold, out)
		},
	}
	cmd.Flags().IntVar(&shares, "shares", 5, "number of shares")
	cmd.Flags().IntVar(&threshold, "threshold", 3, "number of shares that are needed to combine the key again")
	cmd.Flags().StringArrayVar(&out, "out", nil, "directory for a share; repeat it once for each share")
	cmd.Flags().StringVar(&file, "file", rootKeyFile(), "file with the root key (FOUNTAIN_KMS_ROOT_KEY_FILE, or kms/root.key in FOUNTAIN_DATA)")
	return cmd
}

// rootKeyFile returns the default path of the root key.
func rootKeyFile() string {
	return env("FOUNTAIN_KMS_ROOT_KEY_FILE", filepath.Join(env("FOUNTAIN_KMS_DATA_DIR", filepath.Join(env("FOUNTAIN_DATA", "./data"), "kms")), "root.key"))
}

func splitRootKey(cmd *cobra.Command, file string, shares, threshold int, out []string) error {
	texts, id, err := seal.SplitRoot(file, shares, threshold)
	if err != nil {
		return err
	}
	var written []string
	for i, text := range texts {
		dir := out[min(i, len(out)-1)]
		path := filepath.Join(dir, fmt.Sprintf("%s-share-%d-of-%d.txt", id, i+1, shares))
		if err := writeShare(dir, path, text); err != nil {
			for _, path := range written { // an incomplete set is useless and looks like a complete one
				err = errors.Join(err, os.Remove(path))
			}
			return err
		}
		written = append(written, path)
	}
	for _, path := range written {
		fmt.Fprintln(cmd.OutOrStdout(), path)
	}
	for _, dir := range enoughIn(written, threshold) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s holds %d or more shares of %s now, which together are the root key: give each to another person, and leave none here\n", dir, threshold, id)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is split: any %d of these %d shares give it again\n", id, threshold, shares)
	return err
}

// enoughIn returns the directories that contain enough shares to restore the key.
func enoughIn(shares []string, threshold int) (dirs []string) {
	count := map[string]int{}
	for _, path := range shares {
		dir := filepath.Dir(path)
		if count[dir]++; count[dir] == threshold {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func writeShare(dir, path, text string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write share: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write share: %w", err)
	}
	_, err = io.WriteString(file, text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write share: %w", err), os.Remove(path))
	}
	return nil
}

// maxShareFile limits a share's file, in bytes.
const maxShareFile = 4096

// newRootKeyCombine makes the command that restores the root key from its shares.
func newRootKeyCombine() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "combine FILE...",
		Short: "Combine shares into the root key",
		Long: `combine reads shares that "fountain root-key split" has written, at least as many as are needed, and writes
the root key to a new file (mode 0600). That is the file where the kms expects the key, or root.key.previous
next to it. It writes nothing unless the key is the one that was split. A share that is damaged, given twice,
or from another set is reported.`,
		Example: `  fountain root-key combine share-1-of-5.txt share-3-of-5.txt share-4-of-5.txt --out kms/root.key
  fountain root-key combine /media/*/root_*-share-*.txt --out /run/keys/root.key`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || out == "" {
				return usagef("name the files of the shares, and with --out the file of the root key")
			}
			if len(args) > seal.MaxShares {
				return usagef("a root key has at most %d shares", seal.MaxShares)
			}
			var shares []seal.NamedShare
			for _, path := range args {
				text, err := readShare(path)
				if err != nil {
					return err
				}
				shares = append(shares, seal.NamedShare{Name: path, Text: text})
			}
			id, err := seal.CombineRoot(shares, out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s written to %s\n", id, out)
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the root key to this file, which must not exist")
	return cmd
}

func readShare(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxShareFile))
	if err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	return text, nil
}
