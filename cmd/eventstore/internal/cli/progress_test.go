package cli

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestSigns: without a terminal, something long prints how far it is every few seconds, even before it has done anything, and
// nothing once it has ended.
func TestSigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := &app{err: &out}
		progress, stop := a.progress("importing")
		time.Sleep(signEvery + time.Millisecond)
		synctest.Wait()
		assert.Equal(t, "importing: 0 of 0 events after 5s\n", out.String())
		progress(7, 9)
		time.Sleep(signEvery)
		synctest.Wait()
		assert.Contains(t, out.String(), "importing: 7 of 9 events after 10s\n")
		stop()
		stop()
		n := out.Len()
		time.Sleep(10 * signEvery)
		assert.Equal(t, n, out.Len())
	})
}
