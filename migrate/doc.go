// Package migrate creates and upgrades the tables of a backend, with golang-migrate and the migration files that the
// backend brings along.
//
//	backend := postgres.New(db, nil)
//	if err := migrate.Up(ctx, backend); err != nil {
//		log.Fatal(err)
//	}
//
// # What holds
//
//   - All migrations that are missing run in one transaction together with the note of their version: if one fails, or a name
//     is taken ([NameTakenError]), everything is as it was before, and the next [Up] tries again. There is no "dirty" version to
//     repair, and of tables that could not be created nothing is left behind.
//   - One migrator works on a store at a time. Others wait, as long as their context allows, and then find nothing to
//     do, so every process of an application may call [Up] when it starts.
//   - [Up] on tables that are up to date only reads: it takes no lock and needs no right to create anything.
//   - The version is noted in a table of the store's own, in the store's schema, never in that of the application's
//     migrations.
//   - A release that is rolled back starts on the tables of the newer one, if the newer migrations state that it works with them;
//     [Up] and Check log a warning then. Otherwise both fail: [ErrNewer].
//
// # Other tools
//
// [Script] returns the statements for psql, goose, Flyway, Atlas and the like, which then note the version as [Up] does. An
// application whose tables are made by such a tool calls Check at its start instead of [Up].
//
// # Connections
//
// A call uses one connection of the backend's *sql.DB, so that a pool of one is enough, and gives it back as it was, or
// closes it if that failed.
package migrate
