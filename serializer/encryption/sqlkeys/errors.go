package sqlkeys

import (
	"errors"
	"fmt"
)

// ErrMasterKey is returned for a stored key that none of the master keys decrypts. See [MasterKeyError].
var ErrMasterKey = errors.New("no master key fits")

// MasterKeyError says which stored key no master key decrypts. It is [ErrMasterKey], and never taken for forgotten: with
// the master key that it was encrypted with, the subject's events can be read again.
type MasterKeyError struct {
	Subject string
	ID      int64 // of the key
}

func (e *MasterKeyError) Error() string {
	return fmt.Sprintf("sqlkeys: no master key decrypts key %d of subject %q: add the one that it was encrypted with to Options.MasterKeys, or restore its row if that was changed", e.ID, e.Subject)
}

// Is matches [ErrMasterKey].
func (e *MasterKeyError) Is(target error) bool { return target == ErrMasterKey }
