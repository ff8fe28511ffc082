package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A user who tries FountainAI stops it with Ctrl-C, which every process at the terminal receives. Nothing looks like a
// fault then, and the databases are closed.
func TestMakeRun_endsQuietlyAtCtrlC(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	makefile, err := filepath.Abs(filepath.Join("..", "..", "Makefile"))
	require.NoError(t, err)
	compiler := filepath.Join(dir, "go") // in place of the compiler: the program is already built
	require.NoError(t, os.WriteFile(compiler, []byte("#!/bin/sh\nmkdir -p bin && ln -s '"+self+"' bin/fountain\n"), 0o700))
	cmd := exec.Command("make", "-f", makefile, "run", "GO="+compiler, "FLAGS=--data data --addr 127.0.0.1:0 --admin-addr 127.0.0.1:0 --log-level warn")
	cmd.Dir = dir
	cmd.Env = []string{asMain + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does for its commands
	stdout, stderr := newOutput(), newOutput()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }() // may have ended
	for deadline := time.After(time.Minute); !strings.Contains(stdout.String(), "ready http"); {
		select {
		case <-stdout.more:
		case <-ended:
			t.Fatalf("make ended: %s", stderr)
		case <-deadline:
			t.Fatalf("the family is not ready after a minute: %s", stderr)
		}
	}
	require.Contains(t, stderr.String(), "building bin/fountain")
	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("make did not end within a minute of SIGINT")
	}
	require.NotContains(t, stderr.String(), "***")
	require.NotContains(t, stderr.String(), "rror")
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "data"), func(path string, _ fs.DirEntry, err error) error {
		require.NotContains(t, path, "-wal", "a database was left open")
		return err
	}))
}
