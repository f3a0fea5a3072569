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
//   - Each migration runs in one transaction together with the note of its version: one that fails leaves everything as
//     it was before it, and is tried again by the next [Up]. There is no "dirty" version to repair.
//   - One migrator works on a store at a time. Others wait, as long as their context allows, and then find nothing to
//     do, so every process of an application may call [Up] when it starts.
//   - [Up] on tables that are up to date only reads: it takes no lock and needs no right to create anything.
//   - The version is noted in a table of the store's own, in the store's schema, never in that of the application's
//     migrations.
//   - A program does nothing to tables that are newer than it knows: [ErrNewer].
//
// # Connections
//
// A call uses one connection of the backend's *sql.DB, so that a pool of one is enough, and gives it back as it was, or
// closes it if that failed.
package migrate
