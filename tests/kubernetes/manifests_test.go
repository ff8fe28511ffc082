// Package kubernetes checks the manifests of deploy/kubernetes without a cluster: they are put together as kubectl does it (kustomize), each object is decoded by
// the types of Kubernetes, which know no field that is not theirs, and the services take their settings. It is a module of its own for the sake of those types.
package kubernetes

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const manifests = "../../deploy/kubernetes"

// deployed is what an overlay gives.
type deployed struct {
	pod      corev1.PodTemplateSpec
	set      *appsv1.StatefulSet
	service  *corev1.Service
	settings *corev1.ConfigMap
	policies map[string]networkingv1.NetworkPolicySpec
	claims   map[string]corev1.PersistentVolumeClaimSpec
	drill    *batchv1.CronJob
	names    []string // of everything
}

// decoder knows the types of Kubernetes that are used here, and no field that is not theirs.
func decoder(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

func decode(t *testing.T, dir string) *deployed {
	t.Helper()
	return decodeAt(t, filepath.Join(manifests, dir))
}

func decodeAt(t *testing.T, dir string) *deployed {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	strict := decoder(t)
	d := &deployed{policies: map[string]networkingv1.NetworkPolicySpec{}, claims: map[string]corev1.PersistentVolumeClaimSpec{}}
	for _, resource := range made.Resources() {
		text, err := resource.AsYAML()
		require.NoError(t, err)
		object, _, err := strict.Decode(text, nil, nil)
		require.NoError(t, err, "%s", text)
		require.Empty(t, validation.IsDNS1123Label(resource.GetName()), resource.GetName())
		if resource.GetKind() != "Namespace" {
			require.Equal(t, "fountain", resource.GetNamespace(), resource.GetName())
		}
		d.names = append(d.names, resource.GetKind()+"/"+resource.GetName())
		switch object := object.(type) {
		case *appsv1.StatefulSet:
			d.set, d.pod = object, object.Spec.Template
		case *corev1.Service:
			d.service = object
		case *corev1.ConfigMap:
			d.settings = object
		case *networkingv1.NetworkPolicy:
			d.policies[object.Name] = object.Spec
		case *corev1.PersistentVolumeClaim:
			d.claims[object.Name] = object.Spec
		case *batchv1.CronJob:
			d.drill = object
		case *corev1.Namespace:
			require.Equal(t, "restricted", object.Labels["pod-security.kubernetes.io/enforce"])
		default:
			require.Fail(t, "no manifest is a "+resource.GetKind()) // no Secret either: they are named, and never written here
		}
	}
	return d
}

// everyOverlay runs a test for each.
func everyOverlay(t *testing.T, test func(t *testing.T, d *deployed)) {
	for _, dir := range []string{"base", "postgres"} {
		t.Run(dir, func(t *testing.T) { test(t, decode(t, dir)) })
	}
}

// A field that Kubernetes does not have is found, and so is one of another type: what the tests below believe.
func TestManifests_unknownFieldsAreFound(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(manifests)))
	file := filepath.Join(dir, "base", "statefulset.yaml")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	strict := decoder(t)
	_, _, err = strict.Decode(good, nil, nil)
	require.NoError(t, err)
	for was, is := range map[string]string{
		"readOnlyRootFilesystem: true": "readOnlyRootFileSystem: true", "runAsNonRoot: true": "runAsNonRoot: yes, it does", "replicas: 1": "replicas: 1\n  replicas: 2", "livenessProbe: {": "aliveProbe: {",
	} {
		bad := strings.Replace(string(good), was, is, 1)
		require.NotEqual(t, string(good), bad, was)
		_, _, err = strict.Decode([]byte(bad), nil, nil)
		require.Error(t, err, is)
	}
}

