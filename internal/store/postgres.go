package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

const (
	postgresConns = 16
	connLifetime  = 30 * time.Minute
	connIdle      = 5 * time.Minute
)

// postgresDefaults are session parameters that the URL may override.
var postgresDefaults = map[string]string{
	// A replica that was stopped inside a transaction must not hold its row locks indefinitely.
	"idle_in_transaction_session_timeout": "30s",
	"default_transaction_isolation":       "read committed",
}

func openPostgres(ctx context.Context, c Config) (*DB, error) {
	if !strings.HasPrefix(c.URL, "postgres://") && !strings.HasPrefix(c.URL, "postgresql://") {
		return nil, errors.New("database URL does not begin with postgres://")
	}
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		// The parser's own error may repeat the URL, which contains the password.
		return nil, errors.New("database URL cannot be parsed")
	}
	for name, value := range postgresDefaults {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	config.RuntimeParams["application_name"] = "fountain-" + c.Name
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connWait
	}
	pool := sqlx.NewDb(stdlib.OpenDB(*config, stdlib.OptionAfterConnect(checkSession)), "pgx")
	size := c.MaxConns
	if size <= 0 {
		size = postgresConns
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxLifetime(connLifetime)
	pool.SetConnMaxIdleTime(connIdle)
	db := &DB{name: c.Name, dialect: PostgreSQL, wait: connWait, endWait: endWait, writer: pool, reader: pool, log: c.Log}
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkSession refuses a session whose commits would be acknowledged before they are durable, or whose encoding is not UTF-8.
func checkSession(ctx context.Context, conn *pgx.Conn) error {
	var commit, encoding string
	err := conn.QueryRow(ctx, "SELECT current_setting('synchronous_commit'), current_setting('server_encoding')").
		Scan(&commit, &encoding)
	switch {
	case err != nil:
		return fmt.Errorf("read session settings: %w", err)
	case commit == "off":
		return errors.New("synchronous_commit is off: acknowledged commits could be lost")
	case encoding != "UTF8":
		return errors.New("server_encoding is not UTF8")
	}
	return nil
}
