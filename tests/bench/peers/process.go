package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running peer.
type process struct {
	*peer
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs a peer on its core and waits until it answers a request of each kind as the service does. Its output goes into a file, as the
// access log of a service does.
func (p *peer) start(dir string, tokens []string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, strings.ReplaceAll(p.name, " ", "-")+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("taskset", append([]string{"-c", *proxyCore}, p.command...)...) // taskset becomes the peer: one process
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1"), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	running := &process{peer: p, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(running.done)
	}()
	if err := running.awaitAnswers(tokens); err != nil {
		running.stop()
		text, _ := os.ReadFile(log.Name()) // what can't be read is not shown
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, text)
	}
	return running, nil
}

func (p *process) awaitAnswers(tokens []string) error {
	var err error
	for range 300 {
		select {
		case <-p.done:
			return fmt.Errorf("it has ended before it served")
		case <-time.After(100 * time.Millisecond):
		}
		if err = p.probe(tokens); err == nil {
			return nil
		}
	}
	return fmt.Errorf("it does not serve after 30 s: %w", err)
}

// probe sends one request of each kind and compares the answer's body with the service's.
func (p *process) probe(tokens []string) error {
	for _, k := range kinds {
		conn, err := net.DialTimeout("tcp", p.address, time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // a connection of TCP takes one
		if _, err := conn.Write([]byte(texts(k, p.address, tokens)[0])); err != nil {
			return err
		}
		buffer := make([]byte, 64<<10)
		n, err := readMessage(conn, buffer)
		if err != nil {
			return err
		}
		if text := string(buffer[:n]); !strings.HasPrefix(text, "HTTP/1.1 20") || !strings.Contains(text, element) {
			return fmt.Errorf("%s was answered by %.200s", k, text)
		}
	}
	return nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill() // as above
		<-p.done
	}
}

// clockTick is the unit of /proc/PID/stat on Linux, whatever the kernel's own.
const clockTick = 10 * time.Millisecond

// cpu is the user and system time that the process has used.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("/proc/%d/stat can't be read", p.cmd.Process.Pid)
	}
	return time.Duration(user+system) * clockTick, nil
}

// mallocs is how many objects the peer has allocated; 0 where it is no Go program.
func (p *process) mallocs() (float64, error) {
	if p.metrics == "" {
		return 0, nil
	}
	answer, err := http.Get(p.metrics)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "go_memstats_mallocs_total "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s tells no go_memstats_mallocs_total", p.metrics)
}

// freeAddress returns an address of this machine on which nothing listens now.
func freeAddress() string {
	for range 100 {
		// Below the ports that the kernel gives to clients and to listeners on port 0, so that nobody is given it before the peer listens.
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(20000))))
		if err == nil {
			_ = listener.Close()
			return listener.Addr().String()
		}
	}
	panic("no port is free") // without loopback there is nothing to measure
}
