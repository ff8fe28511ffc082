package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

// newMoveStore makes the command that moves a service's database from SQLite to PostgreSQL and back.
func newMoveStore() *cobra.Command {
	var m moveStore
	cmd := &cobra.Command{
		Use:   "move-store SERVICE",
		Short: "Move a service's database from SQLite to PostgreSQL, or back (on the service's machine)",
		Long: `move-store copies every row of a service's database to an empty one, reads both again, compares them row by
row in key order, and only then lets the service open the new one. It refuses a target that contains a
database, a running service, and a database of another release. During the copy and afterwards, no service can
open the old database; apart from that it is not changed.

FOUNTAIN_<SERVICE>_... settings specify the current database, as for fountain serve, or --data does for a data
directory of fountain up (which supports only SQLite: start the services with fountain serve afterwards).
Documents of the embedded search engine are not moved.

--reopen opens the old database again after a move that was killed. If the move had reached its last step, the
target must be given too, and must be empty: two databases are never open. It is also how to move back without
the data that was written since: empty the new database first.`,
		Example: `  fountain move-store kms --to-url-file /etc/fountain/kms-url
  FOUNTAIN_KMS_DATABASE_URL_FILE=/etc/fountain/kms-url fountain move-store kms --to-sqlite
  fountain move-store sequence --to-url-file url --data /var/lib/fountain
  fountain move-store kms --reopen
  fountain move-store kms --reopen --to-url-file /etc/fountain/kms-url`,
		Args: oneArg("a service"),
		RunE: func(cmd *cobra.Command, args []string) error { return m.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&m.urlFile, "to-url-file", "", "file with the postgres:// URL of the target database, which must be empty")
	cmd.Flags().BoolVar(&m.toSQLite, "to-sqlite", false, "move to a new SQLite database in the service's data directory")
	cmd.Flags().BoolVar(&m.reopen, "reopen", false, "let the service open the configured database again after a move closed it; --to-url-file or --to-sqlite is the target of that move")
	cmd.Flags().BoolVar(&m.asJSON, "json", false, "print the result of the move as JSON")
	cmd.Flags().StringVar(&m.data, "data", dataFlag(), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_<SERVICE>_DATA_DIR is that of a separate service")
	return cmd
}

// moveStore holds the flags of move-store.
type moveStore struct {
	data, urlFile            string
	toSQLite, reopen, asJSON bool
}

func (m moveStore) run(cmd *cobra.Command, word string) error {
	named := m.urlFile != "" || m.toSQLite
	if m.urlFile != "" && m.toSQLite || !named && !m.reopen {
		return usagef("one of --to-url-file and --to-sqlite is required")
	}
	from, err := m.configured(word, cmd.Flags().Changed("data"))
	if err != nil {
		return err
	}
	if m.reopen && !named {
		return m.openAgain(cmd, from, nil)
	}
	to := from
	if to.URL = ""; m.urlFile != "" {
		if to.URL, err = config.ReadSecret(m.urlFile); err != nil {
			return err
		}
	} else if from.URL == "" {
		return usagef("%s is on SQLite already: FOUNTAIN_%s_DATABASE_URL_FILE names the PostgreSQL database that it is moved from", word, strings.ToUpper(word))
	}
	if m.reopen {
		return m.openAgain(cmd, from, &to)
	}
	tables, err := store.Move(cmd.Context(), from, to, printMove(from, to))
	if err != nil {
		return m.refusal(from, to, err)
	}
	return m.print(cmd, from, to, tables)
}

// configured returns the configuration of a service's current database. given reports whether --data was set.
func (m moveStore) configured(word string, given bool) (store.Config, error) {
	word, err := knownWord(word)
	if err != nil {
		return store.Config{}, err
	}
	p := programs[word]()
	if p.parts == nil {
		return store.Config{}, usagef("%s keeps no database", word)
	}
	if err := config.Load("FOUNTAIN_"+strings.ToUpper(word)+"_", p.settings); err != nil {
		return store.Config{}, &usageError{err}
	}
	if p.service.DataDir == "" || given {
		p.service.DataDir = filepath.Join(m.data, word)
	}
	p.service.Log = slog.New(slog.DiscardHandler)
	parts, err := p.parts()
	if err != nil {
		return store.Config{}, err
	}
	return parts[0].Database, nil
}

// printMove records the move in the audit trail of the new database.
func printMove(from, to store.Config) func(ctx context.Context, tx *store.Tx, tables []store.MovedTable) error {
	kind := func(c store.Config) string {
		if c.URL != "" {
			return postgreSQL
		}
		return "SQLite"
	}
	return func(ctx context.Context, tx *store.Tx, tables []store.MovedTable) error {
		return audit.AppendLater(ctx, tx, audit.Event{
			Action: audit.MoveStore, ActorKind: audit.System, Outcome: audit.OK,
			Detail: map[string]string{"from": kind(from), "to": kind(to), "tables": strconv.Itoa(len(tables)), "rows": strconv.FormatInt(rowsOf(tables), 10)},
		})
	}
}

func rowsOf(tables []store.MovedTable) (rows int64) {
	for _, t := range tables {
		rows += t.Rows
	}
	return rows
}

const postgreSQL = "PostgreSQL"

// placeOf describes a database for messages. It leaves out the URL, which may contain a password.
func placeOf(c store.Config) string {
	if c.URL != "" {
		return postgreSQL
	}
	return filepath.Join(c.Dir, c.Name+".db")
}

// refusal says which of the two databases an error is about.
func (m moveStore) refusal(from, to store.Config, err error) error {
	switch {
	case errors.Is(err, store.ErrNotEmpty):
		return fmt.Errorf("%s, to which %s is to be moved, is not empty", placeOf(to), from.Name)
	case errors.Is(err, store.ErrLocked):
		return fmt.Errorf("%s is running: stop every instance of it first: %w", from.Name, err)
	case errors.Is(err, fs.ErrNotExist) && from.URL == "":
		return fmt.Errorf("there is no database %s", placeOf(from))
	}
	return fmt.Errorf("move %s from %s to %s: %w", from.Name, placeOf(from), placeOf(to), err)
}

func (m moveStore) print(cmd *cobra.Command, from, to store.Config, tables []store.MovedTable) error {
	out := cmd.OutOrStdout()
	if m.asJSON {
		return printJSON(out, map[string]any{"service": from.Name, "from": placeOf(from), "to": placeOf(to), "tables": tables})
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "TABLE\tROWS\tSHA-256 OF BOTH")
	for _, t := range tables {
		fmt.Fprintf(table, "%s\t%d\t%s\n", t.Name, t.Rows, t.SHA256)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print tables: %w", err)
	}
	setting := "FOUNTAIN_" + strings.ToUpper(from.Name) + "_DATABASE_URL_FILE"
	next := "without " + setting
	if to.URL != "" {
		next = "with " + setting + "=" + m.urlFile
	}
	_, err := fmt.Fprintf(out, "%s was moved from %s to %s: %d rows of %d tables are the same. Start it %s; the old database is closed\n",
		from.Name, placeOf(from), placeOf(to), rowsOf(tables), len(tables), next)
	return err
}

// openAgain reopens the database that was moved away. other is the destination, if it is known.
func (m moveStore) openAgain(cmd *cobra.Command, c store.Config, other *store.Config) error {
	was, err := store.Reopen(cmd.Context(), c, other)
	switch {
	case errors.Is(err, store.ErrEnded):
		return fmt.Errorf("%w: the target may be the database now; pass it with --reopen as --to-url-file or --to-sqlite, it must be empty", err)
	case errors.Is(err, store.ErrNotEmpty):
		return fmt.Errorf("%s, to which %s was moved, is not empty: two databases of it would be open", placeOf(*other), c.Name)
	case errors.Is(err, store.ErrLocked):
		return fmt.Errorf("%s, or a move of it, is running: stop it first: %w", c.Name, err)
	case errors.Is(err, fs.ErrNotExist) && c.URL == "":
		return fmt.Errorf("there is no database %s", placeOf(c))
	case err != nil:
		return fmt.Errorf("reopen %s: %w", placeOf(c), err)
	}
	sentence := "%s can be opened by %s again; what was written to another place since is not in it\n"
	if !was {
		sentence = "%s was not closed by a move: %s can open it\n"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), sentence, placeOf(c), c.Name)
	return err
}
