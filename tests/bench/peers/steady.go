package main

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// steadyConnections are open in a constant-rate turn; when all wait for answers, further requests wait too, and that counts as their latency.
const steadyConnections = 64

// steadyResult are latencies from the time at which a request was due, not from when it was sent: a server that stands still is not spared the
// requests that would have come meanwhile (no coordinated omission).
type steadyResult struct{ p50, p99, most time.Duration }

// job is a request that is due.
type job struct {
	text []byte
	due  time.Time
}

// steady sends so many requests a second to host:port, evenly, for so many seconds.
func steady(to string, requests []string, perSecond, seconds int) (steadyResult, error) {
	total := perSecond * seconds
	jobs, took := make(chan job, total), make(chan time.Duration, total)
	failed := make(chan error, steadyConnections)
	for range steadyConnections {
		conn, err := net.Dial("tcp", to)
		if err != nil {
			return steadyResult{}, err
		}
		defer conn.Close()
		go func() {
			if err := answerJobs(conn, jobs, took); err != nil {
				failed <- err
			}
		}()
	}
	pace(jobs, requests, perSecond, total)
	var all []time.Duration
	late := time.After(10 * time.Second)
	for len(all) < total {
		select {
		case d := <-took:
			all = append(all, d)
		case err := <-failed:
			return steadyResult{}, err
		case <-late:
			return steadyResult{}, fmt.Errorf("%d of %d requests were not answered within 10 s of the end", total-len(all), total)
		}
	}
	slices.Sort(all)
	return steadyResult{all[total/2], all[total*99/100], all[total-1]}, nil
}

// pace hands out the jobs when they are due. It sleeps by the kernel, whose timers are finer than those of Go's idle scheduler.
func pace(jobs chan<- job, requests []string, perSecond, total int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(jobs)
	began, interval := time.Now(), time.Second/time.Duration(perSecond)
	for i := range total {
		due := began.Add(time.Duration(i) * interval)
		for rest := time.Until(due); rest > 0; rest = time.Until(due) {
			pause := syscall.NsecToTimespec(int64(rest))
			_ = syscall.Nanosleep(&pause, nil) // interrupted: the loop looks again
		}
		jobs <- job{[]byte(requests[i%len(requests)]), due}
	}
}

func answerJobs(conn net.Conn, jobs <-chan job, took chan<- time.Duration) error {
	buffer := make([]byte, 64<<10)
	for j := range jobs {
		if _, err := conn.Write(j.text); err != nil {
			return err
		}
		n, err := readMessage(conn, buffer)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(buffer[:n], []byte("HTTP/1.1 20")) {
			return fmt.Errorf("the answer was %.100s", buffer[:n])
		}
		took <- time.Since(j.due)
	}
	return nil
}
