//go:build edge

package edge

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// composition is the part of a resolved compose file that is checked here.
type composition struct {
	Services map[string]struct {
		Image       string
		Command     []string
		Environment map[string]string
		Ports       []struct {
			HostIP string `json:"host_ip"`
		}
		ReadOnly    bool     `json:"read_only"`
		CapDrop     []string `json:"cap_drop"`
		CapAdd      []string `json:"cap_add"`
		SecurityOpt []string `json:"security_opt"`
		Privileged  bool
		HealthCheck *struct{ Test []string }
		Networks    map[string]*struct{ Aliases []string }
		Volumes     []struct{ Source, Target, Type string }
	}
	Networks map[string]struct {
		Internal bool
		IPAM     struct{ Config []struct{ Subnet string } }
	}
}

func loadComposition(t *testing.T) composition {
	t.Helper()
	config := exec.Command(os.Getenv("COMPOSE"), "-f", filepath.Join(root(), "docker-compose.yml"), "config", "--format", "json")
	out, err := config.Output()
	if err != nil {
		t.Fatal(err)
	}
	var c composition
	if err := json.Unmarshal(out, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// aliases are the names that the predecessors of the services had.
var aliases = map[string]string{"gateway": "api_gateway", "kms": "key_management_service", "twofactor": "two_factor_service",
	"search": "typesense_client_service", "sequence": "service_a"}

// Every setting in the compose file is one that the service knows, and together they are enough.
func TestCompose_settingsAreThoseOfTheServices(t *testing.T) {
	for word := range aliases {
		t.Run(word, func(t *testing.T) {
			service := loadComposition(t).Services[word]
			if !slices.Equal(service.Command, []string{"serve", word}) {
				t.Errorf("command %v", service.Command)
			}
			validate := exec.Command(program, append(service.Command, "--validate")...)
			validate.Env = []string{"HOME=" + t.TempDir()}
			for name, value := range service.Environment {
				validate.Env = append(validate.Env, name+"="+value)
			}
			if out, err := validate.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			validate = exec.Command(program, append(service.Command, "--validate")...)
			validate.Env = []string{"HOME=" + t.TempDir(), "FOUNTAIN_" + strings.ToUpper(word) + "_NO_SUCH_SETTING=1"}
			if out, err := validate.CombinedOutput(); err == nil || !strings.Contains(string(out), "NO_SUCH_SETTING") {
				t.Errorf("--validate does not look at the environment: %v %s", err, out)
			}
		})
	}
}

func TestCompose_onlyCaddyIsReachableFromOutside(t *testing.T) {
	c := loadComposition(t)
	if len(c.Services) != len(aliases)+1 {
		t.Errorf("%d services", len(c.Services))
	}
	for name, service := range c.Services {
		if name != "caddy" && len(service.Ports) > 0 {
			t.Errorf("%s publishes a port", name)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes a port on %q without being told to", name, port.HostIP)
			}
		}
		_, onEdge := service.Networks["edge"]
		if onEdge != (name == "caddy" || name == "gateway") {
			t.Errorf("%s is on the network edge: %v", name, onEdge)
		}
		if _, onData := service.Networks["data"]; onData == (name == "caddy" || name == "gateway") {
			t.Errorf("%s is on the network data: %v", name, onData)
		}
	}
	if !c.Networks["backend"].Internal || !c.Networks["data"].Internal {
		t.Error("a network inside has a way out")
	}
}

func TestCompose_containersHaveNoMoreThanTheyNeed(t *testing.T) {
	for name, service := range loadComposition(t).Services {
		if !service.ReadOnly || service.Privileged || !slices.Equal(service.CapDrop, []string{"ALL"}) ||
			!slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: %+v", name, service)
		}
		for _, capability := range service.CapAdd {
			if name != "caddy" || capability != "NET_BIND_SERVICE" {
				t.Errorf("%s has the capability %s", name, capability)
			}
		}
		if strings.Contains(service.Image, "@") {
			t.Errorf("%s: an image by digest can not be loaded from a file", name)
		}
	}
}

// Who does not trust the one before it gives a request another id, and begins another trace.
func TestCompose_everyServiceTrustsWhoIsBeforeIt(t *testing.T) {
	c := loadComposition(t)
	for word := range aliases {
		network := "backend"
		if word == "gateway" {
			network = "edge"
		}
		config := c.Networks[network].IPAM.Config
		if trusted := c.Services[word].Environment["FOUNTAIN_"+strings.ToUpper(word)+"_TRUSTED_PROXIES"]; len(config) != 1 || trusted != config[0].Subnet {
			t.Errorf("%s trusts %q, not the network %s", word, trusted, network)
		}
	}
}

func TestCompose_everyServiceHasItsHealthCheckAndItsAlias(t *testing.T) {
	c := loadComposition(t)
	for word, alias := range aliases {
		service := c.Services[word]
		if service.HealthCheck == nil || !slices.Contains(service.HealthCheck.Test, "healthcheck") {
			t.Errorf("%s has no health check", word)
		}
		if backend := service.Networks["backend"]; backend == nil || !slices.Contains(backend.Aliases, alias) {
			t.Errorf("%s is not called %s", word, alias)
		}
	}
}

// Only the kms has the root key, and an enrolment volume is shared by the kms and its service alone.
func TestCompose_secretsHaveOneReader(t *testing.T) {
	readers := map[string][]string{}
	for name, service := range loadComposition(t).Services {
		for _, volume := range service.Volumes {
			if volume.Type == "volume" {
				readers[volume.Source] = append(readers[volume.Source], name)
			}
		}
		for variable, value := range service.Environment {
			for _, word := range []string{"PASSWORD", "SECRET", "TOKEN", "KEY"} {
				if strings.Contains(variable, word) && !strings.HasSuffix(variable, "_FILE") {
					t.Errorf("%s: %s is a secret that is not a file", name, variable)
				}
			}
			if strings.HasSuffix(variable, "_FILE") && !strings.HasPrefix(value, "/") {
				t.Errorf("%s: %s names no file", name, variable)
			}
		}
	}
	for volume, names := range readers {
		slices.Sort(names)
		want := []string{strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(volume, "_data"), "_config"), "_root_key")}
		if word, ok := strings.CutSuffix(volume, "_enrol"); ok {
			want = []string{"kms", word}
			slices.Sort(want)
		}
		if !slices.Equal(names, want) {
			t.Errorf("volume %s is read by %v, want %v", volume, names, want)
		}
	}
}
