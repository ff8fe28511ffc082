package kubernetes

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// backedUp are the overlays that somebody writes to have backups: what they are put on, and the component.
var backedUp = map[string]string{"base": "backup", "postgres": "backup-postgres"}

// overlay puts a component onto manifests, as docs/operations.md says.
func overlay(t *testing.T, resources, component string) *deployed {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(manifests)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "mine"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine", "kustomization.yaml"),
		[]byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: fountain\nresources: [../"+resources+"]\ncomponents: [../"+component+"]\n"), 0o600))
	return decodeAt(t, filepath.Join(dir, "mine"))
}

func closed(t *testing.T, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	require.False(t, *s.AllowPrivilegeEscalation)
	require.True(t, *s.ReadOnlyRootFilesystem)
	require.Equal(t, []corev1.Capability{"ALL"}, s.Capabilities.Drop)
	require.Empty(t, s.Capabilities.Add)
	require.True(t, s.Privileged == nil && s.RunAsUser == nil && s.RunAsNonRoot == nil)
	require.False(t, c.Resources.Limits.Memory().IsZero())
	require.Empty(t, c.Ports)
}

// mounts are the volumes of a container by their paths.
func mounts(c corev1.Container) map[string]string {
	out := map[string]string{}
	for _, m := range c.VolumeMounts {
		out[m.MountPath] = m.Name
	}
	return out
}

// The container of backups has the data of all services and neither the root key nor the key of the archives; the services are as they were; what it is started with is a call, which
// goes on.
func TestBackup_isAContainerOfThePod(t *testing.T) {
	program := filepath.Join(t.TempDir(), "fountain")
	build := exec.Command("go", "build", "-o", program, "./cmd/fountain")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for resources, component := range backedUp {
		t.Run(component, func(t *testing.T) {
			without, d := decode(t, resources), overlay(t, resources, component)
			at := slices.IndexFunc(d.pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "backup" })
			require.GreaterOrEqual(t, at, 0)
			c := d.pod.Spec.Containers[at]
			require.Equal(t, len(without.pod.Spec.Containers)+1, len(d.pod.Spec.Containers))
			for _, other := range without.pod.Spec.Containers {
				require.Contains(t, d.pod.Spec.Containers, other)
			}
			closed(t, c)
			has := mounts(c)
			for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
				require.Equal(t, word+"-data", has["/data/"+word])
			}
			for _, volume := range has {
				require.False(t, strings.Contains(volume, "root-key") || strings.Contains(volume, "identity") || strings.Contains(volume, "enrol"), volume)
			}
			require.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, d.claims["fountain-backups"].AccessModes)
			require.Equal(t, without.policies, d.policies, "nothing more is open")
			goesOn(t, program, c, resources == "postgres")
		})
	}
}

// goesOn starts a backup as the container does, on directories of this machine, and sees it wait for databases that are not there.
func goesOn(t *testing.T, program string, c corev1.Container, postgres bool) {
	t.Helper()
	root := t.TempDir()
	at := func(text string) string {
		if !strings.HasPrefix(text, "/") {
			return text
		}
		return filepath.Join(root, text)
	}
	require.NoError(t, os.MkdirAll(at("/backups"), 0o700))
	require.NoError(t, os.MkdirAll(at("/run/fountain/recipients"), 0o700))
	public, err := exec.Command(program, "backup", "key", filepath.Join(root, "key")).Output()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(at("/run/fountain/recipients/recipients.txt"), public, 0o600))
	cmd := exec.Command(program)
	for _, arg := range c.Args {
		cmd.Args = append(cmd.Args, at(arg))
	}
	urls := 0
	for _, e := range c.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+at(e.Value))
		if strings.HasSuffix(e.Name, "_DATABASE_URL_FILE") {
			urls++
			require.Equal(t, filepath.Base(filepath.Dir(e.Value))+"-database", mounts(c)[filepath.Dir(e.Value)])
		}
	}
	require.Equal(t, map[bool]int{true: 4, false: 0}[postgres], urls)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "it failed and is retried")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	for lines.Scan() {
		require.NotContains(t, lines.Text(), "panic")
	}
	require.NoError(t, cmd.Wait(), "ended while it waits, its status is 0")
}

// The drill can read the archives and change none, has the one key that opens them, runs where they are, and is not taken for the family.
func TestBackup_drillIsAJobOfItsOwn(t *testing.T) {
	for resources, component := range backedUp {
		t.Run(component, func(t *testing.T) {
			d := overlay(t, resources, component)
			require.NotNil(t, d.drill)
			require.Equal(t, batchv1.ForbidConcurrent, d.drill.Spec.ConcurrencyPolicy)
			pod := d.drill.Spec.JobTemplate.Spec.Template
			require.NotEqual(t, d.pod.Labels, pod.Labels)
			require.False(t, *pod.Spec.AutomountServiceAccountToken || *pod.Spec.EnableServiceLinks)
			require.True(t, *pod.Spec.SecurityContext.RunAsNonRoot)
			require.Equal(t, d.pod.Spec.SecurityContext, pod.Spec.SecurityContext)
			require.Equal(t, d.pod.Labels, pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels)
			require.Len(t, pod.Spec.Containers, 1)
			c := pod.Spec.Containers[0]
			closed(t, c)
			require.Equal(t, map[string]string{"/backups": "backups", "/drill": "drill", "/run/fountain": "identity"}, mounts(c))
			require.Equal(t, []string{"backup", "drill", "/backups", "--dir", "/drill", "--identity", "/run/fountain/identity"}, c.Args)
			for _, m := range c.VolumeMounts {
				require.Equal(t, m.Name != "drill", m.ReadOnly, m.Name)
			}
			for _, v := range pod.Spec.Volumes {
				require.True(t, v.Name != "backups" || v.PersistentVolumeClaim.ClaimName == "fountain-backups" && v.PersistentVolumeClaim.ReadOnly)
				require.True(t, v.Name != "identity" || v.Secret.SecretName == "fountain-backup-identity")
			}
		})
	}
}
