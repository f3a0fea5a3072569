package sqlerr

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// errClosed is what every call on a *sql.DB returns that was closed. database/sql has no name for it.
var errClosed = func() error {
	db := sql.OpenDB(nowhere{})
	_ = db.Close()
	return db.PingContext(context.Background())
}()

// Closed reports whether err says that the *sql.DB was closed.
func Closed(err error) bool { return errors.Is(err, errClosed) }

// nowhere connects to nothing.
type nowhere struct{}

func (nowhere) Connect(context.Context) (driver.Conn, error) { return nil, driver.ErrBadConn }
func (nowhere) Driver() driver.Driver                        { return nil }
