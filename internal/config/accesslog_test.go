package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAccessLog_keepsItsShare(t *testing.T) {
	var a AccessLog
	require.True(t, a.Keeps(0), "all of them where nothing is said")
	for text, keeps := range map[string][3]bool{ // 0, 0.5, 0.9999
		"all": {true, true, true}, "failures": {false, false, false}, "sample:0": {false, false, false}, "sample:1": {true, true, true},
		"sample:0.1": {false, false, true},
	} {
		require.NoError(t, a.UnmarshalText([]byte(text)), text)
		require.Equal(t, keeps, [3]bool{a.Keeps(0), a.Keeps(0.5), a.Keeps(0.9999)}, text)
	}
	for _, text := range []string{"", "none", "sample", "sample:", "sample:2", "sample:-1", "sample:NaN", "ALL"} {
		require.Error(t, a.UnmarshalText([]byte(text)), text)
	}
}

func TestLoadFrom_readsTheAccessLog(t *testing.T) {
	var c sample
	require.NoError(t, LoadFrom("FOUNTAIN_SEARCH_", &c, []string{"FOUNTAIN_SEARCH_KEY_FILE=/k", "FOUNTAIN_SEARCH_ACCESS_LOG=sample:0.5"}))
	require.False(t, c.AccessLog.Keeps(0.4))
	err := LoadFrom("FOUNTAIN_SEARCH_", &c, []string{"FOUNTAIN_SEARCH_KEY_FILE=/k", "FOUNTAIN_SEARCH_ACCESS_LOG=hunter2"})
	require.ErrorContains(t, err, "FOUNTAIN_SEARCH_ACCESS_LOG: not a valid choice: all, sample:SHARE or failures")
	require.NotContains(t, err.Error(), "hunter2")
}
