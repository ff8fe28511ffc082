package kms

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/upkeep"
)

// backupCollector exports what operators' commands have recorded in the data directory: when the last backup was made, when one last passed a check, and whether one
// has failed a check since.
type backupCollector struct {
	dir                  string
	clock                clock.Clock
	log                  *slog.Logger
	made, passed, failed *prometheus.Desc
}

func newBackupCollector(dir string, c clock.Clock, log *slog.Logger) *backupCollector {
	return &backupCollector{
		dir: dir, clock: c, log: log,
		made: prometheus.NewDesc("fountain_backup_timestamp_seconds", "When the last backup was made with fountain backup beside this kms (Unix time); 0: never.", nil, nil),
		passed: prometheus.NewDesc("fountain_backup_check_timestamp_seconds",
			"When a backup last passed fountain backup verify or drill beside this kms (Unix time); 0: never.", nil, nil),
		failed: prometheus.NewDesc("fountain_backup_check_failed", "1 when a backup has failed fountain backup verify or drill beside this kms, and none has passed one since.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (u *backupCollector) Describe(to chan<- *prometheus.Desc) {
	to <- u.made
	to <- u.passed
	to <- u.failed
}

// Collect implements prometheus.Collector. What can't be read is exported as never, for which there are alerts, and logged.
func (u *backupCollector) Collect(to chan<- prometheus.Metric) {
	last, err := upkeep.LastBackup(u.dir, u.clock.Now())
	if err != nil {
		u.log.WarnContext(context.Background(), "the record of the last backup can't be read", "error", err)
		last = upkeep.Backup{}
	}
	passed, failed, err := upkeep.Checks(u.dir, u.clock.Now())
	if err != nil {
		u.log.WarnContext(context.Background(), "the records of checked backups can't be read", "error", err)
		passed, failed = time.Time{}, true
	}
	gauge := func(d *prometheus.Desc, v float64) { to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(u.made, seconds(last.MadeAt))
	gauge(u.passed, seconds(passed))
	if failed {
		gauge(u.failed, 1)
	} else {
		gauge(u.failed, 0)
	}
}

// seconds converts a time to Unix seconds; 0 for the zero time.
func seconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}