// Every container is closed as those of the compose file are: no root, no way to more rights, nothing to write to but its volumes, bounds, and probes.
func TestManifests_everyContainerIsClosed(t *testing.T) {
	everyOverlay(t, func(t *testing.T, d *deployed) {
		require.EqualValues(t, 1, *d.set.Spec.Replicas, "SQLite, and the embedded engine, allow one process")
		pod := d.pod.Spec
		require.False(t, *pod.AutomountServiceAccountToken)
		require.False(t, *pod.EnableServiceLinks, "its variables would be taken for settings")
		require.False(t, pod.HostNetwork || pod.HostPID || pod.HostIPC)
		require.True(t, *pod.SecurityContext.RunAsNonRoot)
		require.EqualValues(t, 65532, *pod.SecurityContext.RunAsUser)
		require.EqualValues(t, *pod.SecurityContext.FSGroup, *pod.SecurityContext.RunAsGroup, "a data directory may be its own group's")
		require.Equal(t, corev1.FSGroupChangeOnRootMismatch, *pod.SecurityContext.FSGroupChangePolicy)
		require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
		require.GreaterOrEqual(t, *pod.TerminationGracePeriodSeconds, int64(45))
		require.Len(t, pod.Containers, 6)
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			s := c.SecurityContext
			require.False(t, *s.AllowPrivilegeEscalation, c.Name)
			require.True(t, *s.ReadOnlyRootFilesystem, c.Name)
			require.Equal(t, []corev1.Capability{"ALL"}, s.Capabilities.Drop, c.Name)
			require.True(t, len(s.Capabilities.Add) == 0 || c.Name == "caddy" && slices.Equal(s.Capabilities.Add, []corev1.Capability{"NET_BIND_SERVICE"}), c.Name)
			require.True(t, s.Privileged == nil && s.RunAsUser == nil && s.RunAsNonRoot == nil, "%s has the pod's user", c.Name)
			require.False(t, c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero(), c.Name)
			if !slices.ContainsFunc(pod.InitContainers, func(i corev1.Container) bool { return i.Name == c.Name }) {
				require.NotNil(t, c.StartupProbe, c.Name)
				require.NotNil(t, c.ReadinessProbe, c.Name)
				require.NotNil(t, c.LivenessProbe, c.Name)
				for _, ends := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe} { // a container whose database is away waits for it
					asksIfAlive := ends.Exec == nil && ends.TCPSocket != nil || ends.Exec != nil && slices.Contains(ends.Exec.Command, "--alive")
					require.True(t, asksIfAlive, "%s is not ended because it is not ready", c.Name)
				}
				require.True(t, c.ReadinessProbe.Exec != nil && !slices.Contains(c.ReadinessProbe.Exec.Command, "--alive"), "%s gets requests when it is ready", c.Name)
			}
			for _, p := range c.Ports {
				require.Zero(t, p.HostPort, c.Name)
			}
		}
		for _, v := range pod.Volumes {
			require.Nil(t, v.HostPath, v.Name)
		}
	})
}

// Every mount has its volume, and every volume a mount; a service's data are its own.
func TestManifests_volumesBelongTogether(t *testing.T) {
	everyOverlay(t, func(t *testing.T, d *deployed) {
		readers := map[string][]string{}
		for _, v := range d.pod.Spec.Volumes {
			readers[v.Name] = nil
		}
		for _, claim := range d.set.Spec.VolumeClaimTemplates {
			require.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}, claim.Spec.AccessModes, claim.Name)
			require.NotContains(t, readers, claim.Name)
			readers[claim.Name] = nil
		}
		for _, c := range slices.Concat(d.pod.Spec.InitContainers, d.pod.Spec.Containers) {
			for _, m := range c.VolumeMounts {
				require.Contains(t, readers, m.Name, c.Name)
				readers[m.Name] = append(readers[m.Name], c.Name)
			}
		}
		for name, who := range readers {
			require.NotEmpty(t, who, name)
			word, kind, _ := strings.Cut(name, "-")
			switch kind {
			case "data", "database":
				require.Equal(t, []string{word}, who, name)
			case "enrol":
				require.ElementsMatch(t, []string{"kms", word}, who, name)
			}
		}
		require.Subset(t, []string{"kms", "root-key"}, readers["root-key"], "nobody else has the root key")
	})
}

// Only Caddy's port can be reached, by anybody, and metrics, by the namespace that watches; nothing goes out, but to the database where there is one.
func TestManifests_networkIsClosedByDefault(t *testing.T) {
	everyOverlay(t, func(t *testing.T, d *deployed) {
		both := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
		nothing := d.policies["nothing"]
		require.Equal(t, both, nothing.PolicyTypes)
		require.Empty(t, nothing.PodSelector.MatchLabels, "of every pod")
		require.True(t, len(nothing.PodSelector.MatchExpressions) == 0 && len(nothing.Ingress) == 0 && len(nothing.Egress) == 0)
		var open, out []int
		for name, p := range d.policies {
			if name != "nothing" {
				require.Equal(t, d.pod.Labels, p.PodSelector.MatchLabels, name)
			}
			for _, in := range p.Ingress {
				require.NotEmpty(t, in.Ports, name)
				for _, port := range in.Ports {
					if len(in.From) == 0 {
						open = append(open, port.Port.IntValue())
					}
				}
			}
			for _, to := range p.Egress {
				require.True(t, len(to.To) > 0 && len(to.Ports) > 0, name)
				for _, port := range to.Ports {
					out = append(out, port.Port.IntValue())
				}
			}
		}
		require.Equal(t, []int{8443}, open)
		if slices.Contains(slices.Collect(maps.Keys(d.policies)), "to-postgres") {
			require.Equal(t, []int{53, 53, 5432}, out)
		} else {
			require.Empty(t, out)
		}
		require.Equal(t, d.pod.Labels, d.service.Spec.Selector)
		require.Len(t, d.service.Spec.Ports, 1)
		require.Equal(t, "https", d.service.Spec.Ports[0].TargetPort.StrVal)
		for _, c := range d.pod.Spec.Containers {
			for _, p := range c.Ports {
				require.Equal(t, c.Name == "caddy" && p.ContainerPort == 8443, p.Name == "https")
			}
			for _, e := range c.Env {
				if strings.HasSuffix(e.Name, "_ADDR") && !strings.HasSuffix(e.Name, "_ADMIN_ADDR") {
					require.True(t, strings.HasPrefix(e.Value, "127.0.0.1:"), "%s listens for others: %s", c.Name, e.Value)
				}
			}
		}
	})
}

