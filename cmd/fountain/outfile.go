package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// writeOut makes a file of what write gives it, under a name of its own until it is whole. Nobody else can read it: a file that has this name already, with whatever rights, is not taken.
func writeOut(file string, write func(io.Writer) error) error {
	part := file + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there, of an export that runs or was killed: remove it when none runs", part)
	}
	if err != nil {
		return err
	}
	err = write(out)
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}
