package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/backends/postgres"
)

// postgresSettings are where PostgreSQL is, and who keeps its tables up to date.
type postgresSettings struct {
	url     string
	migrate string
}

func dbCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "db", Short: "The tables in PostgreSQL", Args: arguments(0, ""), RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
		Long: `The tables in PostgreSQL. A server brings them up to date by itself when it starts, unless --postgres-migrate is off: then
these commands do, with a role that may.`,
	}
	c.AddCommand(
		stepsCommand("upgrade", "Bring the tables up to date, and list the steps that were taken", postgres.Upgrade),
		stepsCommand("status", "List the steps of the tables' layout, and when they were taken", postgres.Migrations),
	)
	return c
}

// stepsCommand lists what f returns for the database of the settings.
func stepsCommand(name, short string, f func(ctx context.Context, url string) ([]postgres.Migration, error)) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: name, Short: short, Args: arguments(0, ""),
		Example: "  POSTGRES_URL=postgres://admin@db/dynconfig dynconfig db " + name,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf(&format, "table", "json", "yaml")(format); err != nil {
				return usageError{err}
			}
			s, err := loadSettings(c.Flags(), os.Environ(), configFile(c.Flags()))
			if err != nil {
				return err
			}
			if s.Postgres.url == "" {
				return failf("There is no database: set POSTGRES_URL or --postgres-url")
			}
			steps, err := f(c.Context(), s.Postgres.url)
			if err != nil {
				return err
			}
			return printed(c.OutOrStdout(), format, stepLines(steps), func(row func(...string)) {
				row("STEP", "NAME", "TAKEN")
				for _, l := range stepLines(steps) {
					row(strconv.FormatInt(l.Step, 10), l.Name, l.taken())
				}
			})
		},
	}
	addFlags(c.Flags(), "postgres-url")
	c.Flags().StringVarP(&format, "output", "o", "table", "table, json or yaml")
	return c
}

// stepLine is a step as it is printed.
type stepLine struct {
	Step  int64      `json:"step"`
	Name  string     `json:"name"`
	Taken *time.Time `json:"taken"`
}

func (l stepLine) taken() string {
	if l.Taken == nil {
		return "pending"
	}
	return l.Taken.Format(time.RFC3339)
}

func stepLines(steps []postgres.Migration) []stepLine {
	lines := make([]stepLine, 0, len(steps))
	for _, m := range steps {
		l := stepLine{Step: m.Version, Name: m.Name}
		if !m.Applied.IsZero() {
			l.Taken = &m.Applied
		}
		lines = append(lines, l)
	}
	return lines
}
