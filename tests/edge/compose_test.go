//go:build edge

package edge

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
		MemLimit    string `json:"mem_limit"`
		PidsLimit   int    `json:"pids_limit"`
		HealthCheck *struct {
			Test    []string
			Disable bool
		}
		Networks map[string]*struct{ Aliases []string }
		Volumes  []struct{ Source, Target, Type string }
	}
	Networks map[string]struct {
		Internal bool
		IPAM     struct{ Config []struct{ Subnet string } }
	}
}

// loadComposition resolves the compose file, with profiles and settings of an environment.
func loadComposition(t *testing.T, settings ...string) composition {
	t.Helper()
	config := exec.Command(os.Getenv("COMPOSE"), "-f", filepath.Join(root(), "docker-compose.yml"), "config", "--format", "json")
	config.Env = append(os.Environ(), settings...)
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
		if len(service.Ports) == 0 && name == "caddy" {
			t.Error("Caddy publishes no port")
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
			if strings.HasSuffix(variable, "_FILE") && value != "" && !strings.HasPrefix(value, "/") {
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

// everyProfile has the file resolved with all that it can start, as docs/operations.md says to set it.
var everyProfile = []string{
	"COMPOSE_PROFILES=observability,postgres,redis,typesense,scale", "FOUNTAIN_DATABASE_URL_FILE=/run/fountain/database_url",
	"FOUNTAIN_REDIS_URL=redis://redis", "FOUNTAIN_REDIS_PASSWORD_FILE=/run/fountain/redis_password",
	"FOUNTAIN_SEARCH_ENGINE_URL=http://typesense:8108", "FOUNTAIN_SEARCH_ENGINE_KEY_FILE=/run/fountain/typesense_key",
}

func TestCompose_everyContainerHasBoundsAndAHealthCheck(t *testing.T) {
	c := loadComposition(t, everyProfile...)
	if len(c.Services) != 2*len(aliases)+8 {
		t.Errorf("%d services", len(c.Services))
	}
	for name, service := range c.Services {
		if service.MemLimit == "" || service.PidsLimit <= 0 || !service.ReadOnly || service.Privileged ||
			!slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not bounded: %+v", name, service)
		}
		if once := name == "root-key" || name == "enrol-2"; service.HealthCheck == nil || service.HealthCheck.Disable != once || len(service.HealthCheck.Test) == 0 && !once {
			t.Errorf("%s has no health check", name)
		}
		published := name == "caddy" || name == "grafana"
		if (len(service.Ports) > 0) != published {
			t.Errorf("%s publishes %d ports", name, len(service.Ports))
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes a port on %q", name, port.HostIP)
			}
		}
	}
}

// With every profile the settings are still those of the services.
func TestCompose_settingsOfTheProfilesAreGood(t *testing.T) {
	c := loadComposition(t, everyProfile...)
	for word := range aliases {
		for _, name := range []string{word, word + "-2"} {
			validate := exec.Command(program, "serve", word, "--validate")
			validate.Env = []string{"HOME=" + t.TempDir()}
			for variable, value := range c.Services[name].Environment {
				validate.Env = append(validate.Env, variable+"="+value)
			}
			if out, err := validate.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
			if database := c.Services[name].Environment["FOUNTAIN_"+strings.ToUpper(word)+"_DATABASE_URL_FILE"]; word != "gateway" && database != "/run/fountain/database_url" {
				t.Errorf("%s: database %q", name, database)
			}
		}
	}
}

// With the settings of deploy/scale.env each service is asked at both its instances, which have files of their own and share what replicas share.
func TestCompose_secondInstancesAreAskedAndHaveFilesOfTheirOwn(t *testing.T) {
	c := loadComposition(t, "COMPOSE_ENV_FILES="+filepath.Join(root(), "deploy/scale.env"))
	for _, name := range []string{"postgres", "redis", "typesense", "enrol-2"} {
		if _, there := c.Services[name]; !there {
			t.Errorf("there is no %s", name)
		}
	}
	for word := range aliases {
		first, second := c.Services[word], c.Services[word+"-2"]
		prefix := "FOUNTAIN_" + strings.ToUpper(word) + "_"
		for variable, value := range first.Environment {
			differs := variable == prefix+"ADMIN_ADDR" || variable == prefix+"ENROL_TOKEN_FILE" || variable == prefix+"HOSTS"
			if second.Environment[variable] != value && !differs {
				t.Errorf("%s differs in %s", word, variable)
			}
			base, port, _ := strings.Cut(value, ",")
			host := strings.TrimSuffix(strings.TrimPrefix(variable, prefix), "_URL")
			if one := strings.ToLower(host); host != "JWKS" && aliases[one] != "" && (port == "" || strings.Replace(base, "//"+one+":", "//"+one+"-2:", 1) != port) {
				t.Errorf("%s asks for %s at %s", word, one, value)
			}
		}
		for _, volume := range second.Volumes {
			if volume.Source == word+"_data" {
				t.Errorf("%s-2 uses the files of %s", word, word)
			}
		}
		if !slices.ContainsFunc(second.Volumes, func(v struct{ Source, Target, Type string }) bool {
			return v.Source == word+"2_data" && v.Target == "/data"
		}) {
			t.Errorf("%s-2 keeps nothing", word)
		}
		for network := range first.Networks {
			if _, there := second.Networks[network]; !there {
				t.Errorf("%s-2 is not on %s", word, network)
			}
		}
	}
	if both := c.Services["caddy"].Environment["FOUNTAIN_GATEWAY"]; both != "gateway:8002 gateway-2:8002" {
		t.Errorf("Caddy asks %s", both)
	}
}

// Three Typesense nodes are one name for search, and each is in the list that all read.
func TestCompose_threeEnginesAreOneName(t *testing.T) {
	c := loadComposition(t, "COMPOSE_PROFILES=typesense-ha")
	nodes, err := os.ReadFile(filepath.Join(root(), "deploy/typesense/nodes"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range []string{"typesense-1", "typesense-2", "typesense-3"} {
		want = append(want, name+":8107:8108")
		service := c.Services[name]
		if data := service.Networks["data"]; data == nil || !slices.Contains(data.Aliases, "typesense") || len(service.Networks) != 1 {
			t.Errorf("%s is not behind the one name: %+v", name, service.Networks)
		}
		if !slices.Contains(service.Command, "--nodes=/etc/typesense/nodes") || service.MemLimit == "" || !service.ReadOnly || service.HealthCheck == nil {
			t.Errorf("%s: %+v", name, service)
		}
	}
	if got := strings.Split(strings.TrimSpace(string(nodes)), ","); !slices.Equal(got, want) {
		t.Errorf("nodes %v", got)
	}
}

// Metrics and pprof listen on the address of a network that only the services and those who watch them are on, and Prometheus knows each.
func TestCompose_adminPortsAreOnANetworkOfTheirOwn(t *testing.T) {
	c := loadComposition(t, everyProfile...)
	if !c.Networks["admin"].Internal {
		t.Error("the network admin has a way out")
	}
	scraped, err := os.ReadFile(filepath.Join(root(), "deploy/prometheus/prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range c.Services {
		_, onAdmin := service.Networks["admin"]
		if _, isService := aliases[strings.TrimSuffix(name, "-2")]; onAdmin != (isService || name == "prometheus" || name == "grafana") {
			t.Errorf("%s is on the network admin: %v", name, onAdmin)
		}
	}
	for word := range aliases {
		address := c.Services[word].Environment["FOUNTAIN_"+strings.ToUpper(word)+"_ADMIN_ADDR"]
		host, _, _ := strings.Cut(address, ":")
		for network, on := range c.Services[word].Networks {
			if on != nil && slices.Contains(on.Aliases, host) != (network == "admin") {
				t.Errorf("%s has its admin port %s on the network %s", word, address, network)
			}
		}
		if !strings.Contains(string(scraped), "["+address+"]") {
			t.Errorf("Prometheus does not scrape %s at %s", word, address)
		}
		host, port, _ := strings.Cut(c.Services[word+"-2"].Environment["FOUNTAIN_"+strings.ToUpper(word)+"_ADMIN_ADDR"], ":")
		if admin := c.Services[word+"-2"].Networks["admin"]; admin == nil || !slices.Contains(admin.Aliases, host) {
			t.Errorf("%s-2 has its admin port %s on another network", word, host)
		}
		if !strings.Contains(string(scraped), "{names: ["+host+"], type: A, port: "+port+", refresh_interval: 5m}") {
			t.Errorf("Prometheus does not look for a second %s at %s", word, host)
		}
	}
}

// make secrets makes what every profile reads, for its reader alone, and replaces nothing.
func TestSecrets_areMadeOnceForTheirReaders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	create := func() map[string]string {
		out, err := exec.Command(filepath.Join(root(), "tools/secrets.sh"), dir).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		made := map[string]string{}
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			made[strings.TrimPrefix(path, dir+"/")] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	made := create()
	for name, text := range create() {
		if made[name] != text {
			t.Errorf("%s was replaced", name)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others can enter the folder: %v %v", info.Mode(), err)
	}
	for name, service := range loadComposition(t, append(everyProfile, "FOUNTAIN_SECRETS="+dir)...).Services {
		if name = strings.TrimSuffix(name, "-2"); name == "enrol" { // it works on the database of the kms
			name = "kms"
		}
		for _, volume := range service.Volumes {
			if inside, ok := strings.CutPrefix(volume.Source, dir+"/"); ok && inside != name && !strings.HasPrefix(inside, name+"/") {
				t.Errorf("%s reads %s", name, volume.Source)
			}
		}
		for variable, value := range service.Environment {
			if file, ok := strings.CutPrefix(value, "/run/fountain/"); ok && made[name+"/"+file] == "" {
				t.Errorf("%s: %s names %s, which is not made", name, variable, value)
			}
		}
	}
	if made["gateway/redis_password"] != made["kms/redis_password"] || !strings.Contains(made["redis/redis.conf"], made["kms/redis_password"]) {
		t.Error("Redis has another password than its clients")
	}
}

// What backs up reads the data of all services and neither root key nor secret key, what makes drills reads archives and changes none; neither publishes a port or has a way out, and
// what each is started with is a call of the program.
func TestCompose_backupsAreOfContainersOfTheirOwn(t *testing.T) {
	for database, settings := range map[string][]string{
		"": {"COMPOSE_PROFILES=backup,backup-drill"}, "/run/fountain/WORD/database_url": append(everyProfile[1:], "COMPOSE_PROFILES=backup,backup-drill,postgres,typesense"),
	} {
		c := loadComposition(t, append(settings, "FOUNTAIN_SECRETS=/secrets")...)
		backup, drill := c.Services["backup"], c.Services["backup-drill"]
		for name, service := range map[string]int{"backup": len(backup.Networks), "backup-drill": len(drill.Networks)} {
			s := c.Services[name]
			if s.MemLimit == "" || s.PidsLimit <= 0 || !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 ||
				!slices.Contains(s.SecurityOpt, "no-new-privileges:true") || len(s.Ports) > 0 || service > 1 {
				t.Errorf("%s is not closed: %+v", name, s)
			}
		}
		if _, onData := backup.Networks["data"]; !onData || len(drill.Networks) > 0 {
			t.Errorf("networks %v and %v", backup.Networks, drill.Networks)
		}
		for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
			variable := "FOUNTAIN_" + strings.ToUpper(word) + "_DATA_DIR"
			if !slices.ContainsFunc(backup.Volumes, func(v struct{ Source, Target, Type string }) bool {
				return v.Source == word+"_data" && v.Target == backup.Environment[variable]
			}) {
				t.Errorf("the data of %s are not where %s says", word, variable)
			}
			if got := backup.Environment["FOUNTAIN_"+strings.ToUpper(word)+"_DATABASE_URL_FILE"]; got != strings.Replace(database, "WORD", word, 1) {
				t.Errorf("%s: database %q", word, got)
			}
		}
		reads := map[string]bool{}
		for _, v := range backup.Volumes {
			reads[v.Source] = true
		}
		if reads["kms_root_key"] || reads["/secrets/backup-drill"] || !reads["backups"] {
			t.Errorf("backup reads %v", reads)
		}
		startsAsItSays(t, backup.Command, backup.Environment)
		startsAsItSays(t, drill.Command, drill.Environment)
	}
}

// startsAsItSays runs a command of the compose file where its files are not, and finds no fault with the call itself.
func startsAsItSays(t *testing.T, command []string, environment map[string]string) {
	t.Helper()
	cmd := exec.Command(program, command...)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	for variable, value := range environment {
		cmd.Env = append(cmd.Env, variable+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "/run/fountain/") { // the file of keys
		t.Errorf("%v: %v: %s", command, err, out)
	}
}

// Where no registry answers there is a stand-in for every image that the compose file and the Dockerfile name, of that very name, but for Grafana.
func TestImagesOffline_namesEveryImage(t *testing.T) {
	want := map[string]bool{}
	for _, settings := range [][]string{everyProfile, {"COMPOSE_PROFILES=typesense-ha"}} {
		for _, service := range loadComposition(t, settings...).Services {
			if !strings.HasPrefix(service.Image, "fountainai/") && !strings.HasPrefix(service.Image, "grafana/") {
				want[service.Image] = true
			}
		}
	}
	dockerfile, err := os.ReadFile(filepath.Join(root(), "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range regexp.MustCompile(`(?m)^FROM (\S+:\S+)`).FindAllStringSubmatch(string(dockerfile), -1) {
		want[from[1]] = true
	}
	out, err := exec.Command(filepath.Join(root(), "tools/images-offline.sh"), "--names").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(out))
	if len(want) < 6 || len(got) != len(want) {
		t.Errorf("stand-ins %v for %v", got, want)
	}
	for _, name := range got {
		if !want[name] {
			t.Errorf("nobody wants %s", name)
		}
	}
}
