package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Table is a table and the mechanism that bounds its rows.
type Table struct {
	Name  string
	Bound string // what bounds its rows, as text for operators
}

// countAge is for how long a count is reused: counting reads the whole table.
const countAge = time.Minute

// countTime bounds the counting of all tables.
const countTime = 5 * time.Second

// RowCounter exports how many rows the tables of a service have (fountain_table_rows). It counts when it is collected, at most once a minute.
type RowCounter struct {
	db     *DB
	tables []Table
	log    *slog.Logger
	desc   *prometheus.Desc

	mu      sync.Mutex
	counted time.Time
	rows    map[string]int64
}

// NewRowCounter returns the counter of a service's tables.
func NewRowCounter(db *DB, tables []Table, log *slog.Logger) *RowCounter {
	return &RowCounter{db: db, tables: tables, log: log, desc: prometheus.NewDesc("fountain_table_rows", "Rows of a table; docs/operations.md says what bounds each.",
		[]string{"table"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *RowCounter) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect implements prometheus.Collector. A table that cannot be counted is left out and logged.
func (c *RowCounter) Collect(out chan<- prometheus.Metric) {
	for table, n := range c.count() {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), table)
	}
}

func (c *RowCounter) count() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows != nil && time.Since(c.counted) < countAge {
		return c.rows
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTime)
	defer cancel()
	rows := map[string]int64{}
	for _, t := range c.tables {
		var n int64
		if err := c.db.Read(ctx).Get(ctx, &n, "SELECT COUNT(*) FROM "+t.Name); err != nil { // the names are the program's own
			c.log.WarnContext(ctx, "rows of a table can't be counted", "table", t.Name, "error", err)
			continue
		}
		rows[t.Name] = n
	}
	c.rows, c.counted = rows, time.Now()
	return rows
}