// The policies that the documentation shows are policies, for the pod, and name where they let out and by which port.
func TestManifests_policiesOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "### Kubernetes\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n### ")
	shown := strings.Split(section, "```yaml\n")[1:]
	require.NotEmpty(t, shown)
	labels := decode(t, "base").pod.Labels
	for _, one := range shown {
		one, _, _ = strings.Cut(one, "```")
		object, _, err := decoder(t).Decode([]byte(one), nil, nil)
		require.NoError(t, err, one)
		policy, ok := object.(*networkingv1.NetworkPolicy)
		require.True(t, ok, one)
		require.Equal(t, "fountain", policy.Namespace)
		require.Equal(t, labels, policy.Spec.PodSelector.MatchLabels)
		require.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, policy.Spec.PolicyTypes)
		for _, to := range policy.Spec.Egress {
			require.True(t, len(to.To) > 0 && len(to.Ports) > 0, one)
		}
	}
}

// environment is what a container of a service is started with.
func (d *deployed) environment(t *testing.T, c corev1.Container) (all []string) {
	t.Helper()
	for _, e := range c.Env {
		value := e.Value
		if e.ValueFrom != nil {
			require.NotNil(t, e.ValueFrom.ConfigMapKeyRef, "%s: secrets are files", e.Name)
			require.Equal(t, d.settings.Name, e.ValueFrom.ConfigMapKeyRef.Name)
			value = d.settings.Data[e.ValueFrom.ConfigMapKeyRef.Key]
			require.NotEmpty(t, value, e.Name)
		}
		all = append(all, e.Name+"="+value)
	}
	return all
}

// Each service takes the settings that its container gives it, and each command is one.
func TestManifests_settingsAreGood(t *testing.T) {
	program := filepath.Join(t.TempDir(), "fountain")
	build := exec.Command("go", "build", "-o", program, "./cmd/fountain")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	everyOverlay(t, func(t *testing.T, d *deployed) {
		services := 0
		for _, c := range d.pod.Spec.Containers {
			if c.Name == "caddy" {
				continue
			}
			services++
			require.Equal(t, []string{"serve", c.Name}, c.Args)
			validate := exec.Command(program, append(c.Args, "--validate")...)
			validate.Env = d.environment(t, c)
			out, err := validate.CombinedOutput()
			require.NoError(t, err, "%s: %s", c.Name, out)
			for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				require.Equal(t, "/fountain", p.Exec.Command[0])
				ask := exec.Command(program, p.Exec.Command[1:]...)
				ask.Env = validate.Env
				out, err := ask.CombinedOutput() // nobody listens here
				require.Error(t, err)
				require.Contains(t, string(out), c.Name+" does not answer", p.Exec.Command)
			}
		}
		require.Equal(t, 5, services)
		for _, c := range d.pod.Spec.InitContainers {
			dir := t.TempDir()
			args := slices.Clone(c.Args)
			args[len(args)-1] = filepath.Join(dir, "root.key")
			out, err := exec.Command(program, args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.FileExists(t, filepath.Join(dir, "root.key"))
		}
	})
}

// Who starts Caddy with the settings of its container and the repository's Caddyfile gets a configuration.
func TestManifests_caddyTakesItsSettings(t *testing.T) {
	caddy := os.Getenv("CADDY")
	if caddy == "" {
		t.Skip("CADDY names no program: make kubernetes")
	}
	everyOverlay(t, func(t *testing.T, d *deployed) {
		c := d.pod.Spec.Containers[slices.IndexFunc(d.pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "caddy" })]
		adapt := exec.Command(caddy, "adapt", "--config", "../../Caddyfile", "--adapter", "caddyfile")
		adapt.Env = []string{"HOME=" + t.TempDir()}
		site := d.settings.Data["site"]
		for _, e := range d.environment(t, c) {
			adapt.Env = append(adapt.Env, strings.ReplaceAll(e, "$(SITE)", site))
		}
		out, err := adapt.Output()
		require.NoError(t, err)
		require.Contains(t, string(out), `"listen":[":8443"]`)
		require.Contains(t, string(out), `"protocols":["h1","h2"]`, "HTTP/3 is not told: the service has no UDP")
		require.NotContains(t, string(out), `"h3"`)
		require.Contains(t, string(out), `"dial":"127.0.0.1:8002"`)
		require.Contains(t, string(out), `"key":"/tls/tls.key"`)
		require.Contains(t, string(out), `"`+site+`"`)
	})
}
