package kms

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/upkeep"
)

// lastBackup tells when the last backup was made on this machine; 0 when none was, or nobody can tell.
func lastBackup(dir string, log *slog.Logger) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fountain_backup_timestamp_seconds", Help: "When the last backup was made with fountain backup beside this kms (Unix time); 0: never.",
	}, func() float64 {
		last, err := upkeep.LastBackup(dir)
		if err != nil {
			log.WarnContext(context.Background(), "it can't be told when the last backup was made", "error", err)
		}
		if err != nil || last.MadeAt.IsZero() {
			return 0
		}
		return float64(last.MadeAt.UnixMilli()) / 1000
	})
}
