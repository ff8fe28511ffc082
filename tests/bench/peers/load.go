package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed wrk.lua
var wrkScript []byte

// wrkResult is what wrk.lua prints. Times are in microseconds.
type wrkResult struct {
	Requests     int64   `json:"requests"`
	Microseconds float64 `json:"microseconds"`
	P50          float64 `json:"p50"`
	P99          float64 `json:"p99"`
	Errors       int64   `json:"errors"`
}

// wrk sends requests to host:port for so many seconds, as fast as they are answered. Anything but 2xx and 3xx is an error; that there is no
// 3xx is known by the count of the service behind.
func wrk(dir, to string, requests []string, seconds int) (wrkResult, error) {
	var file strings.Builder
	for _, text := range requests {
		fmt.Fprintf(&file, "%d\n%s", len(text), text)
	}
	script, data := filepath.Join(dir, "wrk.lua"), filepath.Join(dir, "requests")
	if err := os.WriteFile(script, wrkScript, 0o600); err != nil {
		return wrkResult{}, err
	}
	if err := os.WriteFile(data, []byte(file.String()), 0o600); err != nil {
		return wrkResult{}, err
	}
	out, err := exec.Command("wrk", "-t1", "-c"+strconv.Itoa(*sockets), "-d"+strconv.Itoa(seconds)+"s", "-s", script, "http://"+to+"/", "--", data).CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	_, line, found := strings.Cut(string(out), "RESULT ")
	var result wrkResult
	if !found || json.Unmarshal([]byte(line), &result) != nil {
		return result, fmt.Errorf("wrk printed no result:\n%s", out)
	}
	if result.Errors > 0 {
		return result, fmt.Errorf("%d answers were refusals or errors", result.Errors)
	}
	return result, nil
}
