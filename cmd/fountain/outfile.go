package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// writeOut writes a file with the output of write. It writes to a temporary file first, so that the named file is
// always complete. Only the user can read it: if the temporary file exists, with whatever permissions, it is not
// reused, and writeOut fails.
func writeOut(file string, write func(io.Writer) error) error {
	part := file + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists, from an export that is running or was killed: remove it when none is running", part)
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
