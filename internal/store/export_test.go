package store

import "time"

// EndWithin bounds the end of a transaction on PostgreSQL.
func (db *DB) EndWithin(d time.Duration) { db.endWait = d }
