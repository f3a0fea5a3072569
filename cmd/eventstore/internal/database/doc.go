// Package database finds and opens the store that the command line is about: the one of a schema of a PostgreSQL
// database, or of a prefix in a SQLite file.
package database
