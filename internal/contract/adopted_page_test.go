package contract

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The documentation page states the actual defaults.
func TestAdoptedDefaults_areThoseOfThePage(t *testing.T) {
	raw, err := os.ReadFile("../../docs/adopt.md")
	require.NoError(t, err)
	for _, said := range []string{
		fmt.Sprintf("| time for a request | %s |", AdoptedTimeout),
		fmt.Sprintf("| body | %s; %s where", AdoptedBody, AdoptedUpload),
		fmt.Sprintf("| answer | %s |", AdoptedResponse),
		fmt.Sprintf("| streams of one caller | %d of one operation at once", AdoptedStreams),
		fmt.Sprintf("| at once | %d requests of one operation |", AdoptedConcurrency),
		fmt.Sprintf("| one address | %d requests a minute, %d of them at once", AdoptedPerIP, AdoptedPerIPBurst),
		fmt.Sprintf("| one caller | %d requests a minute, %d of them at once", AdoptedPerSubject, AdoptedPerSubjectBurst),
		fmt.Sprintf("one that is at most %d s old", AdoptedStepUpAge),
		fmt.Sprintf("at most %d files of %d MiB", MaxDocumentFiles, MaxDocument>>20),
	} {
		require.Contains(t, string(raw), said)
	}
}
