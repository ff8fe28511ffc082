package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newBootstrapToken() *cobra.Command {
	var data string
	var show bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "bootstrap-token",
		Example: "  fountain bootstrap-token --data ./data\n  docker compose exec kms /fountain bootstrap-token --show",
		Short:   "Create a new one-time token for the first administrator",
		Long: `bootstrap-token asks the kms on this machine for a new token, by removing the file of the old one, and prints
the path of the new file. It works while there is no administrator. --show prints the token itself, for
containers without a shell.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := filepath.Join(data, "kms")
			if own := os.Getenv("FOUNTAIN_KMS_DATA_DIR"); own != "" && !cmd.Flags().Changed("data") {
				dir = own
			}
			path := filepath.Join(dir, "bootstrap.token")
			token, err := reissue(cmd.Context(), path, wait)
			if err != nil {
				return err
			}
			if show {
				path = token
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", env("FOUNTAIN_DATA", "./data"), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_KMS_DATA_DIR is that of a separate kms")
	cmd.Flags().DurationVar(&wait, "wait", 20*time.Second, "how long to wait for the kms, which checks every few seconds")
	cmd.Flags().BoolVar(&show, "show", false, "print the token instead of the path of its file")
	return cmd
}

// reissue removes the token's file and waits until the running kms has written the next one.
func reissue(ctx context.Context, path string, wait time.Duration) (string, error) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("there is no kms in %s", filepath.Dir(path))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("remove the old token: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		token, err := os.ReadFile(path)
		if err == nil && len(token) > 0 {
			return strings.TrimSpace(string(token)), nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return "", errors.New("no token was written: either there is an administrator already, or the kms does not run (each of its starts writes a token)")
		}
	}
}
