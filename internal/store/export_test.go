package store

import "time"

// EndWithin bounds how long the end of a transaction may take on PostgreSQL.
func (db *DB) EndWithin(d time.Duration) { db.endWait = d }
