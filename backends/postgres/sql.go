package postgres

import (
	"embed"
	"fmt"
)

// The statements, each in a file of its own.
var (
	//go:embed sql/lock.sql
	lockSQL string
	//go:embed sql/heads.sql
	headsSQL string
	//go:embed sql/repeated.sql
	repeatedSQL string
	//go:embed sql/hide.sql
	hideSQL string
	//go:embed sql/purge.sql
	purgeSQL string
	//go:embed sql/write.sql
	writeSQL string
	//go:embed sql/sync.sql
	syncSQL string
	//go:embed sql/status.sql
	statusSQL string
	//go:embed sql/get.sql
	getSQL string
	//go:embed sql/list.sql
	listSQL string
	//go:embed sql/log.sql
	logSQL string
	//go:embed sql/commits.sql
	commitsSQL string
	//go:embed sql/history.sql
	historySQL string
	//go:embed sql/floor.sql
	floorSQL string
	//go:embed sql/step.sql
	stepSQL string
	//go:embed sql/cut.sql
	cutSQL string
	//go:embed sql/trim.sql
	trimSQL string
	//go:embed sql/veil.sql
	veilSQL string
	//go:embed sql/trimmed.sql
	trimmedSQL string

	//go:embed migrations/*.sql
	migrations embed.FS
)

func trimming() string { return fmt.Sprintf(trimSQL, cutSQL) }
func veiling() string  { return fmt.Sprintf(veilSQL, cutSQL) }
